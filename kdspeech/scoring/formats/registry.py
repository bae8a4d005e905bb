"""The formats by name, and which of them a file has: the first that recognises it."""

from pathlib import Path

from kdspeech.errors import ConfigError, KdspeechError
from kdspeech.scoring.formats.csv_table import CSV
from kdspeech.scoring.formats.jsonlines import JSON_LINES
from kdspeech.scoring.formats.lines import KALDI, TABS
from kdspeech.scoring.formats.results import RESULTS
from kdspeech.scoring.formats.rows import Format, Writer
from kdspeech.scoring.formats.speechbrain_wer import SPEECHBRAIN
from kdspeech.scoring.formats.trn import TRN

_HEAD_BYTES = 1 << 16

# Kaldi's comes last: any line can be read so.
FORMATS = {known.name: known for known in (RESULTS, JSON_LINES, SPEECHBRAIN, CSV, TABS, TRN, KALDI)}
WRITABLE = tuple(name for name, known in FORMATS.items() if known.write is not None)
_OF_SUFFIX = {".csv": CSV.name, ".tsv": TABS.name, ".trn": TRN.name, ".txt": KALDI.name}


def format_of(path: Path, name: str | None = None) -> Format:
    """The format of that name, or else the one that the file has.

    Raises:
        KdspeechError: the file is missing or empty.
    """
    if not path.is_file():
        raise KdspeechError(f"{path} does not exist, or is no file. Name a file of transcripts.")
    if name is not None:
        return FORMATS[name]
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES).decode("utf-8-sig", errors="replace").lstrip("\n\r")
    if not head.strip():
        raise KdspeechError(f"{path} is empty; expected one utterance a line.")
    return next(known for known in FORMATS.values() if known.recognises(path, head))


def format_to_write(path: Path, name: str | None = None) -> Writer:
    """What writes the format of that name, or else the one that the file's suffix stands for; JSON Lines for others.

    Raises:
        ConfigError: a format that is only read.
    """
    chosen = FORMATS[name or _OF_SUFFIX.get(path.suffix, JSON_LINES.name)]
    if chosen.write is None:
        raise ConfigError(f"{chosen.title} cannot be written; expected {', '.join(WRITABLE)}.")
    return chosen.write
