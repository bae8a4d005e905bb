"""Where `pretrained` leads: to the workspace's own models, if they are whole and of its vocabulary."""

import shutil
from pathlib import Path

import pytest

from kdspeech.config import StudentConfig
from kdspeech.errors import RunError, VocabularyError
from kdspeech.files import sha256_of_file, write_json
from kdspeech.lexicon import Lexicon
from kdspeech.model_folders.pretrained import (
    PretrainedCard,
    pretrained_teacher,
    read_card,
    resolve_student,
    speakers_heard,
    write_card,
)
from kdspeech.model_folders.teacher_folder import write_teacher_card
from kdspeech.protocols import TeacherCard
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import make_workspace

PRETRAINED = StudentConfig(encoder="pretrained")


@pytest.fixture
def workspace(tmp_path: Path, vocabulary: Vocabulary) -> Workspace:
    """A workspace without a pretraining."""
    return make_workspace(tmp_path / "w", Lexicon(("one", "two")), vocabulary)


@pytest.fixture
def card(workspace: Workspace) -> PretrainedCard:
    """The same workspace gets one."""
    path = workspace.pretrained_encoder_path
    path.parent.mkdir(parents=True)
    path.write_text("weights")
    vocabulary = workspace.vocabulary.sha256
    write_teacher_card(workspace.pretrained_teacher_dir, TeacherCard("initial", "double", ".", (), "start", vocabulary))
    card = PretrainedCard({"a": 1}, 0, vocabulary, sha256_of_file(path), "start", 10, 9, 0.5, 1.0, {"torch": "2"})
    write_card(workspace.pretrained_dir, card)
    return card


def test_a_card_comes_back_as_it_was_written(workspace: Workspace, card: PretrainedCard) -> None:
    assert read_card(workspace.pretrained_dir) == card
    assert card.speakers == ()
    write_json(workspace.pretrained_dir / "pretrained.json", {"seed": 0})
    with pytest.raises(RunError, match="not a pretraining's card"):
        read_card(workspace.pretrained_dir)


def test_pretrained_becomes_the_workspaces_file(workspace: Workspace, card: PretrainedCard) -> None:
    resolved = resolve_student(workspace, PRETRAINED.model_copy(update={"decoder_layers": 7}))
    assert resolved.encoder == str(workspace.pretrained_encoder_path)
    assert resolved.decoder_layers == 7
    assert pretrained_teacher(workspace) == workspace.pretrained_teacher_dir


@pytest.mark.parametrize(
    "config", [StudentConfig(encoder="nvidia/x"), StudentConfig(encoder="a.nemo"), StudentConfig(encoder_config={})]
)
def test_other_starts_are_left_alone(workspace: Workspace, config: StudentConfig) -> None:
    assert resolve_student(workspace, config) is config


def test_without_a_pretraining_the_way_out_is_named(workspace: Workspace) -> None:
    with pytest.raises(RunError, match=r"has none. Run `kdspeech pretrain`.*--encoder FILE.nemo"):
        resolve_student(workspace, PRETRAINED)
    with pytest.raises(RunError, match=r"Run `kdspeech pretrain`.*teacher.start=random"):
        pretrained_teacher(workspace)


def test_another_vocabulary_is_refused(workspace: Workspace, card: PretrainedCard) -> None:
    Vocabulary.train(("cat", "dog", "bird"), size=30, model_type="bpe").save(workspace.vocabulary_dir)
    for ask in (lambda w: resolve_student(w, PRETRAINED), pretrained_teacher):
        with pytest.raises(VocabularyError, match=rf"{card.vocabulary_sha256[:12]}.*pretrain --force"):
            ask(Workspace(workspace.root))


def test_changed_models_are_refused(workspace: Workspace, card: PretrainedCard) -> None:
    workspace.pretrained_encoder_path.write_text("other weights")
    with pytest.raises(RunError, match=r"encoder\.nemo is not the file"):
        resolve_student(workspace, PRETRAINED)
    other = TeacherCard("initial", "double", ".", (), "other start", card.vocabulary_sha256)
    write_teacher_card(workspace.pretrained_teacher_dir, other)
    with pytest.raises(RunError, match="teacher is not the model"):
        pretrained_teacher(workspace)


def test_whom_a_checkpoint_has_heard(workspace: Workspace, card: PretrainedCard, tmp_path: Path) -> None:
    path = workspace.pretrained_encoder_path
    assert speakers_heard(path) == ()
    assert speakers_heard(Path("nvidia/published")) is None
    shutil.copy(path, tmp_path / "foreign.nemo")
    assert speakers_heard(tmp_path / "foreign.nemo") is None  # no card beside it
    path.write_text("other weights")
    assert speakers_heard(path) is None  # the card is another file's
