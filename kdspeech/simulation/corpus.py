"""Writes the simulated corpus in UASpeech's own layout, so that UASpeech's reader reads it.

`audio/original/M08/M08_B1_UW3_M5.wav` and `mlf/M08/M08_word.mlf`. A speaker is whole when its label file, written last,
is there.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import soundfile

from kdspeech import console
from kdspeech.audio import SAMPLE_RATE
from kdspeech.corpora.uaspeech import BLOCKS
from kdspeech.errors import KdspeechError
from kdspeech.fanout import default_jobs, run_jobs
from kdspeech.files import atomic_path, check_writable, read_json, sha256_of_text, write_json, write_text
from kdspeech.simulation.dysarthria import Production, SeverityModel, produce, record
from kdspeech.simulation.speakers import SMALL_CAST, SimulatedSpeaker, all_names, simulated_speaker
from kdspeech.simulation.synthesiser import espeak_version, synthesiser
from kdspeech.simulation.words import Word, all_words, small_words

Size = Literal["small", "full"]

_GENERATION = 1  # raise it when a change of the code changes what is heard
_SETTINGS = "settings.json"
_PARTS = 20  # of the work, where one process does it all


@dataclass(frozen=True)
class CorpusSettings:
    """What decides every sample of the corpus."""

    size: Size = "small"
    seed: int = 0
    model: SeverityModel = field(default_factory=SeverityModel)
    microphones: tuple[str, ...] = ("M5",)  # M2 to M8; each hears the same productions through its own channel

    def speakers(self, names: Sequence[str] | None = None) -> list[SimulatedSpeaker]:
        """Those of that size, or any of the fifteen by name. Raises KdspeechError for a name that is not among them."""
        unknown = [name for name in names or () if name not in all_names()]
        if unknown:
            raise KdspeechError(
                f"unknown speaker {', '.join(map(repr, unknown))} in the simulated corpus. "
                f"Its speakers: {', '.join(all_names())}."
            )
        cast = SMALL_CAST if names is None and self.size == "small" else names or all_names()
        return [simulated_speaker(name) for name in all_names() if name in cast]

    def words(self) -> list[Word]:
        """Those of that size."""
        return list(small_words() if self.size == "small" else all_words())

    def productions(self, speaker: SimulatedSpeaker) -> list[Production]:
        """All that a speaker says, block by block."""
        return [
            Production(speaker, block, word.key, word.text)
            for block in BLOCKS
            for word in self.words()
            if block in word.blocks
        ]

    @property
    def sha256(self) -> str:
        """Hash over all that decides what is heard."""
        voices = [asdict(simulated_speaker(name)) for name in all_names()]
        words = [asdict(word) for word in self.words()]
        return sha256_of_text(json.dumps([_GENERATION, espeak_version(), asdict(self), voices, words]))


def write_simulated_corpus(
    root: Path,
    settings: CorpusSettings,
    speakers: Sequence[str] | None = None,
    jobs: int | None = None,
    force: bool = False,
) -> None:
    """Speaks every word that is not yet there; other settings than last time begin anew.

    Args:
        root: the corpus' folder.
        speakers: only these; None takes all of the size.
        jobs: processes side by side; None takes one a core.
        force: speaks everything again.

    Raises:
        KdspeechError: the extra `demo` is missing, a speaker is unknown, or the folder cannot be written.
    """
    cast = settings.speakers(speakers)
    if force:
        (root / _SETTINGS).unlink(missing_ok=True)
    waiting = [speaker for speaker in cast if not _is_whole(root, settings, speaker)]
    if not waiting:
        console.remark(f"The simulated corpus in {root} is up to date.")
        return
    synthesiser()  # a missing extra is told here, not from within a job
    check_writable(root)
    _begin(root, settings)
    names = [speaker.name for speaker in waiting]
    jobs = jobs or default_jobs(_PARTS)
    num_parts = jobs if jobs > 1 else _PARTS
    run_jobs(
        speak_part,
        [(root, settings, names, part, num_parts) for part in range(num_parts)],
        "Speaking",
        root / "logs",
        jobs,
        counter=(_count_files(settings, waiting), lambda: sum(_count_done(root, name) for name in names)),
    )
    for speaker in waiting:
        _write_labels(root, settings, speaker)


def _is_whole(root: Path, settings: CorpusSettings, speaker: SimulatedSpeaker) -> bool:
    return _is_of(root, settings) and _label_path(root, speaker.name).exists()


def _is_of(root: Path, settings: CorpusSettings) -> bool:
    path = root / _SETTINGS
    return path.exists() and read_json(path)["sha256"] == settings.sha256


def _begin(root: Path, settings: CorpusSettings) -> None:
    """Makes sure that what lies in the folder was made with these settings."""
    if _is_of(root, settings):
        return
    if (root / _SETTINGS).exists():
        console.remark(f"The settings of the simulated corpus have changed: speaking {root} anew.")
        (root / _SETTINGS).unlink()
    for folder in ("audio", "mlf"):
        shutil.rmtree(root / folder, ignore_errors=True)
    write_json(root / _SETTINGS, {"sha256": settings.sha256, "espeak": espeak_version(), **asdict(settings)})


def speak_part(root: Path, settings: CorpusSettings, names: Sequence[str], part: int, num_parts: int) -> None:
    """One job: every `num_parts`-th production of these speakers, from the `part`-th on."""
    productions = [p for name in names for p in settings.productions(simulated_speaker(name))]
    for production in productions[part::num_parts]:
        paths = {microphone: audio_path(root, production, microphone) for microphone in settings.microphones}
        missing = {microphone: path for microphone, path in paths.items() if not path.exists()}
        if not missing:
            continue
        waveform = produce(production, settings.model, settings.seed)
        for microphone, path in missing.items():
            heard = record(waveform, production, microphone, settings.model, settings.seed)
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                soundfile.write(file, heard, SAMPLE_RATE, subtype="PCM_16", format="WAV")


def audio_path(root: Path, production: Production, microphone: str) -> Path:
    """Where a production's recording lies."""
    name = production.speaker.name
    return root / "audio" / "original" / name / f"{name}_{production.block}_{production.key}_{microphone}.wav"


def _label_path(root: Path, speaker: str) -> Path:
    return root / "mlf" / speaker / f"{speaker}_word.mlf"


def _count_files(settings: CorpusSettings, speakers: Sequence[SimulatedSpeaker]) -> int:
    return sum(len(settings.productions(speaker)) for speaker in speakers) * len(settings.microphones)


def _count_done(root: Path, speaker: str) -> int:
    return sum(1 for _ in (root / "audio" / "original" / speaker).glob(f"{speaker}_*.wav"))


def _write_labels(root: Path, settings: CorpusSettings, speaker: SimulatedSpeaker) -> None:
    """HTK's master label file, as UASpeech has one for each speaker."""
    entries = [
        f'"*/{audio_path(root, production, microphone).stem}.lab"\n{production.text.upper()}\n.\n'
        for production in settings.productions(speaker)
        for microphone in settings.microphones
    ]
    write_text(_label_path(root, speaker.name), "#!MLF!#\n" + "".join(entries))
