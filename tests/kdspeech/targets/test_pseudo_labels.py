"""Pseudo-labels by hand: pooling, balancing, and what the student adds."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from kdspeech.config import PseudoLabelConfig
from kdspeech.lexicon import Lexicon
from kdspeech.logspace import normalise
from kdspeech.targets.dawid_skene import dawid_skene
from kdspeech.targets.pseudo_labels import PseudoLabeller, Voices, balanced, pooled_words, word_prior
from kdspeech.utterance import Utterance

LEXICON = Lexicon(("one", "two", "six"))
UNIFORM = np.full(3, 1 / 3)
PLAIN = PseudoLabelConfig(pooling="mean", balance=False, student_weight=1.0, from_start=True)


def log(*probabilities: float) -> np.ndarray:
    return np.log(np.array(probabilities, dtype=np.float32))


def labeller(
    teachers: Mapping[str, np.ndarray] | None,
    config: PseudoLabelConfig = PLAIN,
    prior: np.ndarray = UNIFORM,
    **fits: object,
) -> PseudoLabeller:
    names = list(teachers) if teachers is not None else ["a", "b"]
    utterances = tuple(Utterance(name, f"{name}.wav", 1.0, "", "new", "test") for name in names)
    allowed = {name: np.array(fits.get(name, [True] * 3)) for name in names}
    return PseudoLabeller(utterances, LEXICON, alone(teachers), allowed, prior, config)


def alone(rows: Mapping[str, np.ndarray] | None) -> dict[str, Voices] | None:
    """Each row is what the only teacher hears."""
    return None if rows is None else {utt_id: Voices(row[None], np.ones(1)) for utt_id, row in rows.items()}


def test_pooling_is_the_weighted_geometric_mean_of_tempered_posteriors() -> None:
    first, second = log(0.7, 0.2, 0.1), log(0.1, 0.1, 0.8)
    expected = np.array([0.7**0.75 * 0.1**0.25, 0.2**0.75 * 0.1**0.25, 0.1**0.75 * 0.8**0.25])
    np.testing.assert_allclose(
        np.exp(pooled_words([first, second], [3.0, 1.0], 1.0)), expected / expected.sum(), rtol=1e-5
    )
    cooled = pooled_words([log(0.64, 0.32, 0.04)], [1.0], 2.0)  # square roots: 8, 4 sqrt 2, 2
    roots = np.sqrt([0.64, 0.32, 0.04])
    np.testing.assert_allclose(np.exp(cooled), roots / roots.sum(), rtol=1e-5)


def test_balancing_meets_the_margins_and_keeps_odds_ratios() -> None:
    rows = normalise(np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32))
    prior = np.array([0.5, 0.25, 0.25])
    found = balanced(rows, prior)
    np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-9)
    np.testing.assert_allclose(found.sum(axis=0), 12 * prior, rtol=1e-3)

    def odds(p: np.ndarray) -> float:
        return float(p[0, 0] * p[1, 1] / (p[0, 1] * p[1, 0]))

    assert odds(found) == pytest.approx(odds(np.exp(rows.astype(float))), rel=1e-6)  # scaling cannot change them


def test_balancing_gives_back_the_words_that_a_biased_ear_never_hears() -> None:
    """All three sound most like `one`; the one that sounds least so is taken for the rarest word."""
    rows = np.stack([log(0.8, 0.15, 0.05), log(0.6, 0.39, 0.01), log(0.6, 0.15, 0.25)])
    assert rows.argmax(axis=1).tolist() == [0, 0, 0]
    assert balanced(rows, UNIFORM).argmax(axis=1).tolist() == [0, 1, 2]


def test_the_prior_follows_the_labelled_speakers_and_leaves_nothing_impossible() -> None:
    texts = ["one"] * 4 + ["two"] * 2  # of two speakers: 2, 1 and 0 a speaker
    np.testing.assert_allclose(word_prior(LEXICON, texts, 2), np.array([2.5, 1.5, 0.5]) / 4.5)
    np.testing.assert_allclose(word_prior(LEXICON, [], 0), UNIFORM)


def test_teachers_label_before_the_student_has_a_voice() -> None:
    labels = labeller({"a": log(0.7, 0.2, 0.1), "b": log(0.3, 0.3, 0.4)}).label(None, 0.0)
    assert {name: label.text for name, label in labels.items()} == {"a": "one", "b": "six"}
    assert labels["a"].weight == pytest.approx(0.7, rel=1e-5)


def test_the_students_voice_grows_with_progress() -> None:
    teachers, student = {"a": log(0.5, 0.3, 0.2)}, {"a": log(0.1, 0.8, 0.1)}
    early, late = (labeller(teachers).label(student, progress)["a"] for progress in (0.0, 1.0))
    assert (early.text, late.text) == ("one", "two")
    product = np.array([0.5 * 0.1, 0.3 * 0.8, 0.2 * 0.1])
    assert late.weight == pytest.approx(product.max() / product.sum(), rel=1e-5)


def test_teachers_alone_can_weigh_what_the_student_helped_to_find() -> None:
    teachers, student = {"a": log(0.5, 0.3, 0.2)}, {"a": log(0.1, 0.8, 0.1)}
    weighed = labeller(teachers, PLAIN.model_copy(update={"weight": "teachers"}))
    assert weighed.label(student, 1.0)["a"].text == "two"
    assert weighed.label(student, 1.0)["a"].weight == pytest.approx(0.3, rel=1e-5)
    assert weighed.label(None, 0.0)["a"].weight == pytest.approx(0.5, rel=1e-5)


def test_the_student_is_not_asked_about_recordings_that_a_teacher_has_learnt() -> None:
    """About another recording of the same speaker it is, as about a new one's."""
    told = Utterance("t", "t.wav", 1.0, "", "told", "train")
    aside = Utterance("s", "s.wav", 1.0, "", "told", "test")
    new = Utterance("a", "a.wav", 1.0, "", "new", "test")
    posteriors = {name: log(0.5, 0.3, 0.2) for name in "tsa"}
    fits = {name: np.ones(3, dtype=bool) for name in posteriors}
    known = frozenset({"t"})
    all_three = PseudoLabeller((told, aside, new), LEXICON, alone(posteriors), fits, UNIFORM, PLAIN, known)
    assert all_three.doubtful == (aside, new)
    labels = all_three.label({name: log(0.1, 0.8, 0.1) for name in "sa"}, 1.0)
    assert {name: label.text for name, label in labels.items()} == {"t": "one", "s": "two", "a": "two"}


