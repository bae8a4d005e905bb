"""Confusions: words aligned by hand."""

from kdspeech.evaluation.results import DecodedUtterance
from kdspeech.run_report.confusions import NOTHING, confusion_map, pair_table, word_pairs


def _said(reference: str, hypothesis: str, number: int = 0) -> DecodedUtterance:
    right = reference == hypothesis
    return DecodedUtterance(f"u{number}", "ann", "", "", reference, hypothesis, right, 0.0)


def test_words_are_aligned_and_gaps_named() -> None:
    assert word_pairs("Open the door", "open door") == [("open", "open"), ("the", NOTHING), ("door", "door")]
    assert word_pairs("stop", "stop it") == [("stop", "stop"), (NOTHING, "it")]
    assert word_pairs("one two", "one six") == [("one", "one"), ("two", "six")]
    assert word_pairs("", "") == []


def test_the_map_counts_what_was_heard() -> None:
    said = [_said("two", "six"), _said("two", "six"), _said("two", "two"), _said("two", ""), _said("one", "one")]
    drawn = confusion_map("Words", said)
    assert drawn is not None
    assert drawn.columns == ("two", "six", "(others)", NOTHING)  # `one` is never wrong
    ((name, cells),) = drawn.rows
    assert name == "two (4)"
    assert [cell.text for cell in cells] == ["1", "2", "·", "1"]
    assert [cell.shade for cell in cells] == [0.25, 0.5, 0.0, 0.25]
    assert [cell.marked for cell in cells] == [True, False, False, False]


def test_a_column_is_chosen_by_what_all_words_were_taken_for() -> None:
    """Five words are each heard as `hum` once, one as `zip` twice, and four others are heard as something once."""
    said = [_said(word, "hum") for word in ("one", "two", "three", "four", "five")]
    said += [_said("two", "zip"), _said("two", "zip"), *(_said("one", odd) for odd in ("ab", "cd", "ef", "gh"))]
    drawn = confusion_map("Words", said)
    assert drawn is not None
    assert drawn.columns == ("five", "four", "one", "three", "two", "hum", "zip", "(others)", NOTHING)


def test_nothing_wrong_has_no_map() -> None:
    assert confusion_map("Words", [_said("one", "one")]) is None


def test_the_commonest_pair_stands_first_with_its_share() -> None:
    said = [_said("two", "six", n) for n in range(3)] + [_said("two", "two", 3), _said("one", "two", 4)]
    table = pair_table("Pairs", said)
    assert list(table.rows) == [("two", "six", "3", "75.0", "u0, u1, u2"), ("one", "two", "1", "100.0", "u4")]
