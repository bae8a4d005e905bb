"""`write_report`: one self-contained page about a run, or about several side by side.

The command is `kdspeech report`; the name `kdspeech.report` is taken by the package that all pages are drawn with.
"""

from collections.abc import Sequence
from pathlib import Path

from kdspeech import console
from kdspeech.errors import RunError
from kdspeech.evaluation.results import DecodedUtterance
from kdspeech.protocols import StudentFamily
from kdspeech.report.page import write_page
from kdspeech.report.table import Table
from kdspeech.run_report.conditions import Answered, reliability, wra_by_length
from kdspeech.run_report.confusions import confusion_map, pair_table
from kdspeech.run_report.contenders import Field, make_field
from kdspeech.run_report.curves import curves_together, learning_curves
from kdspeech.run_report.examples import draw_examples, worst_of_all
from kdspeech.run_report.listening import Recordings
from kdspeech.run_report.origins import fold_checks, origin_table, warnings
from kdspeech.run_report.rates import charts_by, differences, headline
from kdspeech.run_report.subject import Subject, load_subjects, title_of
from kdspeech.run_report.teachers import teacher_maps
from kdspeech.workspace import Workspace

_MAX_ROWS = 3_000  # utterances in the table of all


def report_path(workspace: Workspace, runs: Sequence[Path]) -> Path:
    """Where the page goes if nothing else is said: `reports/run-<recipe>-<speaker>-<mode>-<seed>.html`."""
    first = "-".join(runs[0].absolute().parts[-4:])
    more = f"-and-{len(runs) - 1}-more" if len(runs) > 1 else ""
    return workspace.reports_dir / f"run-{first}{more}.html"


def write_report(
    workspace: Workspace,
    runs: Sequence[Path],
    *,
    students: StudentFamily,
    out: Path | None = None,
    decode_mode: str | None = None,
    audio: bool = True,
) -> Path:
    """Writes the page, each time anew. What cannot be shown is left out, and the page says why.

    Args:
        runs: run folders, finished or not. Runs of the same recipe and mode are one system on several speakers, or with
            several seeds; the others are compared with the first.
        out: the page; None writes it into the workspace's reports.
        decode_mode: by which single answers are shown; None takes the first that was evaluated. Rates are of all.
        audio: False leaves the recordings out.

    Raises:
        RunError: a folder is no run, or has no results of this decode mode.
        KdspeechError: the page cannot be written.
    """
    if not runs:
        raise RunError("no run was named. Name run folders, for example workspace/runs/*/M08/*/seed0.")
    subjects = load_subjects(workspace, runs)
    _check_decode_mode(subjects, decode_mode)
    missing = _unfit(subjects)
    field, reasons = make_field(workspace, subjects)
    missing += reasons
    mode = decode_mode or (field.decodings[0] if field.decodings else "")
    answered = _answered(subjects, mode)
    spoken = {utt_id: u for s in subjects for utt_id, u in s.utterances.items()}
    maps = teacher_maps(workspace, [s.held_out for s in subjects])
    if not maps:
        missing.append("Teachers by speakers: no reports/dump-matrix.json. Run `kdspeech dump-teachers`.")
    if not field.band_of:
        missing.append("WRA by band: the manifest names no bands.")
    recordings = Recordings(audio)
    drawings, drawn_missing = draw_examples(workspace, subjects, mode, students, recordings)
    heard = worst_of_all(subjects, mode, recordings)
    missing += drawn_missing + _missing_parts(subjects, answered, recordings, audio)
    path = out or report_path(workspace, runs)
    write_page(
        path,
        subjects[0].name if len(subjects) == 1 else f"{len(subjects)} runs compared",
        "run.html",
        subjects=subjects,
        warnings=warnings(subjects),
        mode=title_of(mode),
        headline=headline(field) if field.contenders else None,
        differences=differences(field),
        by_speaker=charts_by(field, field.speaker_of, "speaker"),
        by_band=charts_by(field, field.band_of, "band"),
        teacher_maps=maps,
        confusions=[
            (confusion_map(f"{system}: words with errors", answers), pair_table(f"{system}: what for what", answers))
            for system, answers in answered.items()
        ],
        curves=[(s.name, learning_curves(s)) for s in subjects if s.epochs],
        curves_together=curves_together(subjects),
        conditions=[chart for chart in (wra_by_length(answered, spoken), reliability(answered)) if chart],
        drawings=drawings,
        worst=heard,
        utterances=_utterance_table(field, subjects, mode),
        num_recordings=recordings.num_embedded,
        origins=origin_table(subjects),
        checks=fold_checks(subjects),
        missing=missing,
    )
    return path


