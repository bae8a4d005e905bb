"""The closed word list of a task, with homophone groups."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdspeech.errors import ConfigError
from kdspeech.files import read_json, read_text, sha256_of_text, write_json


@dataclass(frozen=True)
class Lexicon:
    """The words that a task can contain; part of the task's definition, not drawn from recordings."""

    words: tuple[str, ...]
    homophones: tuple[tuple[str, ...], ...] = field(default=())  # groups that sound alike

    def __post_init__(self) -> None:
        """Raises ConfigError for an empty list, a word that stands twice, or a homophone outside the list."""
        if not self.words:
            raise ConfigError("a lexicon needs at least one word.")
        if len(set(self.words)) != len(self.words):
            twice = sorted({word for word in self.words if self.words.count(word) > 1})
            raise ConfigError(f"lexicon words stand twice: {', '.join(twice[:5])}")
        strangers = sorted({w for group in self.homophones for w in group} - set(self.words))
        if strangers:
            raise ConfigError(f"homophones outside the lexicon: {', '.join(strangers[:5])}")

    @property
    def sha256(self) -> str:
        """Hash over the words in order; `word` rows of a store have one column per word."""
        return sha256_of_text("\n".join(self.words))

    def save(self, path: Path) -> None:
        """Writes JSON {words, homophones}."""
        write_json(path, {"words": self.words, "homophones": self.homophones})

    @classmethod
    def load(cls, path: Path) -> "Lexicon":
        """Reads JSON {words, homophones}, or a text file with one word a line.

        Raises:
            ConfigError: the file is missing or of another form, or its words are not a lexicon.
        """
        words, homophones = _from_json(read_json(path), path) if path.suffix == ".json" else (_from_text(path), ())
        try:
            return cls(words, homophones)
        except ConfigError as error:
            raise ConfigError(f"{path}: {error}") from error


def _from_text(path: Path) -> tuple[str, ...]:
    if not path.exists():
        raise ConfigError(f"{path} does not exist; expected a word list, one word a line.")
    words = [line.strip() for line in read_text(path).splitlines()]
    return tuple(word for word in words if word)


def _from_json(row: Any, path: Path) -> tuple[tuple[str, ...], tuple[tuple[str, ...], ...]]:
    values = row if isinstance(row, dict) else {}
    words, groups = values.get("words"), values.get("homophones", [])
    lists = [words, *groups] if isinstance(groups, list) else [None]
    if not all(isinstance(texts, list) and all(isinstance(text, str) for text in texts) for texts in lists):
        raise ConfigError(f'{path}: expected {{"words": [...], "homophones": [[...], ...]}}, lists of texts.')
    return tuple(words or ()), tuple(tuple(group) for group in groups)
