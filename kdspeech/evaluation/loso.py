"""`loso`: every speaker held out in turn, and one table of what each system does for a speaker that it never heard.

Only composition: what is done is skipped, and what is half done is continued, by the steps themselves.
"""

from collections.abc import Callable, Mapping, Sequence

from kdspeech import console
from kdspeech.choices import MODES, DecodeMode, Mode
from kdspeech.combination.scored import SystemScores
from kdspeech.config import Recipe
from kdspeech.dumps.dump_teachers import dump_teachers
from kdspeech.dumps.store import open_store
from kdspeech.errors import KdspeechError
from kdspeech.evaluation.baselines import teacher_baselines
from kdspeech.evaluation.loso_page import write_loso_page
from kdspeech.evaluation.loso_table import LosoRow, LosoTable
from kdspeech.evaluation.student_runs import FoldScores, StudentRun, StudentSystem, train_and_evaluate_all
from kdspeech.evaluation.zero_shot import zero_shot
from kdspeech.files import write_json, write_text
from kdspeech.model_folders.pretrained import resolve_encoder
from kdspeech.model_folders.teacher_folder import CARD_NAME
from kdspeech.protocols import DecodableStudents, TeacherFamily
from kdspeech.scoring.score import Scores
from kdspeech.supervision import ALL_LABELS, Supervision
from kdspeech.teaching.all_teachers import AllTeachers
from kdspeech.teaching.train_teachers import teachers_of_other_settings, train_teachers
from kdspeech.training.loggers import check_wandb
from kdspeech.workspace import Workspace


def loso(
    workspace: Workspace,
    *,
    recipe: Recipe,
    teachers: TeacherFamily,
    students: DecodableStudents,
    speakers: Sequence[str] | None = None,
    modes: Sequence[Mode] = MODES,
    adapt: bool = False,
    all_audio: bool = False,
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
        all_audio: also trains students that hear the training speakers' test recordings without transcripts, likewise.
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
    supervisions = [ALL_LABELS]
    supervisions += [Supervision(all_audio=True)] if all_audio else []
    supervisions += [Supervision(adapt=True)] if adapt else []
    systems = [StudentSystem(mode, supervision) for supervision in supervisions for mode in MODES if mode in modes]
    runs = [StudentRun(recipe, fold, system, seed) for fold in folds for system in systems]
    found = train_and_evaluate_all(workspace, runs, students, jobs, force, wandb)
    scores = {(run.held_out, run.system): of_run for run, of_run in zip(runs, found, strict=True)}
    rows = [
        LosoRow(system.name, {fold: scores[fold, system] for fold in folds}, system.supervision.adapt)
        for system in systems
    ]
    table = _make_table(workspace, recipe, teachers, folds, rows, seed, others)
    write_json(workspace.reports_dir / "loso.json", table.to_dict())
    write_text(workspace.reports_dir / "loso.md", table.to_markdown())
    write_loso_page(workspace.reports_dir / "loso.html", table)
    return table


def _make_table(
    workspace: Workspace,
    recipe: Recipe,
    teachers: TeacherFamily,
    folds: Sequence[str],
    students: Sequence[LosoRow],
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
        *students,
    ]
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
