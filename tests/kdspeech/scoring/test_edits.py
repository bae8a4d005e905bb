"""Counts of edits: by hand, and against the libraries that people quote, to the last count."""

import random
from collections.abc import Sequence

import jiwer
import pytest

from kdspeech.scoring.edits import Edits, count_edits
from kdspeech.scoring.normalise import normalise
from kdspeech.scoring.score import Scores, score_texts
from kdspeech.torchaudio_compat import ensure_torchaudio

Pairs = Sequence[tuple[str, str]]

_WORDS = (
    "one",
    "two",
    "two",
    "x",
    "X-ray",
    "don't",
    "a",
    "b",
    "日本",
    "naïve",
    "é",
    "e\u0301",
    "ß",
    "straße",
    "ω",
    "да",
    "ﬁne",
)


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    """10,000 pairs of 0 to 8 words: empty texts on either side or both, repeated words, scripts, unnormalised forms."""
    rng = random.Random(0)

    def text() -> str:
        return " ".join(rng.choices(_WORDS, k=rng.choice((0, 0, 1, 1, 1, 2, 3, 5, 8))))

    made = [(text(), text()) for _ in range(10_000)]
    return [(reference, reference if rng.random() < 0.2 else hypothesis) for reference, hypothesis in made]


@pytest.fixture(scope="module")
def normalised(pairs: Pairs) -> Pairs:
    return [(normalise(reference), normalise(hypothesis)) for reference, hypothesis in pairs]


@pytest.fixture(scope="module")
def scores(pairs: Pairs) -> Scores:
    """What `score` counts, from the texts as they were."""
    return score_texts(
        {str(i): reference for i, (reference, _) in enumerate(pairs)},
        {str(i): hypothesis for i, (_, hypothesis) in enumerate(pairs)},
    )


@pytest.mark.parametrize(
    ("reference", "hypothesis", "expected"),
    [
        ("", "", Edits(0, 0, 0, 0, 0, 0)),
        ("", "a b", Edits(0, 0, 0, 2, 0, 3)),
        ("a b", "", Edits(0, 0, 2, 0, 3, 3)),
        ("one two", "one two", Edits(2, 0, 0, 0, 7, 0)),
        ("two", "one two two", Edits(1, 0, 0, 2, 3, 8)),
        ("one two three", "two", Edits(1, 0, 2, 0, 13, 10)),
        ("one", "two", Edits(0, 1, 0, 0, 3, 3)),
        ("one", "two six", Edits(0, 1, 0, 1, 3, 6)),
        ("a b c d", "a x c", Edits(2, 1, 1, 0, 7, 3)),
    ],
)
def test_edits_by_hand(reference: str, hypothesis: str, expected: Edits) -> None:
    assert count_edits(reference, hypothesis) == expected


@pytest.mark.parametrize(("said", "errors"), [("kitten", 0), ("sitten", 1), ("sitting", 3), ("kit ten", 1), ("", 6)])
def test_character_errors_by_hand(said: str, errors: int) -> None:
    assert count_edits("kitten", said).character_errors == errors


def test_jiwer_agrees_in_every_count(normalised: Pairs, scores: Scores) -> None:
    references, hypotheses = (list(texts) for texts in zip(*normalised, strict=True))
    words = jiwer.process_words(references, hypotheses)
    characters = jiwer.process_characters(references, hypotheses)

    assert (scores.hits, scores.substitutions) == (words.hits, words.substitutions)
    assert (scores.deletions, scores.insertions) == (words.deletions, words.insertions)
    assert scores.character_errors == characters.substitutions + characters.deletions + characters.insertions
    assert scores.reference_characters == characters.hits + characters.substitutions + characters.deletions
    assert scores.wer == pytest.approx(100 * words.wer)
    assert scores.cer == pytest.approx(100 * characters.cer)
    for reference, hypothesis in normalised[:1000]:
        pair = jiwer.process_words(reference, hypothesis)
        assert count_edits(reference, hypothesis)[:4] == (
            pair.hits,
            pair.substitutions,
            pair.deletions,
            pair.insertions,
        )


