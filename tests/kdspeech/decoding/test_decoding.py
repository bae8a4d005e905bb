"""Decoders against exhaustive oracles on tiny vocabularies."""

import math

import pytest
import torch

from kdspeech.decoding.autoregressive import greedy_decoder
from kdspeech.decoding.ctc import greedy_ctc
from kdspeech.decoding.lexicon import LexiconScorer
from kdspeech.decoding.token_rows import decode_token_rows
from kdspeech.errors import VocabularyError
from kdspeech.lexicon import Lexicon
from kdspeech.logspace import LOG_ZERO
from kdspeech.protocols import Encoded
from kdspeech.vocabulary import Vocabulary
from tests.oracles import summed_over_alignments

WORDS = ("ab", "aa", "b", "bab")  # with repeats, of several lengths


@pytest.fixture(scope="module")
def tiny() -> Vocabulary:
    """unk, begin, end, the word mark, a and b: V = 6."""
    return Vocabulary.train(WORDS, size=16, model_type="char")


def random_log_probs(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).log_softmax(dim=-1)


def one_hot_rows(columns: list[int], num_columns: int, probability: float = 0.9) -> torch.Tensor:
    """Rows [T, V+1] with `probability` on the named column."""
    rows = torch.full((len(columns), num_columns), (1 - probability) / (num_columns - 1))
    rows[range(len(columns)), columns] = probability
    return rows.log()


# Greedy CTC


def test_greedy_ctc_merges_repeats_and_drops_blanks(tiny: Vocabulary) -> None:
    mark, a, b = tiny.encode("ab")
    blank = tiny.blank_id
    rows = one_hot_rows([blank, mark, mark, a, blank, a, a, b, blank], tiny.num_columns)

    (hypothesis,) = greedy_ctc(rows[None], torch.tensor([9]), tiny)

    assert hypothesis.token_ids == (mark, a, a, b)  # the blank between keeps both a
    assert hypothesis.text == "aab"
    assert hypothesis.log_prob == pytest.approx(9 * math.log(0.9), rel=1e-6)


def test_greedy_ctc_never_looks_at_padding(tiny: Vocabulary) -> None:
    mark, a, b = tiny.encode("ab")
    rows = torch.stack([one_hot_rows([mark, a, b, b], tiny.num_columns)] * 3)

    texts = [h.text for h in greedy_ctc(rows, torch.tensor([4, 2, 0]), tiny)]

    assert texts == ["ab", "a", ""]


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_foreign_width_is_refused(tiny: Vocabulary, difference: int) -> None:
    rows = random_log_probs(1, 3, tiny.num_columns + difference)
    message = f"{tiny.num_columns + difference} columns"
    with pytest.raises(VocabularyError, match=message):
        greedy_ctc(rows, torch.tensor([3]), tiny)
    with pytest.raises(VocabularyError, match=message):
        decode_token_rows(rows, torch.tensor([3]), tiny)
    with pytest.raises(VocabularyError, match=message):
        LexiconScorer(Lexicon(WORDS), tiny).word_log_likelihoods(rows, torch.tensor([3]))


# Lexicon


def test_word_likelihoods_are_the_sum_over_all_alignments(tiny: Vocabulary) -> None:
    lengths = [5, 3, 4, 1]
    log_probs = random_log_probs(4, 5, tiny.num_columns)

    scores = LexiconScorer(Lexicon(WORDS), tiny).word_log_likelihoods(log_probs, torch.tensor(lengths))

    for row, rows, length in zip(scores, log_probs, lengths, strict=True):
        exact = summed_over_alignments(rows[:length], tiny.blank_id)
        for value, word in zip(row.tolist(), WORDS, strict=True):
            probability = exact.get(tuple(tiny.encode(word)), 0.0)
            assert value == pytest.approx(math.log(probability) if probability else LOG_ZERO, rel=1e-5)


def test_word_likelihoods_are_torchs_ctc_loss(vocabulary: Vocabulary, lexicon: Lexicon) -> None:
    num_frames = torch.tensor([40, 25, 12])
    log_probs = random_log_probs(3, 40, vocabulary.num_columns, seed=1)

    scores = LexiconScorer(lexicon, vocabulary).word_log_likelihoods(log_probs, num_frames)

    for column, word in enumerate(lexicon.words):
        tokens = torch.tensor([vocabulary.encode(word)] * 3)
        losses = torch.nn.functional.ctc_loss(
            log_probs.transpose(0, 1),
            tokens,
            num_frames,
            torch.full((3,), tokens.shape[1]),
            blank=vocabulary.blank_id,
            reduction="none",
        )
        torch.testing.assert_close(scores[:, column], -losses, rtol=1e-5, atol=1e-4)


