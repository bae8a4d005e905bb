"""UASpeech as distributed: single words by dysarthric and control speakers, files like `M08_B1_UW3_M5.wav`.

Kim et al., "Dysarthric speech database for universal access research", Interspeech 2008. Each speaker reads three
blocks of 255 words: 10 digits (D0-D9), the radio alphabet (LA-LZ), 19 commands (C1-C19) and 100 common words
(CW1-CW100), the same in every block, and 100 uncommon words (UW1-UW100), others in each. Up to seven microphones
(M2-M8) record one act of speaking, a production.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdspeech.corpora.reader import Option, ReadCorpus, Reader, check_folder, named
from kdspeech.corpora.splits import hold_back
from kdspeech.corpora.uaspeech_speakers import SPEAKERS
from kdspeech.corpora.uaspeech_words import read_word_list, word_key
from kdspeech.errors import ConfigError, ManifestError
from kdspeech.lexicon import Lexicon
from kdspeech.scoring.homophones import homophone_groups
from kdspeech.utterance import Utterance

VERSIONS = ("original", "normalized", "noisereduce")
BLOCKS = ("B1", "B2", "B3")
MICROPHONES = ("M2", "M3", "M4", "M5", "M6", "M7", "M8")
SPLITS: Mapping[str, Mapping[str, str]] = {
    "standard": {"B1": "train", "B2": "test", "B3": "train"},  # a tenth of the training productions validates
    "by-block": {"B1": "train", "B2": "valid", "B3": "test"},
}
_ALL = ("all",)
_NAME = re.compile(
    r"(?P<speaker>C?[FM][0-9]{2})_(?P<block>B[1-3])_(?P<word>(?P<kind>CW|UW|C|D)[0-9]+|(?P<letter>L)[A-Z])"
    r"_(?P<microphone>M[0-9])\.wav",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class _Recording:
    path: str
    speaker: str
    block: str
    word: str  # as in the file's name
    word_type: str
    microphone: str

    @property
    def production_id(self) -> str:
        return f"{self.speaker}_{self.block}_{self.word}"


def read(
    root: Path,
    version: str = "original",
    microphones: Sequence[str] = _ALL,
    blocks: Sequence[str] = _ALL,
    controls: bool = False,
    split: str = "standard",
) -> ReadCorpus:
    """Lists the recordings of `root`/audio/`version`, of every speaker in the order of the speaker table.

    Args:
        root: the folder that holds audio/, doc/ and mlf/.
        version: the recordings as they are, levelled, or with noise reduced: one of VERSIONS.
        microphones: only these of MICROPHONES; ("all",) takes all that are there.
        blocks: only these of BLOCKS; ("all",) takes all.
        controls: speakers without dysarthria too.
        split: one of SPLITS.

    Raises:
        ManifestError: the folder or the word list is missing or of another form, or nothing is left of what was asked.
        ConfigError: there is no such split.
    """
    if split not in SPLITS:
        raise ConfigError(f"there is no split {split!r} of UASpeech. Known splits: {', '.join(SPLITS)}.")
    check_folder(root, "UASpeech's folder")
    wanted = [name for name, speaker in SPEAKERS.items() if controls or not speaker.is_control]
    words, gaps = read_word_list(root)
    recordings, strangers = _recordings(_speaker_folders(root, version, wanted))
    chosen = [r for r in recordings if _asked(r.block, blocks) and _asked(r.microphone, microphones)]
    if not chosen:
        raise ManifestError(
            f"{root}, {version}: none of {len(recordings)} recordings is of blocks {','.join(blocks)} and microphones "
            f"{','.join(microphones)}. Found: {_found(recordings)}."
        )
    known = [r for r in chosen if word_key(r.block, r.word) in words]
    utterances = [_utterance(r, words, SPLITS[split]) for r in known]
    return ReadCorpus(
        hold_back(utterances) if "valid" not in SPLITS[split].values() else utterances,
        _lexicon(words),
        (*gaps, *strangers, *_unknown_words(chosen, words), *_missing(known, words, wanted, blocks)),
    )


def _asked(name: str, asked: Sequence[str]) -> bool:
    return tuple(asked) == _ALL or name in asked


def _speaker_folders(root: Path, version: str, wanted: Sequence[str]) -> dict[str, Path]:
    """The speakers' folders in `audio/VERSION`; in older copies of the originals in `audio` and `audio/control`."""
    audio = root / "audio"
    base = audio / version
    if version == "original" and not base.is_dir():
        base = audio
    found = {name: path for name in wanted for path in (base / name, base / "control" / name) if path.is_dir()}
    if not found:
        there = [name for name in VERSIONS if (audio / name).is_dir()]
        way_out = f"Choose a --version that is there: {', '.join(there)}" if there else "Name UASpeech's with --root"
        raise ManifestError(
            f"{base} holds no folder of a speaker; expected some of {', '.join(wanted)}. {way_out}; CF02 and the other "
            "controls come with --controls."
        )
    return found


