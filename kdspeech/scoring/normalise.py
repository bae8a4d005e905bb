"""Text normalisation before scoring: an ordered list of small rules, applied to reference and hypothesis alike."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from kdspeech.errors import ConfigError

Rule = Callable[[str], str]

_CACHED_TEXTS = 1 << 17  # isolated words come again and again


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
    return text.translate(_KEPT)


def collapse_whitespace(text: str) -> str:
    """One space between words, none around."""
    return " ".join(text.split())


class _Kept(dict[int, int | None]):
    """Code point -> itself, or None where `strip_punctuation` drops it; looked up once each, since it is slow."""

    def __missing__(self, code: int) -> int | None:
        character = chr(code)
        kept = character.isspace() or character == "'" or unicodedata.category(character)[0] in "LMN"
        self[code] = code if kept else None
        return self[code]


_KEPT = _Kept()

RULES: tuple[Rule, ...] = (
    spell_out_unknown,
    unify_characters,
    lower_case,
    split_hyphens,
    strip_punctuation,
    collapse_whitespace,
)


def rule_name(rule: Rule) -> str:
    """How people write a rule, for example `split-hyphens`."""
    return rule.__name__.replace("_", "-")


_BY_NAME = {rule_name(rule): rule for rule in RULES}
RULE_NAMES: tuple[str, ...] = tuple(_BY_NAME)


def normalise(text: str) -> str:
    """Applies RULES in order; normalising twice changes nothing."""
    for rule in RULES:
        text = rule(text)
    return text


@dataclass(frozen=True)
class Normaliser:
    """Some of the rules, in the order given, and words that count as one because they sound alike.

    Called with a text it gives the text to compare: words apart by single spaces, since scores count words.

    Raises:
        ConfigError: an unknown rule, a homophone that is not one word, or a word in two groups.
    """

    rules: tuple[str, ...] = RULE_NAMES
    homophones: tuple[tuple[str, ...], ...] = ()  # each word is read as the first of its group

    def __post_init__(self) -> None:
        unknown = [name for name in self.rules if name not in _BY_NAME]
        if unknown:
            raise ConfigError(
                f"unknown rule {', '.join(map(repr, unknown))}; expected some of {', '.join(RULE_NAMES)}."
            )
        self._first_of_group  # noqa: B018  # groups that do not fit are found now, not at the first text

    def __call__(self, text: str) -> str:
        return self._cached(text)

    @property
    def description(self) -> str:
        """The rules in order, as reports state them."""
        groups = [f"{len(self.homophones)} homophone groups"] if self.homophones else []
        return ", ".join([*self.rules, *groups]) or "none"

    @cached_property
    def _cached(self) -> Rule:
        return lru_cache(maxsize=_CACHED_TEXTS)(self._apply)

    def _apply(self, text: str) -> str:
        words = self._follow_rules(text).split()
        same = self._first_of_group
        return " ".join([same.get(word, word) for word in words] if same else words)

    def _follow_rules(self, text: str) -> str:
        for name in self.rules:
            text = _BY_NAME[name](text)
        return text

    @cached_property
    def _first_of_group(self) -> dict[str, str]:
        first: dict[str, str] = {}
        for group in self.homophones:
            words = [self._follow_rules(word).strip() for word in group]
            for word in words:
                if len(word.split()) != 1:
                    raise ConfigError(f"homophone {word!r} of the group {', '.join(group)} is not one word.")
                if first.setdefault(word, words[0]) != words[0]:
                    raise ConfigError(f"homophone {word!r} is in two groups: give each word one.")
        return first


def choose_rules(names: Sequence[str] | None) -> tuple[str, ...]:
    """The rules of that name, in that order; None takes all, and the one name `none` takes none."""
    if names is None:
        return RULE_NAMES
    return () if list(names) == ["none"] else tuple(names)