def test_the_lexicon_finds_what_greedy_misses(tiny: Vocabulary) -> None:
    mark, a, b = tiny.encode("ab")
    rows = one_hot_rows([mark, a, tiny.blank_id, tiny.blank_id], tiny.num_columns, probability=0.6)
    rows[3, b], rows[3, a] = math.log(0.3), math.log(0.001)

    (greedy,) = greedy_ctc(rows[None], torch.tensor([4]), tiny)
    (word,) = LexiconScorer(Lexicon(WORDS), tiny).decode(rows[None], torch.tensor([4]))

    assert greedy.text == "a"
    assert (word.text, word.token_ids) == ("ab", (mark, a, b))


def test_no_word_fits_into_no_frames(tiny: Vocabulary) -> None:
    scorer = LexiconScorer(Lexicon(WORDS), tiny)
    log_probs = random_log_probs(1, 4, tiny.num_columns)

    assert scorer.word_log_likelihoods(log_probs, torch.tensor([0])).tolist() == [[LOG_ZERO] * len(WORDS)]
    (nothing,) = scorer.decode(log_probs, torch.tensor([0]), n_best=3)
    assert (nothing.text, nothing.confidence, nothing.n_best) == ("", 0.0, ())


def test_impossible_columns_stay_impossible(tiny: Vocabulary) -> None:
    mark, a, _ = tiny.encode("ab")
    log_probs = one_hot_rows([mark, a, tiny.blank_id, a], tiny.num_columns)
    log_probs[:, tiny.encode("b")[-1]] = -torch.inf

    scores = LexiconScorer(Lexicon(WORDS), tiny).word_log_likelihoods(log_probs[None], torch.tensor([4]))[0]

    assert [score > LOG_ZERO for score in scores.tolist()] == [False, True, False, False]  # only "aa"


def test_all_words_confidences_make_one_in_order(tiny: Vocabulary) -> None:
    log_probs, num_frames = random_log_probs(3, 6, tiny.num_columns), torch.tensor([6, 5, 4])
    scorer = LexiconScorer(Lexicon(WORDS), tiny)

    found = scorer.decode(log_probs, num_frames, n_best=len(WORDS))

    for hypothesis, rows, length in zip(found, log_probs, num_frames.tolist(), strict=True):
        exact = summed_over_alignments(rows[:length], tiny.blank_id)
        shares = {word: exact[tuple(tiny.encode(word))] for word in WORDS}
        total = sum(shares.values())
        ranked = sorted((word for word in WORDS if shares[word]), key=lambda word: -shares[word])
        assert [h.text for h in hypothesis.n_best] == ranked
        assert [h.confidence for h in hypothesis.n_best] == pytest.approx([shares[w] / total for w in ranked], rel=1e-4)
        assert sum(h.confidence for h in hypothesis.n_best) == pytest.approx(1.0, abs=1e-6)
        assert (hypothesis.text, hypothesis.confidence) == (ranked[0], hypothesis.n_best[0].confidence)
    alone = scorer.decode(log_probs, num_frames)
    assert [(h.text, h.confidence, h.n_best) for h in alone] == [(h.text, h.confidence, ()) for h in found]
    assert [h.text for h in scorer.decode(log_probs, num_frames, n_best=2)[0].n_best] == [
        h.text for h in found[0].n_best[:2]
    ]


def test_a_temperature_flattens_the_posterior_and_keeps_the_order(tiny: Vocabulary) -> None:
    scorer = LexiconScorer(Lexicon(WORDS), tiny)
    (scores,) = scorer.scores(random_log_probs(1, 6, tiny.num_columns), torch.tensor([6]))
    plain, flat = (scorer.hypothesis(scores, len(WORDS), temperature) for temperature in (1.0, 3.0))
    weights = {h.text: h.confidence ** (1 / 3) for h in plain.n_best}
    assert [h.confidence for h in flat.n_best] == pytest.approx([w / sum(weights.values()) for w in weights.values()])
    assert [h.text for h in flat.n_best] == [h.text for h in plain.n_best]


def test_priors_are_bayes_rule(tiny: Vocabulary) -> None:
    priors = dict(zip(WORDS, (0.1, 0.2, 0.3, 0.4), strict=True))
    log_probs, num_frames = random_log_probs(1, 6, tiny.num_columns), torch.tensor([6])
    likelihoods = LexiconScorer(Lexicon(WORDS), tiny).word_log_likelihoods(log_probs, num_frames)[0].double().exp()
    joint = {word: priors[word] * float(p) for word, p in zip(WORDS, likelihoods, strict=True)}

    (found,) = LexiconScorer(Lexicon(WORDS), tiny, priors).decode(log_probs, num_frames, n_best=4)

    expected = {word: p / sum(joint.values()) for word, p in joint.items()}
    assert {h.text: h.confidence for h in found.n_best} == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("word", ["abc", "AB", "a  b"])