def _recordings(folders: Mapping[str, Path]) -> tuple[list[_Recording], list[str]]:
    """The recordings in the speakers' folders, and a report of files that are named otherwise."""
    recordings, strangers = [], []
    for speaker, folder in folders.items():
        for name in sorted(os.listdir(folder)):
            if name.startswith(".") or not name.lower().endswith(".wav"):
                continue  # a Macintosh's copies of attributes are called ._F02_B1_C1_M2.wav
            match = _NAME.fullmatch(name)
            if match is None or match["speaker"].upper() != speaker:
                strangers.append(name)
                continue
            recordings.append(
                _Recording(
                    path=os.path.join(folder, name),
                    speaker=speaker,
                    block=match["block"].upper(),
                    word=match["word"].upper(),
                    word_type=(match["kind"] or match["letter"]).upper(),
                    microphone=match["microphone"].upper(),
                )
            )
    if not strangers:
        return recordings, []
    return recordings, [f"{len(strangers)} files are not named like UASpeech's, left out: {named(strangers)}."]


def _utterance(recording: _Recording, words: Mapping[str, str], split_of: Mapping[str, str]) -> Utterance:
    return Utterance(
        utt_id=f"{recording.production_id}_{recording.microphone}",
        audio_filepath=recording.path,
        duration=0.0,
        text=words[word_key(recording.block, recording.word)],
        speaker=recording.speaker,
        split=split_of[recording.block],
        production_id=recording.production_id,
        word_type=recording.word_type,
        block=recording.block,
        microphone=recording.microphone,
        band=SPEAKERS[recording.speaker].band,
    )


def _lexicon(words: Mapping[str, str]) -> Lexicon:
    """All words of the list, whatever was recorded: the task's, not the recordings'."""
    distinct = tuple(dict.fromkeys(words.values()))
    return Lexicon(distinct, homophone_groups(distinct))


def _unknown_words(recordings: Sequence[_Recording], words: Mapping[str, str]) -> Iterator[str]:
    unknown = [os.path.basename(r.path) for r in recordings if word_key(r.block, r.word) not in words]
    if unknown:
        yield f"{len(unknown)} recordings of words that the word list does not hold, left out: {named(unknown)}."


def _missing(
    recordings: Sequence[_Recording], words: Mapping[str, str], speakers: Sequence[str], blocks: Sequence[str]
) -> Iterator[str]:
    """What a whole corpus of these words, speakers, blocks and of the microphones that occur would hold besides."""
    own: dict[str, list[_Recording]] = {}
    for recording in recordings:
        own.setdefault(recording.speaker, []).append(recording)
    if absent := [speaker for speaker in speakers if speaker not in own]:
        yield f"{len(absent)} of {len(speakers)} speakers have no recordings: {', '.join(absent)}."
    asked_blocks = {block for block in BLOCKS if _asked(block, blocks)}
    all_microphones = {r.microphone for r in recordings}
    lost, gone, expected = list[str](), list[str](), 0
    for speaker, present in own.items():
        own_blocks, own_microphones = {r.block for r in present}, {r.microphone for r in present}
        lost += [f"{speaker} {part}" for part in sorted(asked_blocks - own_blocks)]
        lost += [f"{speaker} {part}" for part in sorted(all_microphones - own_microphones)]
        whole = {
            f"{speaker}_{block}_{word}_{microphone}"
            for block in own_blocks
            for word in _words_of_block(block, words)
            for microphone in own_microphones
        }
        expected += len(whole)
        gone += sorted(whole - {f"{r.production_id}_{r.microphone}" for r in present})
    if lost:
        yield f"{len(lost)} blocks or microphones are missing as a whole: {', '.join(lost)}."
    if gone:
        yield f"{len(gone)} of {expected} recordings are missing: {named(gone)}."


def _words_of_block(block: str, words: Collection[str]) -> Iterator[str]:
    for key in words:
        own_block, _, word = key.rpartition("_")
        if own_block in ("", block):
            yield word


def _found(recordings: Sequence[_Recording]) -> str:
    blocks, microphones = {r.block for r in recordings}, {r.microphone for r in recordings}
    return f"blocks {', '.join(sorted(blocks))}; microphones {', '.join(sorted(microphones))}" if blocks else "none"


READER = Reader(
    name="uaspeech",
    read=read,
    default_recipe="conformer_small_from_speechbrain",
    help="""UASpeech: single words of dysarthric speakers.

    The folder holds audio/, doc/ and mlf/ as distributed.
    """,
    source_help="UASpeech's folder.",
    options=(
        Option("version", "Recordings as they are, levelled, or with noise reduced.", choices=VERSIONS),
        Option("microphones", "Only these.", "names", choices=MICROPHONES, metavar="M5,M6,...|all"),
        Option("blocks", "Only these.", "names", choices=BLOCKS, metavar="B1,B2,B3|all"),
        Option("controls", "Speakers without dysarthria too.", "flag"),
        Option(
            "split",
            "standard: B1 and B3 train, a tenth of their productions validates, B2 tests. by-block: B1 trains, B2 "
            "validates, B3 tests.",
            choices=tuple(SPLITS),
        ),
    ),
)
