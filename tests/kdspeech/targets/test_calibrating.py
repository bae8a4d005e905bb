"""Teachers' temperatures: what made their scores wrong is found again, from their own validation recordings only."""

import numpy as np
import pytest

from kdspeech.decoding.calibration import fit_temperature
from kdspeech.errors import ConfigError
from kdspeech.lexicon import Lexicon
from kdspeech.logspace import LOG_ZERO, normalise
from kdspeech.protocols import TeacherCard
from kdspeech.targets.calibrating import fit_teachers, frame_labels
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary
from tests.doubles import peaked_log_probs

LEXICON = Lexicon(("one", "two", "six"))


def card(name: str, *speakers: str) -> TeacherCard:
    return TeacherCard(name, "speechbrain", ".", speakers, "c", "v")


def recordings(speaker: str, texts: list[str]) -> list[Utterance]:
    return [Utterance(f"{speaker}-{i}", "a.wav", 1.0, text, speaker, "valid") for i, text in enumerate(texts)]


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_a_teachers_temperature_is_found_on_its_own_speaker(temperature: float, vocabulary: Vocabulary) -> None:
    """anna's teacher says log p * t, p the truth; on bert's recordings it says nonsense, which nobody looks at."""
    rng = np.random.default_rng(0)
    truth = normalise(rng.normal(0, 1.5, (3000, 3)).astype(np.float32))
    own = recordings("anna", [LEXICON.words[rng.choice(3, p=np.exp(row) / np.exp(row).sum())] for row in truth])
    other = recordings("bert", ["one"] * 50)
    rows = {u.utt_id: normalise(row * temperature) for u, row in zip(own, truth, strict=True)}
    rows |= {u.utt_id: peaked_log_probs([1], 3, 0.999)[0] for u in other}
    found = fit_teachers([card("anna", "anna")], [*own, *other], {"word": {"anna": rows}}, vocabulary, LEXICON)
    assert found["anna"]["word"] == pytest.approx(temperature, rel=0.08)


def test_who_is_right_on_all_of_n_is_right_on_n_plus_1_of_n_plus_2() -> None:
    """Two columns, ten rows of log odds m, all right: the best temperature gives the right one 1 - 1/24.

    The spread share 1/12 falls on both columns, half each.
    """
    margin = 6.0
    rows = [np.array([margin, 0.0])] * 10
    fitted = fit_temperature(rows, [0] * 10, spread=1 / 12)
    wanted = margin / np.log((1 - 1 / 24) / (1 / 24))
    assert fitted.temperature == pytest.approx(wanted, rel=0.02)
    assert fit_temperature(rows, [0] * 10).temperature == pytest.approx(0.05)  # without: as sure as the grid allows


def test_words_that_cannot_be_said_get_no_share() -> None:
    possible = fit_temperature([np.array([6.0, 0.0])] * 10, [0] * 10, spread=1 / 12)
    with_impossible = fit_temperature([np.array([6.0, 0.0, LOG_ZERO])] * 10, [0] * 10, spread=1 / 12)
    assert with_impossible.temperature == possible.temperature


def test_frames_are_labelled_by_the_likeliest_alignment(vocabulary: Vocabulary) -> None:
    first, second = vocabulary.encode("one")[0], vocabulary.encode("two")[0]
    blank = vocabulary.blank_id
    path = [blank, first, first, blank, second, blank]
    rows = peaked_log_probs(path, vocabulary.num_columns, 0.9)
    assert frame_labels(rows, [first, second], blank) == path
    # The utterance is known to say the second piece only: where the first was heard there can be nothing.
    assert frame_labels(rows, [second], blank) == [blank, blank, blank, blank, second, blank]
    assert frame_labels(rows[:1], [first, second], blank) == [None]


def test_every_kind_has_a_temperature_of_its_own(vocabulary: Vocabulary, capsys: pytest.CaptureFixture[str]) -> None:
    own, columns, blank = recordings("anna", ["one"] * 30), vocabulary.num_columns, vocabulary.blank_id
    tokens = vocabulary.encode("one")
    path = [blank, *(column for token in tokens for column in (token, blank))]
    sure, unsure = peaked_log_probs(path, columns, 0.9999), peaked_log_probs([*tokens, blank], columns, 0.4)
    found = fit_teachers(
        [card("anna", "anna")],
        own,
        {
            "ctc": {"anna": {u.utt_id: sure for u in own}},
            "decoder": {"anna": {u.utt_id: unsure for u in own}},
            "hypotheses": {"anna": {u.utt_id: () for u in own}},
        },
        vocabulary,
        None,
    )
    assert set(found["anna"]) == {"ctc", "decoder"}
    assert found["anna"]["ctc"] > 1 > found["anna"]["decoder"]  # 0.9999 is more than 30 recordings show, 0.4 less
    assert "temperatures" in capsys.readouterr().out


def test_a_teacher_without_recordings_of_its_own_is_named(vocabulary: Vocabulary) -> None:
    with pytest.raises(ConfigError, match=r"calibrate: teacher anna has no validation .* trained on \(anna\)"):
        fit_teachers([card("anna", "anna")], recordings("bert", ["one"]), {"word": {"anna": {}}}, vocabulary, LEXICON)