@pytest.mark.slow
def test_speechbrain_agrees(normalised: Pairs, scores: Scores) -> None:
    """Errors, reference words and wrong sentences are the same, pair by pair.

    S, D and I are not where alignments cost the same: SpeechBrain follows Kaldi, which prefers an insertion or deletion
    to a substitution at each step. There its sum is the same, and so is the surplus of insertions over deletions.
    """
    ensure_torchaudio()
    from speechbrain.utils.edit_distance import wer_details_by_utterance, wer_summary
    from speechbrain.utils.metric_stats import ErrorRateStats

    details = wer_details_by_utterance(
        {i: reference.split() for i, (reference, _) in enumerate(normalised)},
        {i: hypothesis.split() for i, (_, hypothesis) in enumerate(normalised)},
    )
    summary = wer_summary(details)
    stats = ErrorRateStats()
    stats.append(
        ids=list(range(len(normalised))),
        predict=[hypothesis.split() for _, hypothesis in normalised],
        target=[reference.split() for reference, _ in normalised],
    )
    assert {key: stats.summarize()[key] for key in summary} == summary
    assert (scores.errors, scores.reference_words) == (summary["num_edits"], summary["num_scored_tokens"])
    assert scores.utterances - scores.correct == summary["num_erroneous_sents"]
    assert scores.wer == pytest.approx(summary["WER"])
    ties = 0
    for (reference, hypothesis), theirs in zip(normalised, details, strict=True):
        ours = count_edits(reference, hypothesis)
        assert ours.substitutions + ours.deletions + ours.insertions == theirs["num_edits"]
        assert ours.insertions - ours.deletions == theirs["insertions"] - theirs["deletions"]
        ties += ours.substitutions != theirs["substitutions"]
    assert 0 < ties < 0.03 * len(normalised)


@pytest.mark.slow
def test_nemo_agrees(normalised: Pairs, scores: Scores) -> None:
    """NeMo gives rates only, so counts are rates times words. Its S, D and I are SpeechBrain's, ours but for ties."""
    ensure_torchaudio()
    from nemo.collections.asr.metrics.wer import word_error_rate, word_error_rate_detail
    from speechbrain.utils.edit_distance import wer_details_by_utterance, wer_summary

    references, hypotheses = (list(texts) for texts in zip(*normalised, strict=True))

    assert word_error_rate(hypotheses, references) * scores.reference_words == pytest.approx(scores.errors, abs=1e-6)
    characters = word_error_rate(hypotheses, references, use_cer=True) * scores.reference_characters
    assert characters == pytest.approx(scores.character_errors, abs=1e-6)
    _, words, *rates = word_error_rate_detail(hypotheses, references)
    theirs = wer_summary(
        wer_details_by_utterance(
            {i: reference.split() for i, reference in enumerate(references)},
            {i: hypothesis.split() for i, hypothesis in enumerate(hypotheses)},
        )
    )
    kinds = ("insertions", "deletions", "substitutions")
    assert words == scores.reference_words
    assert [rate * words for rate in rates] == pytest.approx([theirs[kind] for kind in kinds], abs=1e-6)


@pytest.mark.slow
def test_where_the_definitions_differ() -> None:
    """Without reference words: NeMo's rate is infinite, SpeechBrain's 0, jiwer's and ours the number of insertions."""
    ensure_torchaudio()
    from nemo.collections.asr.metrics.wer import word_error_rate
    from speechbrain.utils.edit_distance import wer_details_by_utterance, wer_summary

    summary = wer_summary(wer_details_by_utterance({1: []}, {1: ["a", "b"]}))

    assert word_error_rate(["a b"], [""]) == float("inf")
    assert (summary["num_edits"], summary["num_scored_tokens"], summary["WER"]) == (2, 0, 0.0)
    assert jiwer.process_words([""], ["a b"]).wer == 2
    assert score_texts({"1": ""}, {"1": "a b"}).wer == pytest.approx(200.0)
    # a tie: two substitutions, or one deletion and one insertion around a right b
    tie = wer_details_by_utterance({1: ["a", "b"]}, {1: ["b", "c"]})[0]
    assert (tie["substitutions"], tie["deletions"], tie["insertions"]) == (0, 1, 1)
    assert count_edits("a b", "b c")[1:4] == (2, 0, 0)
