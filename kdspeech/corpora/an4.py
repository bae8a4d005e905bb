"""AN4, the alphanumeric database of CMU: spelled names, numbers and commands; SPHERE files and official lists.

Acero & Stern, "Environmental robustness in automatic speech recognition", ICASSP 1990. The folder as unpacked:
`etc/an4_train.fileids` lists `an4_clstk/fash/an251-fash-b`, `etc/an4_train.transcription` holds its words,
`wav/an4_clstk/fash/an251-fash-b.sph` its recording; the same with `test`. The folder above the file names the speaker.
"""

import re
from pathlib import Path, PurePosixPath

from kdspeech.corpora.reader import ReadCorpus, Reader, check_folder, named
from kdspeech.corpora.splits import hold_back
from kdspeech.errors import ManifestError
from kdspeech.files import read_text
from kdspeech.utterance import Utterance

_TRANSCRIPT = re.compile(r"(?:<s>)?(?P<text>[^<>()]*)(?:</s>)?\s*\((?P<utt_id>[^()\s]+)\)\s*")
_ENDINGS = (".sph", ".wav")  # as distributed, and as recipes convert it


def read(root: Path) -> ReadCorpus:
    """Lists the recordings of the official train and test lists; a tenth of each speaker's training ones validates.

    Raises:
        ManifestError: the folder or a list is missing, a line is not a transcript, or no recording is there.
    """
    check_folder(root, "AN4's folder")
    home = root if (root / "etc").is_dir() or not (root / "an4").is_dir() else root / "an4"
    utterances: list[Utterance] = []
    silent, missing = list[str](), list[str]()
    for split in ("train", "test"):
        texts = _transcripts(home / "etc" / f"an4_{split}.transcription")
        for file_id in _lines(home / "etc" / f"an4_{split}.fileids"):
            path = PurePosixPath(file_id)
            audio = next((p for p in (home / "wav" / f"{path}{end}" for end in _ENDINGS) if p.is_file()), None)
            if path.name not in texts:
                silent.append(file_id)
            elif audio is None:
                missing.append(file_id)
            else:
                utterances.append(
                    Utterance(path.name, str(audio), 0.0, texts[path.name], path.parent.name, split, path.name)
                )
    if not utterances:
        raise ManifestError(
            f"{home / 'wav'} holds none of the {len(missing)} recordings of the lists, for example "
            f"{missing[0] if missing else 'an4_clstk/fash/an251-fash-b'}.sph. Unpack the archive again."
        )
    gaps = (
        *([f"{len(silent)} recordings of the lists have no transcript: {named(silent)}."] if silent else []),
        *([f"{len(missing)} recordings of the lists are missing: {named(missing)}."] if missing else []),
    )
    return ReadCorpus(hold_back(utterances), gaps=gaps)


def _lines(path: Path) -> list[str]:
    if not path.is_file():
        raise ManifestError(f"{path} does not exist. Name AN4's folder, the one that holds etc/ and wav/, with --root.")
    return [line.strip() for line in read_text(path).splitlines() if line.strip()]


def _transcripts(path: Path) -> dict[str, str]:
    texts: dict[str, str] = {}
    for line in _lines(path):
        match = _TRANSCRIPT.fullmatch(line)
        if match is None or not match["text"].strip():
            raise ManifestError(f"{path}: expected a line like `<s> YES </s> (an251-fash-b)`, found {line!r}.")
        texts[match["utt_id"]] = match["text"].strip()
    return texts


READER = Reader(
    name="an4",
    read=read,
    default_recipe="conformer_small_from_speechbrain",
    help="AN4: spelled names, numbers and commands, with its official lists.",
    source_help="AN4's folder, which holds etc/ and wav/.",
)
