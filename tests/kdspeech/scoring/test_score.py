"""Scoring against counts made by hand."""

import pytest

from kdspeech.errors import KdspeechError
from kdspeech.scoring.normalise import RULES
from kdspeech.scoring.score import Scores, normalise, score_groups, score_texts


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("X-RAY", "x ray"),
        ("ROLY-POLY", "roly poly"),
        ("thirty\N{NON-BREAKING HYPHEN}five", "thirty five"),
        ("  two \t words\n", "two words"),
        ("don\N{RIGHT SINGLE QUOTATION MARK}t!", "don't"),
        ("\N{LATIN SMALL LIGATURE FI}ne", "fine"),
        ("caf\N{LATIN SMALL LETTER E WITH ACUTE}.", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
        ("cafe\N{COMBINING ACUTE ACCENT}", "caf\N{LATIN SMALL LETTER E WITH ACUTE}"),
        (" \N{DOUBLE QUESTION MARK} one", "unk one"),  # an unknown piece is an error, not nothing
        ("...", ""),
        ("7", "7"),
    ],
)
def test_normalise(text: str, expected: str) -> None:
    assert normalise(text) == expected
    assert normalise(expected) == expected


def test_every_rule_says_what_it_does() -> None:
    assert all(rule.__doc__ for rule in RULES)


def test_counts_by_hand() -> None:
    references = {"1": "one two three", "2": "seven", "3": "eight", "4": "nine"}
    hypotheses = {"1": "one three four", "2": "Seven.", "3": "", "4": "nine nine"}

    scores = score_texts(references, hypotheses)

    assert (scores.utterances, scores.correct) == (4, 1)
    # 1: two deleted and four inserted, or two substitutions; 3: a deletion; 4: an insertion
    assert scores.hits in (3, 4)
    assert scores.errors == 4
    assert scores.reference_words == 6
    assert scores.wra == pytest.approx(25.0)
    assert scores.wer == pytest.approx(100 * 4 / 6)
    assert (scores.empty, scores.distinct) == (1, 4)


def test_wer_may_exceed_100_percent() -> None:
    scores = score_texts({"1": "one"}, {"1": "two two two"})
    assert (scores.substitutions, scores.insertions) == (1, 2)
    assert scores.wer == pytest.approx(300.0)


def test_an_empty_reference_counts_its_insertions() -> None:
    scores = score_texts({"1": "", "2": "", "3": "one"}, {"1": "a b", "2": "", "3": "one"})
    assert (scores.correct, scores.hits, scores.insertions) == (2, 1, 2)
    assert scores.wer == pytest.approx(200.0)
    assert score_texts({"1": ""}, {"1": "a b"}).wer == pytest.approx(200.0)


def test_scores_of_parts_add_up_to_the_whole() -> None:
    references = {"a1": "one", "a2": "two", "b1": "one", "b2": "three"}
    hypotheses = {"a1": "one", "a2": "one", "b1": "one", "b2": ""}
    speaker_of = {utt_id: utt_id[0] for utt_id in references}

    groups = score_groups(references, hypotheses, speaker_of)

    assert list(groups) == ["a", "b"]
    assert [g.correct for g in groups.values()] == [1, 1]
    assert groups["a"].distinct == groups["a"].utterances - 1
    assert sum(groups.values(), Scores()) == score_texts(references, hypotheses)


def test_the_most_frequent_prediction_shows_a_collapse() -> None:
    scores = score_texts({str(i): word for i, word in enumerate("abcd")}, {str(i): "a" for i in range(4)})
    assert scores.distinct == 1
    assert scores.most_frequent == ("a", 4)
    assert scores.to_dict()["most_frequent"] == {"text": "a", "count": 4, "share": 100.0}


def test_nothing_scores_nothing() -> None:
    assert score_texts({}, {}) == Scores()
    assert (Scores().wra, Scores().wer) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("hypotheses", "message"),
    [({"1": "one"}, r"1 \(2\) without hypothesis"), ({"1": "one", "2": "", "9": ""}, r"1 \(9\) without reference")],
)
def test_the_join_is_total(hypotheses: dict[str, str], message: str) -> None:
    with pytest.raises(KdspeechError, match=message):
        score_texts({"1": "one", "2": "two"}, hypotheses)
