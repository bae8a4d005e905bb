"""The two trainings on a synthetic corpus, each a job of its own: the student's encoder, and the teachers' start."""

from pathlib import Path

from kdspeech.config import PretrainingConfig, Recipe, StageConfig, StudentConfig, TeacherConfig
from kdspeech.model_folders.checkpoints import load_checkpoint
from kdspeech.model_folders.runs import RunFolder
from kdspeech.model_folders.teacher_folder import LOG_NAME
from kdspeech.pretraining.synthetic import SyntheticCorpus
from kdspeech.protocols import PretrainableStudents, PretrainableTeachers
from kdspeech.training.preflight import check_frames
from kdspeech.training.stage_runner import StageRunner, TrainingTask
from kdspeech.workspace import Workspace


def encoder_run(workspace: Workspace) -> RunFolder:
    """Where the encoder trains."""
    return RunFolder(workspace.pretrained_dir / "encoder-training")


def teacher_work(workspace: Workspace) -> Path:
    """Where the teachers' start trains."""
    return workspace.pretrained_dir / "teacher-training"


def epoch_logs(workspace: Workspace) -> list[Path]:
    """One line a finished epoch, of both."""
    return [encoder_run(workspace).metrics_path, teacher_work(workspace) / LOG_NAME]


def encoder_recipe(recipe: Recipe, student: StudentConfig, config: PretrainingConfig) -> Recipe:
    """One stage, encoder and CTC head, CTC alone."""
    stage = StageConfig(
        name="pretraining",
        train=("encoder", "ctc_head"),
        epochs=config.encoder.epochs,
        learning_rate=config.encoder.learning_rate,
        losses={"labels": {"ctc": 1.0}},
    )
    # The corpus holds many speeds and channels already; how a student learns people's speech decides nothing here.
    plain = {"speeds": (1.0,), "tempos": (1.0,), "ema_decay": None, "colouring": None}
    training = {"batch_size": config.encoder.batch_size, **plain}
    return recipe.model_copy(
        update={"student": student, "stages": (stage,), "training": recipe.training.model_copy(update=training)}
    )


def teacher_config(teacher: TeacherConfig, config: PretrainingConfig) -> TeacherConfig:
    """The teachers' architecture with the pretraining's schedule; synthetic speech has its colours already."""
    return teacher.model_copy(update={**config.teacher.model_dump(), "speeds": (1.0,), "colouring": None})


def train_encoder(
    students: PretrainableStudents, root: Path, recipe: Recipe, corpus: SyntheticCorpus, seed: int
) -> None:
    """Trains the encoder by the students' own loop, and exports the weights after the last epoch.

    Args:
        root: of the workspace.
        recipe: of `encoder_recipe`.
    """
    workspace = Workspace(root)
    vocabulary, run = workspace.vocabulary, encoder_run(workspace)
    student = students.build_student(recipe.student, vocabulary, seed)
    for part in (corpus.train, corpus.valid):
        check_frames(part, vocabulary, student.num_frames, 1.0)
    if not run.is_finished:
        task = TrainingTask(corpus.train, corpus.valid, vocabulary, "labels", recipe, seed, targets=None)
        StageRunner(task, student, run).run_all()
    student.load_state_dict(load_checkpoint(run.checkpoints_dir / "last.ckpt")["student"])
    students.export_encoder(student.eval(), workspace.pretrained_encoder_path)


def train_teacher_start(
    teachers: PretrainableTeachers, root: Path, config: TeacherConfig, corpus: SyntheticCorpus, seed: int
) -> None:
    """Trains the start of all teachers by the teachers' own trainer.

    Args:
        root: of the workspace.
        config: of `teacher_config`.
    """
    workspace = Workspace(root)
    folder, work = workspace.pretrained_teacher_dir, teacher_work(workspace)
    teachers.pretrain_initial(config, workspace.vocabulary, folder, work, corpus.train, corpus.valid, seed)
