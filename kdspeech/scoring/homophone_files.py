"""Where homophone groups come from: the project's own English ones, a lexicon, or a text file."""

from pathlib import Path

from kdspeech.errors import ConfigError
from kdspeech.files import read_text
from kdspeech.lexicon import Lexicon
from kdspeech.scoring.homophones import HOMOPHONES

ENGLISH = "english"


def read_homophones(source: str | None) -> tuple[tuple[str, ...], ...]:
    """Groups of words that sound alike; none for None.

    Args:
        source: `english`, a workspace's lexicon.json, or a text file with one group a line, words apart by blanks.

    Raises:
        ConfigError: the file is missing or holds no group of two words or more.
    """
    if source is None:
        return ()
    if source == ENGLISH:
        return HOMOPHONES
    path = Path(source)
    if path.suffix == ".json":
        groups = Lexicon.load(path).homophones
    elif path.is_file():
        lines = read_text(path).splitlines()
        groups = tuple(tuple(line.replace(",", " ").split()) for line in lines if line.strip())
    else:
        raise ConfigError(f"homophones: {source!r} is no file and not {ENGLISH!r}.")
    if not groups or any(len(group) < 2 for group in groups):
        raise ConfigError(f"{path}: expected groups of two words or more that sound alike, one group a line.")
    return groups
