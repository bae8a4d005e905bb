"""TORGO: words and sentences by speakers with cerebral palsy or ALS and by controls (LDC2012S02).

Rudzicz, Namasivayam & Wolff, "The TORGO database of acoustic and articulatory speech from speakers with dysarthria",
Language Resources and Evaluation 46, 2012. Speakers have sessions; a session has a prompt, `prompts/0023.txt`, and up
to two recordings, `wav_headMic/0023.wav` and `wav_arrayMic/0023.wav`, for each act of speaking. Many prompts ask for
something else than reading, and some files are missing or empty.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from kdspeech.corpora.reader import Option, ReadCorpus, Reader, check_folder, files_ending, named
from kdspeech.corpora.splits import split_by_production
from kdspeech.errors import ConfigError, ManifestError
from kdspeech.utterance import Utterance

MICROPHONES = ("head", "array", "both")
CONTROL = "CONTROL"
# By the Frenchay assessment, as most publications group the speakers; they differ on F03 (mild) and M05 (severe).
SEVERITY: Mapping[str, str] = {
    **dict.fromkeys(("F01", "M01", "M02", "M04"), "SEVERE"),
    **dict.fromkeys(("F03", "M05"), "MODERATE"),
    **dict.fromkeys(("F04", "M03"), "MILD"),
    **dict.fromkeys(("FC01", "FC02", "FC03", "MC01", "MC02", "MC03", "MC04"), CONTROL),
}
_WAV_HEADER = 44  # bytes; a file of no more holds no sample
_HINT = re.compile(r"\[[^\]]*\]?")  # [say Ah-P-Eee repeatedly], tear [as in tear up that paper]
_IMAGE = re.compile(r"\.(jpe?g|png|bmp|gif)\b", re.IGNORECASE)


def read(root: Path, microphone: str = "head", controls: bool = False) -> ReadCorpus:
    """Lists the recordings of words and sentences, split 80/10/10 by production within each speaker.

    Prompts that are not read out are left out: instructions in brackets, pictures to be described, `xxx` and empty
    ones. A hint in brackets beside a word is dropped from the text.

    Args:
        root: the folder of the speakers F01, M01, ..., or of the groups F, FC, M, MC that hold them.
        microphone: one of MICROPHONES; with `both`, two recordings of one production stay in one split.
        controls: speakers without dysarthria too.

    Raises:
        ManifestError: the folder is missing, or holds no speaker or no recording of that microphone.
        ConfigError: there is no such microphone.
    """
    check_folder(root, "TORGO's folder")
    if microphone not in MICROPHONES:
        raise ConfigError(f"TORGO has no microphone {microphone!r}. Known: {', '.join(MICROPHONES)}.")
    wanted = [name for name, band in SEVERITY.items() if controls or band != CONTROL]
    folders = _speaker_folders(root, wanted)
    utterances: list[Utterance] = []
    gaps: dict[str, list[str]] = {}
    for speaker in wanted:
        for session in _sessions(folders.get(speaker)):
            for kind in MICROPHONES[:2] if microphone == "both" else (microphone,):
                utterances += _session(speaker, session, kind, gaps)
    if not utterances:
        raise ManifestError(
            f"{root}: no prompt has a recording of microphone {microphone!r}; expected F01/Session1/prompts/0001.txt "
            f"and F01/Session1/wav_{microphone}Mic/0001.wav. Choose another --microphone, or look at the folder."
        )
    absent = [speaker for speaker in wanted if speaker not in {u.speaker for u in utterances}]
    return ReadCorpus(split_by_production(utterances), gaps=tuple(_reports(gaps, absent)))


def _speaker_folders(root: Path, wanted: Sequence[str]) -> dict[str, Path]:
    folders = {path.name: path for path in (*root.glob("*"), *root.glob("*/*")) if path.name in wanted}
    if not folders:
        raise ManifestError(
            f"{root} holds no folder of a speaker; expected some of {', '.join(wanted)}. Name TORGO's folder with "
            "--root; FC01, MC01 and the other controls come with --controls."
        )
    return folders


def _sessions(speaker_folder: Path | None) -> list[Path]:
    if speaker_folder is None:
        return []
    return sorted(path for path in speaker_folder.glob("[Ss]ession*") if path.is_dir())


def _session(speaker: str, session: Path, microphone: str, gaps: dict[str, list[str]]) -> Iterator[Utterance]:
    """The utterances of one microphone in one session; what is left out goes to `gaps`, by reason."""
    wavs = _by_number(session / f"wav_{microphone}Mic", ".wav")
    prompts = _by_number(session / "prompts", ".txt")
    place = f"{speaker}/{session.name}"
    if not wavs:
        gaps.setdefault(f"sessions have no recordings of the {microphone} microphone", []).append(place)
        return
    for number in sorted(wavs.keys() | prompts.keys()):
        name = f"{place}/{number}"
        if number not in prompts:
            gaps.setdefault("recordings have no prompt", []).append(
                f"{place}/{wavs[number].parent.name}/{wavs[number].name}"
            )
            continue
        text, reason = _spoken(prompts[number].read_text(encoding="utf-8", errors="replace"))
        if reason:
            gaps.setdefault(f"prompts are {reason}, left out", []).append(name)
        elif number not in wavs:
            gaps.setdefault(f"prompts have no recording of the {microphone} microphone", []).append(name)
        elif wavs[number].stat().st_size <= _WAV_HEADER:
            gaps.setdefault("recordings are empty, left out", []).append(str(wavs[number]))
        else:
            yield Utterance(
                utt_id=f"{speaker}_{session.name}_{number}_{microphone}",
                audio_filepath=str(wavs[number]),
                duration=0.0,
                text=text,
                speaker=speaker,
                split="",
                production_id=f"{speaker}_{session.name}_{number}",
                word_type="sentence" if " " in text else "word",
                microphone=microphone,
                band=SEVERITY[speaker],
            )


def _by_number(folder: Path, suffix: str) -> dict[str, Path]:
    """A Macintosh's copies of attributes are called ._0001.wav."""
    return {path.stem: path for path in files_ending(folder, suffix) if not path.name.startswith(".")}


def _spoken(prompt: str) -> tuple[str, str]:
    """What is read out of a prompt, and why it is nothing ("" where it is something)."""
    text = " ".join(_HINT.sub(" ", prompt).split())
    if _IMAGE.search(prompt):
        return "", "pictures"
    if not text and prompt.strip():
        return "", "instructions"
    if not text:
        return "", "empty"
    if text.lower().strip(".") == "xxx":
        return "", "`xxx`"
    return text, ""


def _reports(gaps: Mapping[str, Sequence[str]], absent: Sequence[str]) -> Iterator[str]:
    if absent:
        yield f"{len(absent)} speakers have no recordings: {', '.join(absent)}."
    for reason, names in gaps.items():
        distinct = list(Counter(names))  # a prompt counts once, whatever the number of microphones
        yield f"{len(distinct)} {reason}: {named(distinct)}."


READER = Reader(
    name="torgo",
    read=read,
    default_recipe="conformer_small_from_speechbrain",
    help="""TORGO: words and sentences of dysarthric speakers.

    The folder holds the speakers' folders, F01/Session1/prompts/0001.txt and so on.
    """,
    source_help="TORGO's folder.",
    options=(
        Option("microphone", "At the head, or an array before the speaker.", choices=MICROPHONES),
        Option("controls", "Speakers without dysarthria too.", "flag"),
    ),
)
