"""What a corpus reader is: one function, what it returns, and what the command line needs to know of it."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from kdspeech.errors import ManifestError
from kdspeech.lexicon import Lexicon
from kdspeech.utterance import Utterance


@dataclass(frozen=True)
class ReadCorpus:
    """What a reader found."""

    utterances: Sequence[Utterance]
    lexicon: Lexicon | None = None  # the task's closed word list; None if the corpus does not define one
    gaps: tuple[str, ...] = ()  # what the corpus lacks or what was left out, with counts: reported, not fatal


@dataclass(frozen=True)
class Option:
    """A keyword argument of `Reader.read` as an option of `kdspeech prepare NAME`; the function states the default."""

    name: str  # of the argument: `speaker_field` becomes --speaker-field
    help: str
    kind: Literal["text", "flag", "names"] = "text"  # names: a tuple of some of `choices`, or ("all",)
    choices: tuple[str, ...] = ()  # the values that are allowed; () allows any text
    metavar: str | None = None  # what stands for the value in the help


@dataclass(frozen=True)
class Reader:
    """One kind of corpus.

    `read(root, **options)` lists the corpus' utterances without opening the audio: `duration` is what the corpus states
    (0.0 where it states none) and `audio_sha256` stays empty; `kdspeech.corpora.prepare` fills both in. It raises
    ManifestError, naming every fault it can find, if the corpus is not what it should be.
    """

    name: str  # as in `kdspeech prepare NAME`
    read: Callable[..., ReadCorpus]
    default_recipe: str  # a shipped recipe's name
    help: str  # what the corpus is: a first line, and further paragraphs if it needs them
    # --root FOLDER, or an argument FILE; what is made in the workspace has a command of its own
    source: Literal["folder", "file", "workspace"] = "folder"
    source_help: str = "Folder of the corpus."  # for --root
    options: tuple[Option, ...] = ()

    def default_of(self, option: Option) -> Any:
        """The option's default, from the signature of `read`."""
        return inspect.signature(self.read).parameters[option.name].default


def check_folder(root: Path, what: str) -> None:
    """Refuses a corpus that is not there.

    Raises:
        ManifestError: `root` is not a folder.
    """
    if not root.is_dir():
        raise ManifestError(f"{root} is not a folder. Name {what} with --root.")


def files_ending(folder: Path, suffix: str, below: bool = False) -> list[Path]:
    """The folder's files, or all `below` it, that end in `.wav` or `.WAV` or however it is written, in order."""
    found = folder.rglob("*") if below else folder.glob("*")
    return sorted(path for path in found if path.name.lower().endswith(suffix.lower()) and path.is_file())


def named(names: Sequence[str], at_most: int = 5) -> str:
    """The first of the names, for a report."""
    return f"{', '.join(names[:at_most])}{', ...' if len(names) > at_most else ''}"
