"""The words of the simulated corpus: UASpeech's categories, counts and keys.

UASpeech (Kim et al., "Dysarthric speech database for universal access research", Interspeech 2008): every block holds
10 digits, the 26 words of the radio alphabet, 19 computer commands, 100 common words, and 100 uncommon words of its
own: 255 words a block, 455 distinct ones in three blocks. The categories are the real corpus'; most of the words, and
all of the uncommon ones, are this project's own choice.
"""

from dataclasses import dataclass
from functools import cache
from importlib import resources

from kdspeech.corpora.uaspeech import BLOCKS

# Forty words that are read in every block: what a teacher can learn from few recordings.
_SMALL = frozenset(
    {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"}
    | {"bravo", "charlie", "foxtrot", "hotel", "juliet", "november", "quebec", "sierra", "uniform", "whiskey"}
    | {"command", "line", "paragraph", "sentence", "backspace", "delete", "enter", "escape", "control", "shift"}
    | {"and", "with", "you", "all", "time", "made", "over", "first", "years", "because"}
)


@dataclass(frozen=True)
class Word:
    """One entry of the word list."""

    listed_key: str  # as in UASpeech's word list, where uncommon words carry their block: D0, LA, C1, CW1, B1_UW1
    text: str

    @property
    def key(self) -> str:
        """As in UASpeech's file names: UW1 of B1_UW1."""
        return self.listed_key.rpartition("_")[2]

    @property
    def blocks(self) -> tuple[str, ...]:
        """Where the word is read: all three, or the one that alone holds it."""
        block = self.listed_key.rpartition("_")[0]
        return (block,) if block else BLOCKS


@cache
def all_words() -> tuple[Word, ...]:
    """The 455 words."""
    text = resources.files("kdspeech.simulation").joinpath("words.tsv").read_text(encoding="utf-8")
    return tuple(Word(*line.split("\t")) for line in text.splitlines())


def small_words() -> tuple[Word, ...]:
    """Forty of them, the same in every block."""
    return tuple(word for word in all_words() if word.text in _SMALL)