def test_only_what_no_teacher_has_learnt_is_balanced() -> None:
    """Both speakers sound like `one` three times, and only the one whom no teacher knows is not believed."""
    rows = {"1": log(0.8, 0.15, 0.05), "2": log(0.6, 0.39, 0.01), "3": log(0.8, 0.15, 0.05)}
    recordings = {f"{speaker}{number}": (speaker, row) for speaker in ("told", "new") for number, row in rows.items()}
    utterances = tuple(Utterance(i, f"{i}.wav", 1.0, "", speaker, "train") for i, (speaker, _) in recordings.items())
    posteriors = {utt_id: row for utt_id, (_, row) in recordings.items()}
    fits = {utt_id: np.ones(3, dtype=bool) for utt_id in recordings}
    prior, config = np.array([0.66, 0.33, 0.01]), PLAIN.model_copy(update={"balance": True})
    both = PseudoLabeller(
        utterances, LEXICON, alone(posteriors), fits, prior, config, frozenset({"told1", "told2", "told3"})
    )
    labels = both.label(None, 0.0)
    assert {i: label.text for i, label in labels.items()} == {
        "told1": "one", "told2": "one", "told3": "one", "new1": "one", "new2": "two", "new3": "one",
    }  # fmt: skip
    assert labels["told2"].weight == pytest.approx(0.6, rel=1e-5)
    all_balanced = replace(both, config=config.model_copy(update={"balance_known": True})).label(None, 0.0)
    assert {i: label.text for i, label in all_balanced.items()} == {
        "told1": "one", "told2": "two", "told3": "one", "new1": "one", "new2": "two", "new3": "one",
    }  # fmt: skip


def test_fewer_recordings_than_words_are_not_balanced() -> None:
    """Two acts of speaking, one of them heard by two microphones, need not hold a list of three words."""
    config = PLAIN.model_copy(update={"balance": True})
    heard = {"a": log(0.1, 0.2, 0.7), "b": log(0.2, 0.1, 0.7), "c": log(0.2, 0.1, 0.7)}
    acts = {"a": "1", "b": "2", "c": "2"}
    utterances = tuple(Utterance(i, f"{i}.wav", 1.0, "", "new", "test", production_id=act) for i, act in acts.items())
    fits = {name: np.ones(3, dtype=bool) for name in heard}
    few = PseudoLabeller(utterances, LEXICON, alone(heard), fits, UNIFORM, config)
    assert few.unbalanced == {"new": 2}
    assert [label.text for label in few.label(None, 0.0).values()] == ["six", "six", "six"]
    apart = tuple(replace(u, production_id="") for u in utterances)  # three acts of speaking
    enough = PseudoLabeller(apart, LEXICON, alone(heard), fits, UNIFORM, config)
    assert enough.unbalanced == {}
    assert sorted(label.text for label in enough.label(None, 0.0).values()) != ["six", "six", "six"]
    assert replace(few, config=PLAIN).unbalanced == {}  # nobody wanted balance


