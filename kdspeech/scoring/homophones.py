"""Words that sound alike: no recogniser can tell them apart where each is said alone."""

from collections.abc import Collection

# American English, around the digits and the commonest words; UASpeech's list holds the first four pairs.
HOMOPHONES = (
    ("to", "two", "too"),
    ("for", "four", "fore"),
    ("there", "their", "they're"),
    ("write", "right", "rite"),
    ("one", "won"),
    ("eight", "ate"),
    ("be", "bee"),
    ("by", "buy", "bye"),
    ("but", "butt"),
    ("do", "dew", "due"),
    ("hear", "here"),
    ("him", "hymn"),
    ("hole", "whole"),
    ("hour", "our"),
    ("i", "eye"),
    ("in", "inn"),
    ("its", "it's"),
    ("know", "no"),
    ("knew", "new"),
    ("made", "maid"),
    ("not", "knot"),
    ("oh", "owe"),
    ("or", "oar", "ore"),
    ("see", "sea"),
    ("so", "sew", "sow"),
    ("some", "sum"),
    ("son", "sun"),
    ("way", "weigh"),
    ("we", "wee"),
    ("week", "weak"),
    ("which", "witch"),
    ("would", "wood"),
    ("you", "ewe"),
    ("your", "you're"),
)


def homophone_groups(words: Collection[str]) -> tuple[tuple[str, ...], ...]:
    """The groups of two words or more of `words`, which are in normalised spelling."""
    groups = (tuple(word for word in group if word in words) for group in HOMOPHONES)
    return tuple(group for group in groups if len(group) > 1)
