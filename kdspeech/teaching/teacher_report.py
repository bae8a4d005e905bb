"""`training.json`, beside a teacher's card: how it came to be, and how well it knows its own speaker."""

import importlib.metadata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kdspeech import console
from kdspeech.audio import load_audio
from kdspeech.files import read_json, write_json
from kdspeech.model_folders.teacher_folder import CARD_NAME
from kdspeech.protocols import Teacher
from kdspeech.scoring.score import score_texts
from kdspeech.utterance import Utterance

_NAME = "training.json"
_SOURCES = ("ctc", "decoder")  # of hypotheses that the table shows
_PACKAGES = ("kdspeech", "torch", "speechbrain", "nemo_toolkit")


@dataclass(frozen=True)
class TeacherReport:
    """What is known of a finished teacher."""

    settings_sha256: str  # of everything that decides the weights and the scores
    initial_sha256: str | None  # of the checkpoint it started from; None for a teacher of the user's own
    seed: int | None
    num_train: int  # utterances
    valid_wra: dict[str, float]  # %, on the speaker's own held-back productions, by source of the hypothesis
    num_valid: int
    seconds: float
    versions: dict[str, str]


def write_report(
    folder: Path,
    teacher: Teacher,
    valid: Sequence[Utterance],
    *,
    settings_sha256: str,
    initial_sha256: str | None = None,
    seed: int | None = None,
    num_train: int = 0,
    seconds: float,
) -> None:
    """Scores the teacher on its speaker's held-back utterances, and writes the report to its folder."""
    report = TeacherReport(
        settings_sha256=settings_sha256,
        initial_sha256=initial_sha256,
        seed=seed,
        num_train=num_train,
        valid_wra=_wra(teacher, valid),
        num_valid=len(valid),
        seconds=seconds,
        versions={name: importlib.metadata.version(name) for name in _PACKAGES},
    )
    write_json(folder / _NAME, asdict(report))


def read_report(folder: Path) -> TeacherReport | None:
    """The report of the finished teacher in this folder; None if there is none."""
    path = folder / _NAME
    return TeacherReport(**read_json(path)) if path.exists() and (folder / CARD_NAME).exists() else None


def print_reports(reports: Mapping[str, TeacherReport | None]) -> None:
    """A row for each speaker who has one."""
    rows = []
    for speaker, report in reports.items():
        if report is not None:
            rates = [f"{report.valid_wra[source]:.1f}" if source in report.valid_wra else "-" for source in _SOURCES]
            rows.append([speaker, str(report.num_train), str(report.num_valid), *rates, f"{report.seconds:.0f}"])
    columns = ("speaker", "train", "valid", "WRA % ctc", "WRA % decoder", "seconds")
    console.table("Teachers on their own speaker's held-back utterances", columns, rows)


def _wra(teacher: Teacher, utterances: Sequence[Utterance]) -> dict[str, float]:
    """% over all utterances, by source of the hypothesis; a source that the teacher lacks is absent."""
    if not utterances:
        return {}
    waveforms = [load_audio(u.audio_filepath) for u in utterances]
    scored = teacher.score(waveforms, [teacher.vocabulary.encode(u.text) for u in utterances])
    references = {u.utt_id: u.text for u in utterances}
    rates = {}
    for source in _SOURCES:
        texts = {
            u.utt_id: hypothesis.text
            for u, row in zip(utterances, scored, strict=True)
            for hypothesis in row.hypotheses
            if hypothesis.source == source
        }
        if texts:
            rates[source] = score_texts(references, texts).wra
    return rates
