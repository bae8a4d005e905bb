"""Students of any recipes, systems, folds and seeds, trained and decoded side by side; those that are done are read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kdspeech import console
from kdspeech.choices import DecodeMode, Mode
from kdspeech.config import Recipe
from kdspeech.evaluation.evaluate import evaluate, results_path
from kdspeech.fanout import default_jobs, run_jobs
from kdspeech.files import count_lines
from kdspeech.heads import of_mode, taught_heads, untaught
from kdspeech.model_folders.runs import RunFolder
from kdspeech.protocols import DecodableStudents
from kdspeech.scoring.score import Scores
from kdspeech.supervision import ALL_LABELS, Supervision
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
        audio = ", all audio" if self.supervision.all_audio else ""
        adapted = ", adapted to unlabelled audio (transductive)" if self.supervision.adapt else ""
        return f"{_MODE_NAMES[self.mode]}{labels}{audio}{adapted}"


@dataclass(frozen=True)
class StudentRun:
    """One student."""

    recipe: Recipe
    held_out: str
    system: StudentSystem
    seed: int

    def folder(self, workspace: Workspace) -> RunFolder:
        variant = self.system.supervision.variant(self.system.mode)
        return RunFolder(workspace.run_dir(self.recipe.name, self.held_out, variant, self.seed))

    def results(self, workspace: Workspace) -> dict[DecodeMode, Path]:
        """Where the hypotheses of each decode mode of the tables stand; a head that is not taught has none."""
        heads, folder = taught_heads(of_mode(self.recipe.stages, self.system.mode)), self.folder(workspace).path
        return {mode: results_path(folder, mode) for mode in workspace.table_modes if not untaught(mode, heads)}

    def is_done(self, workspace: Workspace) -> bool:
        """Whether the files are there; `train` and `evaluate` see whether they are of these settings."""
        return self.folder(workspace).is_finished and all(path.exists() for path in self.results(workspace).values())


def train_and_evaluate_all(
    workspace: Workspace,
    runs: Sequence[StudentRun],
    students: DecodableStudents,
    jobs: int | None = None,
    force: bool = False,
    wandb: bool = False,
) -> list[FoldScores]:
    """Trains and decodes students side by side; those that are done are read here, only the others get a process.

    Args:
        jobs: processes side by side; None takes one a core.

    Returns:
        The scores on the held-out speaker, in the order of `runs`.

    Raises:
        KdspeechError: a student failed; those that are done stay done.
    """
    done = [not force and run.is_done(workspace) for run in runs]
    missing = [run for run, is_done in zip(runs, done, strict=True) if not is_done]
    with console.silenced():
        read = [
            train_and_evaluate(workspace.root, run, students, force, wandb)
            for run, is_done in zip(runs, done, strict=True)
            if is_done
        ]
    if read:
        console.remark(f"{len(read)} of {len(runs)} students are trained and decoded: read.")
    found: list[FoldScores] = []
    if missing:
        logs = [run.folder(workspace).metrics_path for run in missing]
        found = run_jobs(
            train_and_evaluate,
            [(workspace.root, run, students, force, wandb) for run in missing],
            "Training students, epochs",
            workspace.root / "logs" / "loso",
            jobs or default_jobs(len(missing)),
            counter=(
                sum(stage.epochs for run in missing for stage in run.recipe.stages),
                lambda: sum(count_lines(log) for log in logs),
            ),
        )
    reading, training = iter(read), iter(found)
    return [next(reading) if is_done else next(training) for is_done in done]


def train_and_evaluate(
    root: Path, run: StudentRun, students: DecodableStudents, force: bool, wandb: bool = False
) -> FoldScores:
    """One student, trained, and decoded by the heads it was taught; a job of its own, so it takes a path."""
    workspace = Workspace(root)
    path = train(
        workspace,
        run.held_out,
        run.system.mode,
        recipe=run.recipe,
        students=students,
        supervision=run.system.supervision,
        seed=run.seed,
        force=force,
        wandb=wandb,
    )
    return {
        decode_mode: evaluate(workspace, path, decode_mode, students=students, force=force).scores
        for decode_mode in run.results(workspace)
    }