def test_without_teachers_the_student_speaks_alone_or_nobody_does() -> None:
    alone = labeller(None)
    assert alone.label(None, 0.5) == {}
    labels = alone.label({"a": log(0.1, 0.8, 0.1), "b": log(0.6, 0.2, 0.2)}, 0.1)
    assert {name: label.text for name, label in labels.items()} == {"a": "two", "b": "one"}
    assert labels["a"].weight == pytest.approx(0.8, rel=1e-5)


def test_a_word_that_does_not_fit_into_the_frames_is_never_taken() -> None:
    labels = labeller({"a": log(0.7, 0.2, 0.1)}, a=[False, True, True]).label(None, 0.0)
    assert labels["a"].text == "two"
    assert labels["a"].weight == pytest.approx(2 / 3, rel=1e-5)


@pytest.mark.parametrize("config", [PLAIN, PLAIN.model_copy(update={"balance": True})])
def test_where_no_word_fits_nothing_is_learnt(config: PseudoLabelConfig) -> None:
    """Balanced or not: neither a word that fits nowhere, nor any into a recording that holds none."""
    heard = {name: log(0.8, 0.1, 0.1) for name in "abc"}
    fits = {"a": [False, True, True], "b": [False, True, True], "c": [False, False, False]}
    labels = labeller(heard, config, UNIFORM, **fits).label(None, 0.0)
    assert "one" not in {labels["a"].text, labels["b"].text}
    assert labels["a"].weight >= 0.5
    assert labels["c"].weight == 0.0


def test_below_the_gate_a_recording_weighs_nothing() -> None:
    gated = PLAIN.model_copy(update={"min_confidence": 0.6})
    labels = labeller({"a": log(0.7, 0.2, 0.1), "b": log(0.5, 0.3, 0.2)}, gated).label(None, 0.0)
    assert labels["a"].weight == pytest.approx(0.7, rel=1e-5)
    assert labels["b"].weight == 0.0


def test_what_no_teacher_has_learnt_can_wait_for_the_student() -> None:
    """Until the student is asked, too, a new voice's word weighs nothing; a recording that a teacher knows does."""
    posteriors = {"told": log(0.7, 0.2, 0.1), "new": log(0.7, 0.2, 0.1)}
    utterances = tuple(Utterance(name, f"{name}.wav", 1.0, "", name, "train") for name in posteriors)
    fits = {name: np.ones(3, dtype=bool) for name in posteriors}
    config = PLAIN.model_copy(update={"from_start": False})
    waiting = PseudoLabeller(utterances, LEXICON, alone(posteriors), fits, UNIFORM, config, frozenset({"told"}))
    early = waiting.label(None, 0.2)
    assert (early["told"].weight, early["new"].weight) == (pytest.approx(0.7, rel=1e-5), 0.0)
    later = waiting.label({"new": log(0.1, 0.8, 0.1)}, 0.4)["new"]  # its whole voice at once: 0.07, 0.16, 0.01
    assert (later.text, later.weight) == ("two", pytest.approx(16 / 24, rel=1e-5))


STRANGER = tuple(Utterance(str(n), f"{n}.wav", 1.0, "", "new", "test") for n in range(60))
TRUTH = np.arange(60) % 3


def hears(word_of: list[int], sure: float, wrong: int) -> np.ndarray:
    """[60, W]: what a teacher who takes word w for word_of[w] hears; every `wrong`-th recording is another to it."""
    taken = np.array(word_of)[TRUTH]
    taken[::wrong] = (taken[::wrong] + 1) % 3
    rows = np.full((60, 3), (1 - sure) / 2)
    rows[np.arange(60), taken] = sure
    return np.log(rows).astype(np.float32)


def test_a_teacher_who_swaps_words_is_read_by_its_confusions() -> None:
    """Three of four now and then take a word for another; the fourth never does, but swaps `two` and `six`."""
    right_order, swapped = [0, 1, 2], [0, 2, 1]
    voices = np.stack([*(hears(right_order, 0.9, wrong) for wrong in (4, 5, 7)), hears(swapped, 0.9, 60)])
    rows = {u.utt_id: Voices(voices[:, n], np.full(4, 1 / 4)) for n, u in enumerate(STRANGER)}
    fits = {u.utt_id: np.ones(3, dtype=bool) for u in STRANGER}

    def right(config: PseudoLabelConfig) -> float:
        labels = PseudoLabeller(STRANGER, LEXICON, rows, fits, UNIFORM, config).label(None, 0.0)
        return float(np.mean([labels[str(n)].text == LEXICON.words[word] for n, word in enumerate(TRUTH)]))

    config = PLAIN.model_copy(update={"balance": True})
    assert right(config) <= 0.9
    assert right(config.model_copy(update={"pooling": "dawid_skene"})) > 0.98


