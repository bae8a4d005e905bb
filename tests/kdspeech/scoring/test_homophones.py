"""Words that sound alike."""

from itertools import combinations

from kdspeech.scoring.homophones import HOMOPHONES, homophone_groups
from kdspeech.scoring.normalise import normalise


def test_the_pairs_of_uaspeech() -> None:
    words = ["to", "two", "for", "four", "there", "their", "write", "right", "one", "no", "see"]
    assert homophone_groups(words) == (("to", "two"), ("for", "four"), ("there", "their"), ("write", "right"))


def test_a_word_is_in_one_group_and_in_normalised_spelling() -> None:
    assert all(not set(left) & set(right) for left, right in combinations(HOMOPHONES, 2))
    assert all(normalise(word) == word for group in HOMOPHONES for word in group)
