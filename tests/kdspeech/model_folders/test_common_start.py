"""Teachers and student from one start: it is made once, kept with the teachers, and is nobody else's."""

from pathlib import Path

import pytest
import torch

from kdspeech.config import Recipe, StudentConfig
from kdspeech.errors import LeakError, RunError
from kdspeech.lexicon import Lexicon
from kdspeech.model_folders.common_start import make_common_start
from kdspeech.model_folders.pretrained import resolve_student
from kdspeech.model_folders.runs import load_student
from kdspeech.model_folders.student_folder import read_student
from kdspeech.model_folders.teacher_folder import read_teacher_card
from kdspeech.training.train import checkpoint_sha256, train
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import make_workspace
from tests.learners import PretrainableStudents, tiny_recipe

CONFIG = StudentConfig(encoder_config={"n_layers": 1})
STUDENTS = PretrainableStudents()


@pytest.fixture
def workspace(tmp_path: Path, vocabulary: Vocabulary) -> Workspace:
    return make_workspace(tmp_path / "workspace", Lexicon(("one", "two", "six")), vocabulary)


def _recipe() -> Recipe:
    """One epoch with a learning rate that moves nothing, of a student that starts with the teachers."""
    recipe = tiny_recipe([{"epochs": 1, "learning_rate": 1e-12, "weight_decay": 0.0}])
    return recipe.model_copy(update={"student": recipe.student.model_copy(update={"start": "teachers"})})


def test_a_start_is_made_once(tmp_path: Path, vocabulary: Vocabulary) -> None:
    folder = tmp_path / "initial"
    make_common_start(folder, CONFIG, vocabulary, STUDENTS, seed=0)
    card, changed = read_teacher_card(folder), (folder / "student.ckpt").stat().st_mtime_ns
    make_common_start(folder, CONFIG, vocabulary, STUDENTS, seed=0)
    assert (folder / "student.ckpt").stat().st_mtime_ns == changed
    assert (card.teacher_id, card.backend, card.source, card.speakers) == ("initial", "nemo", ".", ())
    make_common_start(folder, CONFIG, vocabulary, STUDENTS, seed=1)
    assert read_teacher_card(folder).checkpoint_sha256 != card.checkpoint_sha256


def test_the_student_has_the_teachers_start_whatever_its_seed(workspace: Workspace) -> None:
    recipe = _recipe()
    make_common_start(workspace.initial_teacher_dir, recipe.student, workspace.vocabulary, STUDENTS, seed=0)
    start = read_student(workspace.initial_teacher_dir)
    for seed in (0, 1):
        run = train(workspace, "carl", "labels", recipe=recipe, students=STUDENTS, seed=seed)
        weights = dict(load_student(run, STUDENTS).named_parameters())
        assert weights
        for name, parameter in weights.items():
            assert torch.allclose(parameter, start.weights[name], atol=1e-6), name


def test_another_start_is_another_run(workspace: Workspace) -> None:
    recipe = _recipe()
    resolved = []
    for seed in (0, 1):
        make_common_start(workspace.initial_teacher_dir, recipe.student, workspace.vocabulary, STUDENTS, seed)
        resolved.append(checkpoint_sha256(resolve_student(workspace, recipe.student)))
    assert None not in resolved
    assert resolved[0] != resolved[1]
    assert resolved[1] == read_teacher_card(workspace.initial_teacher_dir).checkpoint_sha256


def test_the_start_of_another_student_is_refused(workspace: Workspace) -> None:
    recipe = _recipe()
    with pytest.raises(RunError, match=r"holds no such start\. Run `kdspeech train-teachers"):
        resolve_student(workspace, recipe.student)
    other = recipe.student.model_copy(update={"num_mels": 17})
    make_common_start(workspace.initial_teacher_dir, other, workspace.vocabulary, STUDENTS, seed=0)
    with pytest.raises(RunError, match=r"student\.num_mels was 17, now 80"):
        resolve_student(workspace, recipe.student)


def test_a_student_may_differ_in_what_has_no_weights(workspace: Workspace) -> None:
    config = _recipe().student
    make_common_start(workspace.initial_teacher_dir, config, workspace.vocabulary, STUDENTS, seed=0)
    start = resolve_student(workspace, config).encoder
    for other in (
        {"spec_augment": None},
        {"vocal_tract": (0.9, 1.1)},
        {"decoder_dropout": 0.3},
        {"intermediate_layer": 2},
    ):
        assert resolve_student(workspace, config.model_copy(update=other)).encoder == start


def test_teachers_of_other_augmentation_are_other_teachers(tmp_path: Path, vocabulary: Vocabulary) -> None:
    folder = tmp_path / "initial"
    make_common_start(folder, CONFIG, vocabulary, STUDENTS, seed=0)
    before = read_teacher_card(folder).checkpoint_sha256
    make_common_start(folder, CONFIG.model_copy(update={"decoder_dropout": 0.3}), vocabulary, STUDENTS, seed=0)
    assert read_teacher_card(folder).checkpoint_sha256 != before


def test_a_start_that_has_heard_the_held_out_speaker_is_a_leak(workspace: Workspace) -> None:
    """Whom the start has heard stands on its card, where the fold proof finds it."""
    recipe = _recipe()
    make_common_start(workspace.initial_teacher_dir, recipe.student, workspace.vocabulary, _Heard(), seed=0)
    with pytest.raises(LeakError, match=r"checkpoint .*initial was made from speech or transcripts of carl"):
        train(workspace, "carl", "labels", recipe=recipe, students=STUDENTS)
    train(workspace, "anna", "labels", recipe=recipe, students=STUDENTS)


class _Heard(PretrainableStudents):
    """Students whose checkpoint has heard carl."""

    def starting_speakers(self, config: StudentConfig) -> tuple[str, ...] | None:
        return ("carl",)
