"""Trains a NeMo teacher: the student of the recipe, on one speaker's transcripts, by the student's own loop."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kdspeech.choices import NEMO
from kdspeech.config import (
    DumpConfig,
    Recipe,
    StageConfig,
    StudentConfig,
    TargetConfig,
    TeacherConfig,
    TrainingConfig,
    VocabularyConfig,
)
from kdspeech.model_folders.checkpoints import load_checkpoint
from kdspeech.model_folders.runs import RunFolder
from kdspeech.model_folders.student_folder import load_saved, read_student, write_student
from kdspeech.model_folders.teacher_folder import LOG_NAME, OWN_FOLDER, read_teacher_card, write_teacher_card
from kdspeech.protocols import StudentFamily, TeacherCard
from kdspeech.teaching.own_utterances import check_own_utterances
from kdspeech.training.preflight import check_frames
from kdspeech.training.stage_runner import StageRunner, TrainingTask
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary

_WORK_NAME = "training"  # what the loop keeps while it runs


@dataclass(frozen=True)
class _TeacherRun(RunFolder):
    """The loop's folder within the teacher's; its log is the teacher's."""

    @property
    def metrics_path(self) -> Path:
        return self.path.parent / LOG_NAME


def train_student_teacher(
    students: StudentFamily,
    config: TeacherConfig,
    vocabulary: Vocabulary,
    initial: Path,
    folder: Path,
    speaker: str,
    train: Sequence[Utterance],
    valid: Sequence[Utterance],
    seed: int,
) -> None:
    """Trains one speaker's teacher from `initial` and writes its folder, `teacher.json` last.

    The weights after the last epoch are kept: `valid` is only watched.

    Raises:
        TeacherError: an utterance is another speaker's, or there is none to train on or to watch.
        VocabularyError: `initial` has another vocabulary.
        RunError: a recording is too short for its transcript, or the loss is not finite.
    """
    check_own_utterances(speaker, {"train": train, "valid": valid}, needed=("train", "valid"))
    saved = read_student(initial)
    vocabulary.check_same(saved.vocabulary.sha256, str(initial))
    student = load_saved(saved, students)
    recipe = teacher_recipe(config, student.config, vocabulary)
    check_frames(train, vocabulary, student.num_frames, max(config.speeds))
    check_frames(valid, vocabulary, student.num_frames, 1.0)
    run = _TeacherRun(folder / _WORK_NAME)
    task = TrainingTask(tuple(train), tuple(valid), vocabulary, "labels", recipe, seed, targets=None)
    StageRunner(task, student, run).run_all()
    student.load_state_dict(load_checkpoint(run.checkpoints_dir / "last.ckpt")["student"])
    checkpoint = write_student(folder, student)
    shutil.rmtree(run.path)
    heard = read_teacher_card(initial).speakers
    speakers = None if heard is None else (*heard, speaker)
    write_teacher_card(folder, TeacherCard(speaker, NEMO, OWN_FOLDER, speakers, checkpoint, vocabulary.sha256))


def teacher_recipe(config: TeacherConfig, student: StudentConfig, vocabulary: Vocabulary) -> Recipe:
    """One stage in which all parts of a student learn transcripts, by a teacher's settings."""
    stage = StageConfig(
        name="teacher",
        train=("encoder", "ctc_head", "decoder"),
        epochs=config.epochs,
        learning_rate=config.learning_rate,
        warmup_steps=sys.maxsize,  # the share alone decides
        max_warmup_share=config.warmup_share,
        weight_decay=config.weight_decay,
        losses={"labels": {"ctc": config.ctc_weight, "cross_entropy": 1 - config.ctc_weight}},
    )
    return Recipe(
        name="teacher",
        vocabulary=VocabularyConfig(size=vocabulary.size),
        teacher=config,
        dump=DumpConfig(),
        targets=TargetConfig(),
        student=student,
        training=TrainingConfig(
            batch_size=config.batch_size,
            label_smoothing=config.label_smoothing,
            speeds=config.speeds,
            colouring=config.colouring,
        ),
        stages=(stage,),
    )
