"""Which utterances the page draws."""

from kdspeech.evaluation.results import DecodedUtterance
from kdspeech.run_report.listening import chosen


def _answer(utt_id: str, word: str, confidence: float, right: bool = False) -> DecodedUtterance:
    return DecodedUtterance(utt_id, "ann", "", "", word, word if right else "other", right, -1.0, confidence)


def test_the_surest_error_of_each_word_ranks_it() -> None:
    """`two` has the surest error of all, and the least sure one too."""
    answers = [
        _answer("one-a", "one", 0.6),
        _answer("two-a", "two", 0.1),
        _answer("two-b", "two", 0.9),
        _answer("six-a", "six", 0.5),
        _answer("six-b", "six", 0.99, right=True),
        _answer("ten-a", "ten", 0.2, right=True),
    ]
    assert chosen(answers, 1, 0) == ["two-b"]
    assert chosen(answers, 2, 2) == ["two-b", "one-a", "six-b", "ten-a"]
    assert chosen(answers, 3, 2) == ["two-b", "one-a", "six-a", "ten-a"]
    assert chosen(answers, 0, 1) == ["six-b"]
