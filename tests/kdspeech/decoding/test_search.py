"""Searches over open texts against exhaustive search: attention beam, rules, joint rescoring, scores of given texts."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch

from kdspeech.decoding.autoregressive import SearchRules, decoder_log_likelihoods, greedy_decoder
from kdspeech.decoding.beam import BeamOptions, beam_decoder
from kdspeech.decoding.ctc import greedy_ctc, text_log_likelihoods
from kdspeech.decoding.joint import joint_decoder
from kdspeech.logspace import LOG_ZERO
from kdspeech.vocabulary import Vocabulary
from tests.oracles import RandomStudent, TokenIds, all_texts, attention_score, encoded, summed_over_alignments

LENGTHS = (4, 3, 1, 0)
EVERYTHING = 200  # more than the 81 texts of four tokens


@pytest.fixture(scope="module")
def tiny() -> Vocabulary:
    """unk, begin, end, the word mark, a and b: V = 6, of which three stand for text."""
    return Vocabulary.train(("ab", "aa", "b", "bab"), size=16, model_type="char")


def judge(rules: SearchRules, end_id: int) -> Any:
    """The rules in plain Python."""

    def judged(log_probs: list[float], said: TokenIds) -> list[float]:
        row = [p * rules.repetition_penalty if c in said else p for c, p in enumerate(log_probs)]
        if rules.end_threshold and row[end_id] <= rules.end_threshold * max(row[:end_id]):
            row[end_id] = -math.inf
        return row

    return judged


RULES = (SearchRules(), SearchRules(repetition_penalty=1.6), SearchRules(end_threshold=1.2), SearchRules(1.3, 1.5))


@pytest.mark.parametrize("rules", RULES)
@pytest.mark.parametrize("length_norm", [0.0, 0.9])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_beam_of_everything_is_exhaustive_search(
    tiny: Vocabulary, rules: SearchRules, length_norm: float, seed: int
) -> None:
    student = RandomStudent(tiny, seed)

    found = beam_decoder(
        student,  # type: ignore[arg-type]
        encoded(LENGTHS),
        torch.tensor(LENGTHS),
        BeamOptions(EVERYTHING, length_norm, rules),
    )

    for b, (hypothesis, limit) in enumerate(zip(found, LENGTHS, strict=True)):
        scores = {
            text: attention_score(student, b, text, limit, judge(rules, tiny.end_id))
            / ((5 + len(text)) / 6) ** length_norm
            for text in all_texts(tiny, limit)
        }
        possible = {text: score for text, score in scores.items() if score > -math.inf}
        ranked = sorted(possible, key=lambda text: -possible[text])
        assert [h.token_ids for h in hypothesis.n_best] == ranked
        assert (hypothesis.token_ids, hypothesis.text) == (ranked[0], tiny.decode(ranked[0]))
        for other in hypothesis.n_best:  # penalties choose, but what is reported is the model's own
            assert other.log_prob == pytest.approx(attention_score(student, b, other.token_ids, limit), abs=1e-5)
            assert other.confidence == pytest.approx(math.exp(other.log_prob / (len(other.token_ids) + 1)))


def test_all_texts_that_the_audio_can_hold_make_one(tiny: Vocabulary) -> None:
    found = beam_decoder(
        RandomStudent(tiny),  # type: ignore[arg-type]
        encoded(LENGTHS),
        torch.tensor(LENGTHS),
        BeamOptions(EVERYTHING),
    )
    for hypothesis in found:
        assert sum(math.exp(h.log_prob) for h in hypothesis.n_best) == pytest.approx(1.0, abs=1e-5)


@pytest.mark.parametrize("length_norm", [0.0, 0.9])
@pytest.mark.parametrize("n_best", [1, 3])
def test_the_search_ends_early_only_when_the_wanted_texts_are_certain(
    tiny: Vocabulary, n_best: int, length_norm: float
) -> None:
    student: Any = RandomStudent(tiny, seed=11, sharpness=3.0)
    everything = BeamOptions(EVERYTHING, length_norm)
    whole = beam_decoder(student, encoded(LENGTHS), torch.tensor(LENGTHS), everything)

    few = beam_decoder(student, encoded(LENGTHS), torch.tensor(LENGTHS), replace(everything, n_best=n_best))

    for hypothesis, other in zip(few, whole, strict=True):
        assert [h.token_ids for h in hypothesis.n_best] == [h.token_ids for h in other.n_best[:n_best]]


@pytest.mark.parametrize("size", [2, 3, 8])
@pytest.mark.parametrize("length_norm", [0.0, 1.0])
def test_a_narrow_beam_ranks_what_it_found_rightly(tiny: Vocabulary, size: int, length_norm: float) -> None:
    lengths = (6, 5, 2)
    student = RandomStudent(tiny, seed=3)

    found = beam_decoder(
        student,  # type: ignore[arg-type]
        encoded(lengths),
        torch.tensor(lengths),
        BeamOptions(size, length_norm),
    )

    for b, (hypothesis, limit) in enumerate(zip(found, lengths, strict=True)):
        texts = [h.token_ids for h in hypothesis.n_best]
        assert len(set(texts)) == len(texts) == size
        ranks = [h.log_prob / ((5 + len(h.token_ids)) / 6) ** length_norm for h in hypothesis.n_best]
        assert ranks == sorted(ranks, reverse=True)
        for other in hypothesis.n_best:
            assert other.log_prob == pytest.approx(attention_score(student, b, other.token_ids, limit), abs=1e-5)


@pytest.mark.parametrize("rules", RULES)
def test_greedy_search_takes_the_best_judged_token(tiny: Vocabulary, rules: SearchRules) -> None:
    student = RandomStudent(tiny, seed=5)
    found = greedy_decoder(student, encoded(LENGTHS), torch.tensor(LENGTHS), rules)  # type: ignore[arg-type]
    for b, (hypothesis, limit) in enumerate(zip(found, LENGTHS, strict=True)):
        text: TokenIds = ()
        while len(text) < limit:
            row = judge(rules, tiny.end_id)(student.next_token(b, text).double().tolist(), text)
            best = max(range(len(row)), key=lambda column: row[column])
            if best == tiny.end_id:
                break
            text = (*text, best)
        assert hypothesis.token_ids == text
        assert hypothesis.log_prob == pytest.approx(attention_score(student, b, text, limit), abs=1e-5)
        assert 0.0 <= hypothesis.confidence <= 1.0


def test_texts_are_scored_by_the_sum_over_all_alignments(tiny: Vocabulary) -> None:
    student, lengths = RandomStudent(tiny), (4, 3, 0)
    log_probs = student.ctc_log_probs(encoded(lengths))
    texts = [list(all_texts(tiny, 4)), [], [(), (3,)]]

    scores = text_log_likelihoods(log_probs, torch.tensor(lengths), texts)

    exact = summed_over_alignments(log_probs[0], tiny.blank_id)
    for text, score in zip(texts[0], scores[0], strict=True):
        assert score == pytest.approx(math.log(exact[text]) if exact.get(text) else LOG_ZERO, abs=1e-5)
    assert scores[1:] == [[], [0.0, LOG_ZERO]]


def test_texts_are_scored_by_the_decoder_with_their_end(tiny: Vocabulary) -> None:
    student, lengths = RandomStudent(tiny), (3, 2)
    texts = [list(all_texts(tiny, length)) for length in lengths]

    scores = decoder_log_likelihoods(student, encoded(lengths), torch.tensor(lengths), texts)  # type: ignore[arg-type]

    for b, limit in enumerate(lengths):
        expected = [attention_score(student, b, text, limit) for text in texts[b]]
        assert scores[b] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_joint_rescoring_of_everything_is_exhaustive_search(tiny: Vocabulary, weight: float) -> None:
    student, lengths = RandomStudent(tiny, seed=7), (4, 3, 1)

    found = joint_decoder(student, encoded(lengths), BeamOptions(EVERYTHING), weight)  # type: ignore[arg-type]

    log_probs = student.ctc_log_probs(encoded(lengths))
    for b, (hypothesis, limit) in enumerate(zip(found, lengths, strict=True)):
        by_ctc = summed_over_alignments(log_probs[b, :limit], tiny.blank_id)
        scores = {
            text: weight * (math.log(by_ctc[text]) if by_ctc.get(text) else LOG_ZERO)
            + (1 - weight) * attention_score(student, b, text, limit)
            for text in all_texts(tiny, limit)
        }
        best = max(scores, key=lambda text: scores[text])
        assert hypothesis.token_ids == best
        assert hypothesis.log_prob == pytest.approx(scores[best], abs=1e-4)
        order = [scores[h.token_ids] for h in hypothesis.n_best]
        assert order == pytest.approx(sorted(scores.values(), reverse=True), abs=1e-3)


def test_ctc_saves_a_decoder_that_runs_away(tiny: Vocabulary) -> None:
    """The decoder's beam holds only runaways; greedy CTC is a candidate all the same, and wins."""
    _, a, _ = tiny.encode("ab")

    class Runaway(RandomStudent):
        def next_token(self, utterance: int, prefix: TokenIds) -> torch.Tensor:
            row = torch.full((tiny.num_columns,), 1e-3)
            row[a] = 1.0
            return (row / row.sum()).log()

        def ctc_log_probs(self, encoded: Any) -> torch.Tensor:
            row = torch.full((1, 8, tiny.num_columns), 1e-6)
            row[0, :, tiny.blank_id], row[0, 3, tiny.blank_id], row[0, 3, a] = 1.0, 1e-6, 1.0
            return (row / row.sum(dim=-1, keepdim=True)).log()

    student: Any = Runaway(tiny)
    by_beam = beam_decoder(student, encoded((8,)), torch.tensor([8]), BeamOptions(2))[0]
    joint = joint_decoder(student, encoded((8,)), BeamOptions(2), 0.5)[0]
    assert by_beam.token_ids == (a,) * 8
    assert joint.token_ids == greedy_ctc(student.ctc_log_probs(None), torch.tensor([8]), tiny)[0].token_ids == (a,)
