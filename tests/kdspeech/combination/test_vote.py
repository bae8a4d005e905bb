"""Votes counted by hand."""

import pytest

from kdspeech.combination.vote import Answer, Combined, vote


def said(text: str, score: float = -1.0) -> Answer:
    return Answer(text, score)


@pytest.mark.parametrize(
    ("answers", "winner"),
    [
        ([said("a"), said("b"), said("b")], "b"),
        ([said("a", -1.0), said("b", -0.5)], "b"),  # a tie: the higher summed score
        ([said("a", -1.0), said("b", -2.0), said("a", -9.0), said("b", -2.0)], "b"),
        ([said("a"), said("b")], "a"),  # a tie in everything: the earlier
        ([said(""), said(""), said("a", -50.0)], "a"),  # an empty text abstains
        ([said(""), said("")], ""),
        ([said("X-ray"), said("b", 0.0), said("x ray")], "X-ray"),  # equal after normalisation
    ],
)
def test_vote(answers: list[Answer], winner: str) -> None:
    assert vote(answers).text == winner


def test_the_agreement_is_the_share_of_all_systems() -> None:
    assert vote([said("A"), said("b"), said("a"), said("")]) == Combined("A", 0.5)


def test_the_normaliser_decides_who_votes_together() -> None:
    answers = [said("two"), said("too"), said("one"), said("one"), said("to")]
    assert vote(answers).text == "one"
    assert vote(answers, lambda text: "to" if text in ("two", "too") else text).text == "two"
