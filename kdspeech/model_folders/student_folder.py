"""A student as a folder of its own: a NeMo teacher is kept so, and so is the start that teachers and student share.

It holds student.json (the architecture), student.ckpt (encoder, CTC head and decoder) and vocabulary/. A .nemo file
could hold neither the decoder nor features of `normalize: mean`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from kdspeech.config import StudentConfig
from kdspeech.errors import TeacherError
from kdspeech.files import read_json, sha256_of_file, sha256_of_text, write_json
from kdspeech.model_folders.checkpoints import load_checkpoint
from kdspeech.protocols import StudentFamily
from kdspeech.vocabulary import Vocabulary

STUDENT_NAME = "student.json"
WEIGHTS_NAME = "student.ckpt"
VOCABULARY_NAME = "vocabulary"


@dataclass(frozen=True)
class SavedStudent:
    """What a student's folder holds."""

    config: StudentConfig  # rebuilds the architecture, without the checkpoint that it may have started from
    vocabulary: Vocabulary
    weights: dict[str, torch.Tensor]  # of all parts


def is_student_folder(folder: Path) -> bool:
    """True if a student lies there."""
    return (folder / STUDENT_NAME).is_file() and (folder / WEIGHTS_NAME).is_file()


def write_student(folder: Path, student: Any) -> str:
    """Writes a student into an existing folder.

    Args:
        student: a torch.nn.Module that is a `kdspeech.protocols.TrainableStudent`.

    Returns:
        `student_sha256`.
    """
    write_json(folder / STUDENT_NAME, student.config.model_dump(mode="json"))
    torch.save(student.state_dict(), folder / WEIGHTS_NAME)  # a file's bytes follow from its name and the weights
    student.vocabulary.save(folder / VOCABULARY_NAME)
    return student_sha256(folder, student.vocabulary)


def student_sha256(folder: Path, vocabulary: Vocabulary) -> str:
    """Identifies a folder's student by architecture, weights and vocabulary."""
    files = (sha256_of_file(folder / name) for name in (STUDENT_NAME, WEIGHTS_NAME))
    return sha256_of_text("\n".join((*files, vocabulary.sha256)))


def read_student(folder: Path) -> SavedStudent:
    """Reads what `write_student` wrote.

    Raises:
        TeacherError: there is no student.
        RunError: its weights cannot be read.
    """
    if not is_student_folder(folder):
        raise TeacherError(
            f"{folder} holds no {STUDENT_NAME} and {WEIGHTS_NAME}. Run `kdspeech train-teachers --backend nemo`."
        )
    return SavedStudent(
        StudentConfig.model_validate(read_json(folder / STUDENT_NAME)),
        Vocabulary.load(folder / VOCABULARY_NAME),
        load_checkpoint(folder / WEIGHTS_NAME),
    )


def load_saved(saved: SavedStudent, students: StudentFamily) -> Any:
    """The student itself, in eval mode: a torch.nn.Module that is a `TrainableStudent`."""
    student = students.build_student(saved.config, saved.vocabulary, seed=0)
    student.load_state_dict(saved.weights)
    return student.eval()
