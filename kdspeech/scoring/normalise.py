"""Text normalisation before scoring: an ordered list of small rules, applied to reference and hypothesis alike."""

import re
import unicodedata
from collections.abc import Callable

Rule = Callable[[str], str]


def spell_out_unknown(text: str) -> str:
    """SentencePiece's mark of an unknown piece becomes a word, so that it counts as an error and is not stripped."""
    return text.replace("\N{DOUBLE QUESTION MARK}", " unk ")


def unify_characters(text: str) -> str:
    """Unicode NFKC, and one apostrophe."""
    return unicodedata.normalize("NFKC", text).replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")


def lower_case(text: str) -> str:
    """Case does not count."""
    return text.lower()


def split_hyphens(text: str) -> str:
    """`x-ray` is read like `x ray`: whether a compound is hyphenated cannot be heard."""
    return re.sub(r"[-\N{HYPHEN}\N{NON-BREAKING HYPHEN}\N{EN DASH}\N{EM DASH}]", " ", text)


def strip_punctuation(text: str) -> str:
    """Drops everything but letters, marks, digits, spaces and apostrophes."""
    return "".join(c for c in text if c.isspace() or c == "'" or unicodedata.category(c)[0] in "LMN")


def collapse_whitespace(text: str) -> str:
    """One space between words, none around."""
    return " ".join(text.split())


RULES: tuple[Rule, ...] = (
    spell_out_unknown,
    unify_characters,
    lower_case,
    split_hyphens,
    strip_punctuation,
    collapse_whitespace,
)


def normalise(text: str) -> str:
    """Applies RULES in order; normalising twice changes nothing."""
    for rule in RULES:
        text = rule(text)
    return text
