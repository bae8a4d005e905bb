"""`loso`: every speaker held out in turn, and one table of what each system does for a speaker that it never heard.

Only composition: what is done is skipped, and what is half done is continued, by the steps themselves.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdspeech import console
from kdspeech.choices import MODES, DecodeMode, Mode
from kdspeech.combination.scored import SystemScores
from kdspeech.config import Recipe
from kdspeech.dumps.dump_teachers import dump_teachers
from kdspeech.dumps.store import open_store
from kdspeech.errors import KdspeechError
from kdspeech.evaluation.baselines import teacher_baselines
from kdspeech.evaluation.evaluate import evaluate, results_path
from kdspeech.evaluation.loso_page import write_loso_page
from kdspeech.evaluation.loso_table import LosoRow, LosoTable
from kdspeech.evaluation.zero_shot import zero_shot
from kdspeech.fanout import default_jobs, run_jobs
from kdspeech.files import count_lines, write_json, write_text
from kdspeech.heads import of_mode, taught_heads, untaught
from kdspeech.model_folders.pretrained import resolve_encoder
from kdspeech.model_folders.runs import RunFolder
from kdspeech.model_folders.teacher_folder import CARD_NAME
from kdspeech.protocols import DecodableStudents, TeacherFamily
from kdspeech.scoring.score import Scores
from kdspeech.supervision import ALL_LABELS, Supervision
from kdspeech.teaching.all_teachers import AllTeachers
from kdspeech.teaching.train_teachers import teachers_of_other_settings, train_teachers
from kdspeech.training.loggers import check_wandb
from kdspeech.training.train import train
from kdspeech.workspace import Workspace

FoldScores = dict[DecodeMode, Scores]

_MODE_NAMES: Mapping[Mode, str] = {
    "labels": "labels-only student",
    "decoder-kd": "decoder-kd student",
    "ctc-kd": "ctc-kd student",
}


@dataclass(frozen=True)
class StudentSystem:
    """One row of students: how they learn, and what they may read."""

    mode: Mode
    supervision: Supervision = ALL_LABELS

    @property
    def name(self) -> str:
        """The row's heading."""
        share = self.supervision.label_share
        labels = "" if share == 1 else f", {100 * share:g} % of the labels"
        adapted = ", adapted to unlabelled audio (transductive)" if self.supervision.adapt else ""
        return f"{_MODE_NAMES[self.mode]}{labels}{adapted}"


def loso(
    workspace: Workspace,
    *,
    recipe: Recipe,
    teachers: TeacherFamily,
    students: DecodableStudents,
    speakers: Sequence[str] | None = None,
    modes: Sequence[Mode] = MODES,
    adapt: bool = False,
    seed: int = 0,
    jobs: int | None = None,
    force: bool = False,
    wandb: bool = False,
) -> LosoTable:
    """Trains and dumps missing teachers, trains and evaluates the students of every fold, and writes the table.

    The table goes to `reports/loso.json`, `reports/loso.md` and the page `reports/loso.html`.

    Args:
        speakers: to hold out, one after another; None takes all. Every other speaker of the corpus teaches and trains.
        modes: of the students.
        adapt: also trains students that hear the held-out speaker's recordings without transcripts, in their own rows.
        jobs: processes side by side; None takes one a core.
        force: trains and evaluates the students again; teachers and dumps have commands of their own for that.
        wandb: shows the students' epochs at Weights & Biases, too.

    Raises:
        KdspeechError: an unknown speaker, fewer than two speakers, or a step that failed; done steps stay done.
    """
    if wandb:
        check_wandb()
    folds = workspace.check_speakers(list(speakers or ["all"]))
    if len(workspace.speakers) < 2:
        raise KdspeechError(f"{workspace.manifest_path} has one speaker; leaving one out needs at least two.")
    everyone, teachers = workspace.speakers, AllTeachers(teachers, students)
    # A teacher that is there stays: it may be the user's own, and runs and dumps were made with it.
    missing = [name for name in everyone if not (workspace.teacher_dir(name) / CARD_NAME).exists()]
    if missing:
        train_teachers(workspace, missing, recipe=recipe, teachers=teachers, students=students, seed=seed, jobs=jobs)
    others = teachers_of_other_settings(workspace, everyone, recipe, seed)
    if others:
        console.warn(
            f"the teachers of {', '.join(others)} are not those of recipe {recipe.name}, seed {seed}: they were made "
            "by other settings or an earlier version of the training, and are taken as they are. `kdspeech "
            "train-teachers --force` makes them again."
        )
    dump_teachers(workspace, everyone, recipe=recipe, teachers=teachers, on=everyone, jobs=jobs)
    systems = [StudentSystem(mode) for mode in MODES if mode in modes]
    if adapt:
        systems += [StudentSystem(system.mode, Supervision(adapt=True)) for system in systems]
    student_scores = train_and_evaluate_all(workspace, recipe, students, folds, systems, [seed], jobs, force, wandb)
    table = _make_table(workspace, recipe, teachers, folds, student_scores, seed, others)
    write_json(workspace.reports_dir / "loso.json", table.to_dict())
    write_text(workspace.reports_dir / "loso.md", table.to_markdown())
    write_loso_page(workspace.reports_dir / "loso.html", table)
    return table