def test_a_word_outside_the_vocabulary_is_named(tiny: Vocabulary, word: str) -> None:
    with pytest.raises(VocabularyError, match=f"'{word}'.*does not come back"):
        LexiconScorer(Lexicon(("ab", word)), tiny)


# Attention decoder


class TableStudent:
    """A student whose next-token distribution is looked up by utterance and prefix."""

    frame_shift_s = 0.04

    def __init__(self, vocabulary: Vocabulary, table: dict[tuple[int, tuple[int, ...]], dict[int, float]]) -> None:
        self.vocabulary, self.table = vocabulary, table

    def decoder_log_probs(self, encoded: Encoded, decoder_inputs: torch.Tensor) -> torch.Tensor:
        assert (decoder_inputs[:, 0] == self.vocabulary.blank_id).all()  # begins with V
        rows = torch.full((*decoder_inputs.shape, self.vocabulary.num_columns), 1e-6)
        for b, row in enumerate(decoder_inputs.tolist()):
            for u in range(len(row)):
                for column, probability in self.table.get((b, tuple(row[1 : u + 1])), {}).items():
                    rows[b, u, column] = probability
        return rows.log()


def encoded(batch_size: int) -> Encoded:
    return Encoded(states=torch.zeros(batch_size, 1, 1), num_frames=torch.ones(batch_size, dtype=torch.long))


def test_greedy_decoder_follows_the_table_and_sums_its_path(tiny: Vocabulary) -> None:
    (mark, a, b), end = tiny.encode("ab"), tiny.blank_id
    student = TableStudent(
        tiny,
        {
            (0, ()): {mark: 0.9, end: 0.1},
            (0, (mark,)): {a: 0.7, b: 0.3},
            (0, (mark, a)): {end: 0.8, b: 0.2},
            (1, ()): {mark: 1.0},
            (1, (mark,)): {b: 0.6},
            (1, (mark, b)): {a: 0.5},
            (1, (mark, b, a)): {b: 0.5},
            (1, (mark, b, a, b)): {end: 0.9},
            (2, ()): {end: 0.95},
        },
    )

    hypotheses = greedy_decoder(student, encoded(3), torch.tensor([10, 10, 10]))  # type: ignore[arg-type]

    assert [h.text for h in hypotheses] == ["a", "bab", ""]
    assert hypotheses[0].token_ids == (mark, a)
    expected = [0.9 * 0.7 * 0.8, 1.0 * 0.6 * 0.5 * 0.5 * 0.9, 0.95]
    assert [math.exp(h.log_prob) for h in hypotheses] == pytest.approx(expected, rel=1e-5)


def test_greedy_decoder_is_bounded_by_the_audio(tiny: Vocabulary) -> None:
    a = tiny.encode("ab")[1]
    table = {(u, (a,) * n): {a: 0.99} for u in range(3) for n in range(50)}  # never says the end
    student = TableStudent(tiny, table)

    hypotheses = greedy_decoder(student, encoded(3), torch.tensor([4, 2, 0]))  # type: ignore[arg-type]

    assert [h.token_ids for h in hypotheses] == [(a,) * 4, (a,) * 2, ()]
    assert [h.log_prob for h in hypotheses] == pytest.approx([4 * math.log(0.99), 2 * math.log(0.99), 0.0])


def test_greedy_decoder_never_chooses_a_piece_without_text(tiny: Vocabulary) -> None:
    (mark, a, _), end = tiny.encode("ab"), tiny.blank_id
    specials = dict.fromkeys(tiny.special_ids, 0.3)
    student = TableStudent(
        tiny, {(0, ()): {**specials, mark: 0.1}, (0, (mark,)): {**specials, a: 0.1}, (0, (mark, a)): {end: 1.0}}
    )

    (hypothesis,) = greedy_decoder(student, encoded(1), torch.tensor([5]))  # type: ignore[arg-type]

    assert tiny.special_ids == {0, 1, 2}
    assert hypothesis.text == "a"
    assert math.exp(hypothesis.log_prob) == pytest.approx(0.1 * 0.1)  # not renormalised


# Teacher-forced rows


def test_token_rows_are_read_up_to_the_first_end(tiny: Vocabulary) -> None:
    (mark, a, b), end = tiny.encode("ab"), tiny.blank_id
    rows = torch.stack(
        [
            one_hot_rows([mark, a, b, end], tiny.num_columns),
            one_hot_rows([mark, b, end, a], tiny.num_columns),  # an end before the last row
            one_hot_rows([mark, a, b, a], tiny.num_columns),  # no end; padded after two rows
        ]
    )

    hypotheses = decode_token_rows(rows, torch.tensor([4, 4, 2]), tiny)

    assert [h.text for h in hypotheses] == ["ab", "b", "a"]
    assert [h.log_prob for h in hypotheses] == pytest.approx([n * math.log(0.9) for n in (4, 3, 2)], rel=1e-6)
