"""ROVER on networks that can be drawn by hand."""

import pytest

from kdspeech.combination.rover import RoverOptions, build_network, rover
from kdspeech.combination.vote import Answer, Combined


def network(*texts: str) -> list[tuple[str, ...]]:
    return build_network([text.split() for text in texts])


def combined(*texts: str) -> str:
    return rover([Answer(text) for text in texts]).text


def test_the_network_of_three_systems() -> None:
    assert network("a b c", "a c", "a b x c d") == [
        ("a", "a", "a"),
        ("b", "", "b"),
        ("", "", "x"),
        ("c", "c", "c"),
        ("", "", "d"),
    ]


def test_a_word_meets_any_system_s_word_of_the_slot() -> None:
    assert network("a b", "a c", "c") == [("a", "a", ""), ("b", "c", "c")]


@pytest.mark.parametrize("texts", [("a b c",), ("", "a", "b a"), ("a", "", ""), ("a b", "b a", "c"), ("", "", "")])
def test_each_system_can_be_read_off_the_network(texts: tuple[str, ...]) -> None:
    slots = network(*texts)
    assert [" ".join(slot[k] for slot in slots if slot[k]) for k in range(len(texts))] == list(texts)


def test_words_win_that_no_system_says_together() -> None:
    # each system has one error, in another place: only word by word all three are right
    assert combined("x two three", "one y three", "one two z") == "one two three"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (("a b", "a", "a"), "a"),  # an insertion of one system
        (("a", "a b", "a b"), "a b"),  # a deletion of the backbone
        (("a", "b", "b"), "b"),
        (("a", "b", "c"), "a"),  # a tie: the earlier system
        (("", "", "a"), ""),
        (("X-ray", "x ray", "ray"), "x ray"),  # after normalisation
        (("a b c d", "a b c d", "b c d e"), "a b c d"),
    ],
)
def test_by_frequency(texts: tuple[str, ...], expected: str) -> None:
    assert combined(*texts) == expected


def test_confidence_decides_as_fiscus_weighs_it() -> None:
    # N(a)/N = 2/3 and C(a) = 0.2; N(b)/N = 1/3 and C(b) = 0.9: equal at 0.7 / (0.7 + 1/3) = 0.677
    answers = [Answer("a", 0.1), Answer("a", 0.3), Answer("b", 0.9)]
    assert rover(answers, options=RoverOptions(alpha=0.69)).text == "a"
    assert rover(answers, options=RoverOptions(alpha=0.66)).text == "b"


def test_saying_nothing_has_a_confidence_of_its_own() -> None:
    answers = [Answer("a b", 0.6), Answer("a", 0.9)]
    assert rover(answers, options=RoverOptions(alpha=0.0, null_confidence=0.5)).text == "a b"
    assert rover(answers, options=RoverOptions(alpha=0.0, null_confidence=0.7)).text == "a"


def test_the_agreement_is_the_words_mean() -> None:
    found = rover([Answer("a b"), Answer("a b"), Answer("a c"), Answer("a b")])
    assert found == Combined("a b", (1.0 + 0.75) / 2)
    assert rover([Answer(""), Answer(""), Answer("a"), Answer("")]) == Combined("", 0.75)
