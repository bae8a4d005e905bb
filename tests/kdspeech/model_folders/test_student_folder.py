"""A student's folder gives the student back, and its hash says whether it is the same."""

from pathlib import Path

import pytest
import torch

from kdspeech.config import StudentConfig
from kdspeech.errors import TeacherError
from kdspeech.model_folders.student_folder import (
    is_student_folder,
    load_saved,
    read_student,
    student_sha256,
    write_student,
)
from kdspeech.vocabulary import Vocabulary
from tests.learners import TinyStudents

CONFIG = StudentConfig(encoder_config={"n_layers": 1}, num_mels=17)


def test_a_student_comes_back_as_it_was(tmp_path: Path, vocabulary: Vocabulary) -> None:
    student = TinyStudents().build_student(CONFIG, vocabulary, seed=3)
    checkpoint = write_student(tmp_path, student)
    saved = read_student(tmp_path)
    assert (saved.config, saved.vocabulary.sha256) == (CONFIG, vocabulary.sha256)
    again = load_saved(saved, TinyStudents())
    assert not again.training
    for name, weights in student.state_dict().items():
        assert torch.equal(weights, again.state_dict()[name]), name
    assert checkpoint == student_sha256(tmp_path, vocabulary)


def test_the_hash_follows_weights_and_architecture_alone(tmp_path: Path, vocabulary: Vocabulary) -> None:
    def written(name: str, config: StudentConfig, seed: int) -> str:
        (tmp_path / name).mkdir()
        return write_student(tmp_path / name, TinyStudents().build_student(config, vocabulary, seed))

    first = written("a", CONFIG, 0)
    assert written("b", CONFIG, 0) == first
    others = {written("c", CONFIG, 1), written("d", CONFIG.model_copy(update={"num_mels": 18}), 0)}
    assert len(others | {first}) == 3


def test_a_folder_without_a_student_is_refused(tmp_path: Path) -> None:
    assert not is_student_folder(tmp_path)
    with pytest.raises(TeacherError, match="Run `kdspeech train-teachers --backend nemo`"):
        read_student(tmp_path)