def _check_decode_mode(subjects: Sequence[Subject], decode_mode: str | None) -> None:
    known = list(dict.fromkeys(name for subject in subjects for name in subject.results))
    if decode_mode is not None and decode_mode not in known:
        raise RunError(
            f"no run was evaluated by {decode_mode!r}; there is {', '.join(known) or 'nothing'}. Run "
            f"`kdspeech eval --decode-mode {decode_mode}` first."
        )


def _answered(subjects: Sequence[Subject], mode: str) -> Answered:
    """Each system's answers, of all its runs together."""
    answered: dict[str, list[DecodedUtterance]] = {}
    for subject in subjects:
        if mode in subject.results:
            answered.setdefault(subject.system, []).extend(subject.results[mode].utterances)
    return answered


def _unfit(subjects: Sequence[Subject]) -> list[str]:
    """Runs without results, and runs of another corpus."""
    lines = []
    for s in subjects:
        if not s.results:
            lines.append(f"Results of {s.name}: the run was not evaluated. Run `kdspeech eval --run {s.run.path}`.")
        if not s.utterances:
            lines.append(
                f"Recordings, lengths, bands and baselines of {s.name}: it was trained on another manifest than this "
                "workspace's."
            )
    return lines


def _missing_parts(subjects: Sequence[Subject], answered: Answered, recordings: Recordings, audio: bool) -> list[str]:
    lines = [f"Learning curves of {s.name}: no metrics.jsonl." for s in subjects if not s.epochs]
    for system, answers in answered.items():
        if all(u.confidence is None for u in answers):
            lines.append(f"Reliability of {system}: its results hold no confidence. Run `kdspeech eval --force`.")
    if not audio:
        lines.append("Recordings: left out by --no-audio.")
    elif recordings.num_left_out:
        lines.append(f"{recordings.num_left_out} recordings: too long, too many for one page, or not readable.")
    return lines


def _utterance_table(field: Field, subjects: Sequence[Subject], mode: str) -> Table | None:
    """All single answers, wrong ones first."""
    answers = [(s, u) for s in subjects if mode in s.results for u in s.results[mode].utterances]
    if not answers:
        return None
    answers.sort(key=lambda pair: pair[1].correct)
    rows = []
    for subject, u in answers[:_MAX_ROWS]:
        known = subject.utterances.get(u.utt_id)
        rows.append(
            (
                u.utt_id,
                *((subject.system,) if len(subjects) > 1 else ()),
                field.speaker_of[u.utt_id],
                "–" if known is None else f"{known.duration:.2f}",
                u.reference,
                u.hypothesis or "(nothing)",
                "right" if u.correct else "wrong",
                "–" if u.confidence is None else f"{100 * u.confidence:.1f}",
            )
        )
    system = ("system",) if len(subjects) > 1 else ()
    columns = ("utterance", *system, "speaker", "seconds", "spoken", "heard", "answer", "confidence %")
    more = f", the first {_MAX_ROWS} of {len(answers)}" if len(answers) > _MAX_ROWS else ""
    words = tuple(i for i, name in enumerate(columns) if name not in ("seconds", "confidence %"))
    return Table(f"Every answer by {title_of(mode)}{more}", columns, rows, text=words)


def print_report(path: Path) -> None:
    """Where the page is, and how large."""
    console.result(f"Report: {path} ({path.stat().st_size / 1e6:.1f} MB)")
