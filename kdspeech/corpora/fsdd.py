"""The Free Spoken Digit Dataset: six speakers, ten English digits, files named `{digit}_{speaker}_{index}.wav`."""

import re
from pathlib import Path

from kdspeech.corpora.reader import ReadCorpus, Reader, check_folder, files_ending
from kdspeech.errors import ManifestError
from kdspeech.lexicon import Lexicon
from kdspeech.utterance import Utterance

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>.+)_(?P<index>[0-9]+)")
_NUM_TEST, _NUM_VALID = 5, 3  # indices 0-4 are the official test split; the next ones are held back for validation


def read(root: Path) -> ReadCorpus:
    """Lists the recordings of `root`, or of its folder `recordings`, in the order of their names.

    Raises:
        ManifestError: no such folder, no WAV file in it, or a WAV file whose name is not FSDD's.
    """
    check_folder(root, "the folder of the FSDD recordings")
    folder = root / "recordings" if (root / "recordings").is_dir() else root
    paths = files_ending(folder, ".wav")
    if not paths:
        raise ManifestError(f"{folder} holds no .wav files. Name the folder of the FSDD recordings with --root.")
    strangers = [path.name for path in paths if not _NAME.fullmatch(path.stem)]
    if strangers:
        raise ManifestError(
            f"{folder}: {len(strangers)} WAV files are not named like FSDD's, digit_speaker_index.wav: "
            f"{', '.join(strangers[:5])}. Move them away, or describe your corpus in a manifest and use "
            "`kdspeech prepare manifest`."
        )
    return ReadCorpus([_utterance(path) for path in paths], Lexicon(DIGITS))


def _utterance(path: Path) -> Utterance:
    name = _NAME.fullmatch(path.stem)
    if name is None:
        raise ManifestError(f"{path}: expected a name like 7_jackson_32.wav.")
    return Utterance(
        utt_id=path.stem,
        audio_filepath=str(path),
        duration=0.0,
        text=DIGITS[int(name["digit"])],
        speaker=name["speaker"],
        split=_split(int(name["index"])),
        production_id=path.stem,
    )


def _split(index: int) -> str:
    if index < _NUM_TEST:
        return "test"
    return "valid" if index < _NUM_TEST + _NUM_VALID else "train"


READER = Reader(
    name="fsdd",
    read=read,
    default_recipe="conformer_xs_from_speechbrain",
    help="The Free Spoken Digit Dataset.",
    source_help="Folder of the recordings.",
)