def train_and_evaluate_all(
    workspace: Workspace,
    recipe: Recipe,
    students: DecodableStudents,
    folds: Sequence[str],
    systems: Sequence[StudentSystem],
    seeds: Sequence[int],
    jobs: int | None = None,
    force: bool = False,
    wandb: bool = False,
) -> dict[tuple[str, StudentSystem, int], FoldScores]:
    """Trains and decodes students side by side; by held-out speaker, system and seed.

    Those that are done are read here; only the others get a process.
    """
    runs = [(fold, system, seed) for seed in seeds for fold in folds for system in systems]
    arguments = {
        (fold, system, seed): (workspace.root, fold, system, recipe, students, seed, force, wandb)
        for fold, system, seed in runs
    }
    done = [] if force else [run for run in runs if _is_done(workspace, recipe, *run)]
    missing = [run for run in runs if run not in done]
    with console.silenced():
        scores = {run: train_and_evaluate(*arguments[run]) for run in done}
    if done:
        console.remark(f"{len(done)} of {len(runs)} students are trained and decoded: read.")
    if missing:
        logs = [_run_folder(workspace, recipe, *run).metrics_path for run in missing]
        found = run_jobs(
            train_and_evaluate,
            [arguments[run] for run in missing],
            "Training students, epochs",
            workspace.root / "logs" / "loso",
            jobs or default_jobs(len(missing)),
            counter=(
                len(missing) * sum(stage.epochs for stage in recipe.stages),
                lambda: sum(count_lines(log) for log in logs),
            ),
        )
        scores |= dict(zip(missing, found, strict=True))
    return {run: scores[run] for run in runs}


def _run_folder(workspace: Workspace, recipe: Recipe, fold: str, system: StudentSystem, seed: int) -> RunFolder:
    return RunFolder(workspace.run_dir(recipe.name, fold, system.supervision.variant(system.mode), seed))


def _is_done(workspace: Workspace, recipe: Recipe, fold: str, system: StudentSystem, seed: int) -> bool:
    """Whether the files are there; `train` and `evaluate` see whether they are of these settings."""
    run = _run_folder(workspace, recipe, fold, system, seed)
    decode_modes = _decode_modes(workspace, recipe, system.mode)
    return run.is_finished and all(results_path(run.path, decode_mode).exists() for decode_mode in decode_modes)


def _decode_modes(workspace: Workspace, recipe: Recipe, mode: Mode) -> list[DecodeMode]:
    """Those of the table whose heads are taught."""
    heads = taught_heads(of_mode(recipe.stages, mode))
    return [decode_mode for decode_mode in workspace.table_modes if not untaught(decode_mode, heads)]