def test_dawid_skene_is_the_algorithm_of_the_paper_written_out() -> None:
    """One recording and one pair of words at a time, for listeners of unlike strength."""
    rng = np.random.default_rng(5)
    voices = normalise(rng.standard_normal((2, 7, 3)).astype(np.float32))
    strengths = np.array([1.0, 2.5])

    def settle(rows: np.ndarray) -> np.ndarray:
        return np.exp(rows) / np.exp(rows).sum(axis=1, keepdims=True)

    heard = np.exp(voices.astype(float))
    believed = np.exp((1.0 * voices[0] + 2.5 * voices[1]) / 3.5)
    believed /= believed.sum(axis=1, keepdims=True)
    for _ in range(10):
        evidence = np.zeros((7, 3))
        for said in range(3):
            for k in range(2):
                counts = [1 / 6 + (0.5 if word == said else 0.0) for word in range(3)]
                for n in range(7):
                    counts = [counts[word] + believed[n, said] * heard[k, n, word] for word in range(3)]
                for n in range(7):
                    for word in range(3):
                        share = counts[word] / sum(counts)
                        evidence[n, said] += 0.5 * strengths[k] * heard[k, n, word] * np.log(share)
        believed = settle(evidence)
    np.testing.assert_allclose(dawid_skene(voices, strengths, settle), believed, rtol=1e-5)


def test_the_student_is_one_listener_more_and_counts_as_its_weight_says() -> None:
    """Half of the teachers' voice together: of two teachers one."""
    rng = np.random.default_rng(6)
    teachers = normalise(rng.standard_normal((2, 60, 3)).astype(np.float32))
    student = normalise(rng.standard_normal((60, 3)).astype(np.float32))
    rows = {u.utt_id: Voices(teachers[:, n], np.full(2, 0.5)) for n, u in enumerate(STRANGER)}
    fits = {u.utt_id: np.ones(3, dtype=bool) for u in STRANGER}
    config = PLAIN.model_copy(update={"pooling": "dawid_skene", "student_weight": 0.5, "temperature": 2.0})
    heard = {u.utt_id: student[n] for n, u in enumerate(STRANGER)}
    labels = PseudoLabeller(STRANGER, LEXICON, rows, fits, UNIFORM, config).label(heard, 1.0)
    voices = np.concatenate([teachers, normalise(student / 2)[None]])
    expected = dawid_skene(voices, np.ones(3), lambda rows: np.exp(normalise(rows.astype(np.float32))))
    found = [labels[u.utt_id] for u in STRANGER]
    assert [label.text for label in found] == [LEXICON.words[word] for word in expected.argmax(axis=1)]
    np.testing.assert_allclose([label.weight for label in found], expected.max(axis=1), rtol=1e-5)


def test_a_recording_that_a_teacher_has_learnt_is_pooled_as_ever() -> None:
    rows = {
        u.utt_id: Voices(np.stack([log(0.6, 0.3, 0.1), log(0.1, 0.3, 0.6)]), np.array([0.8, 0.2])) for u in STRANGER
    }
    fits = {u.utt_id: np.ones(3, dtype=bool) for u in STRANGER}
    config = PLAIN.model_copy(update={"pooling": "dawid_skene"})
    known = frozenset(u.utt_id for u in STRANGER)
    labels = PseudoLabeller(STRANGER, LEXICON, rows, fits, UNIFORM, config, known).label(None, 0.0)
    weights = np.array([0.6**0.8 * 0.1**0.2, 0.3, 0.1**0.8 * 0.6**0.2])
    assert labels["7"].weight == pytest.approx(weights[0] / weights.sum(), rel=1e-5)


def test_two_teachers_alone_are_pooled_as_ever() -> None:
    """Where they differ, nothing says which of them is wrong more often."""
    rng = np.random.default_rng(7)
    voices = normalise(rng.standard_normal((2, 60, 3)).astype(np.float32))
    rows = {u.utt_id: Voices(voices[:, n], np.full(2, 0.5)) for n, u in enumerate(STRANGER)}
    fits = {u.utt_id: np.ones(3, dtype=bool) for u in STRANGER}
    configs = [PLAIN.model_copy(update={"pooling": pooling}) for pooling in ("mean", "dawid_skene")]
    one, other = (PseudoLabeller(STRANGER, LEXICON, rows, fits, UNIFORM, config).label(None, 0.0) for config in configs)
    assert one == other