def train_and_evaluate(
    root: Path,
    held_out: str,
    system: StudentSystem,
    recipe: Recipe,
    students: DecodableStudents,
    seed: int,
    force: bool,
    wandb: bool = False,
) -> FoldScores:
    """One fold's student, trained, and decoded by the heads it was taught; a job of its own, so it takes a path."""
    workspace = Workspace(root)
    run = train(
        workspace,
        held_out,
        system.mode,
        recipe=recipe,
        students=students,
        supervision=system.supervision,
        seed=seed,
        force=force,
        wandb=wandb,
    )
    return {
        decode_mode: evaluate(workspace, run, decode_mode, students=students, force=force).scores
        for decode_mode in _decode_modes(workspace, recipe, system.mode)
    }


def _make_table(
    workspace: Workspace,
    recipe: Recipe,
    teachers: TeacherFamily,
    folds: Sequence[str],
    student_scores: Mapping[tuple[str, StudentSystem, int], FoldScores],
    seed: int,
    other_teachers: Sequence[str],
) -> LosoTable:
    store = open_store(workspace)
    lexicon = workspace.lexicon if workspace.has_lexicon else None
    test = {fold: [u for u in workspace.utterances if u.speaker == fold] for fold in folds}
    baselines = {
        fold: teacher_baselines(
            store,
            [name for name in workspace.speakers if name != fold],
            utterances,
            workspace.table_modes,
            lexicon,
        )
        for fold, utterances in test.items()
    }
    rows = [
        *_zero_shot_row(workspace, recipe, teachers, folds),
        LosoRow("mean single teacher", _each(baselines, lambda b: b.mean_single)),
        LosoRow("best single teacher (oracle)", _each(baselines, lambda b: b.singles[b.best_single])),
        LosoRow("teacher vote", _each(baselines, lambda b: b.vote)),
    ]
    for system in dict.fromkeys(system for _, system, _ in student_scores):
        scores = {fold: student_scores[fold, system, seed] for fold in folds}
        rows.append(LosoRow(system.name, scores, system.supervision.adapt))
    return LosoTable(
        folds=tuple(folds),
        num_utterances={fold: len(utterances) for fold, utterances in test.items()},
        decode_modes=workspace.table_modes,
        rows=tuple(rows),
        settings={
            "corpus": workspace.corpus.corpus,
            "recipe": recipe.name,
            "seed": seed,
            **({"teachers of other settings": ", ".join(other_teachers)} if other_teachers else {}),
        },
        details={fold: _details(by_mode) for fold, by_mode in baselines.items()},
    )


def _each(
    baselines: Mapping[str, Mapping[DecodeMode, SystemScores]], read: Callable[[SystemScores], Scores]
) -> dict[str, FoldScores]:
    return {fold: {mode: read(found) for mode, found in by_mode.items()} for fold, by_mode in baselines.items()}


def _zero_shot_row(
    workspace: Workspace, recipe: Recipe, teachers: TeacherFamily, folds: Sequence[str]
) -> list[LosoRow]:
    """The student's pretrained encoder as it comes, with its own CTC head; no row for an encoder from scratch."""
    encoder = resolve_encoder(workspace, recipe.student).encoder
    if encoder is None:
        return []
    scores = zero_shot(workspace, encoder, teachers, folds)
    return [] if scores is None else [LosoRow("zero-shot student encoder", scores)]


def _details(by_mode: Mapping[DecodeMode, SystemScores]) -> dict[str, object]:
    """What the table leaves out of a fold: each teacher, the best one, and the any-teacher-right oracle."""
    return {
        mode: {
            "teachers": {name: scores.to_dict() for name, scores in found.singles.items()},
            "best_single_teacher": found.best_single,
            "any_teacher_right": found.any_right.to_dict(),
        }
        for mode, found in by_mode.items()
    }
