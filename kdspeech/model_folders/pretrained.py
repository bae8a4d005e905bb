"""What a pretraining left: its card, and the one place where a recipe's `pretrained` becomes a file."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kdspeech.choices import PRETRAINED
from kdspeech.config import StudentConfig
from kdspeech.errors import RunError, VocabularyError
from kdspeech.files import read_json, sha256_of_file, write_json
from kdspeech.model_folders.common_start import check_common_start
from kdspeech.model_folders.student_folder import is_student_folder
from kdspeech.model_folders.teacher_folder import read_teacher_card
from kdspeech.workspace import Workspace

CARD_NAME = "pretrained.json"


@dataclass(frozen=True)
class PretrainedCard:
    """`pretrained.json`, written last: what the models were made from, and whom they have heard."""

    settings: dict[str, Any]  # everything that decides the models
    seed: int
    vocabulary_sha256: str
    encoder_sha256: str  # of the .nemo file
    teacher_sha256: str  # of the teachers' start
    num_utterances: int
    num_voices: int  # different synthetic ones
    hours: float
    seconds: float  # that it took
    versions: dict[str, str]
    speakers: tuple[str, ...] = ()  # of the corpus: none was heard


def write_card(folder: Path, card: PretrainedCard) -> None:
    """Writes the card beside the models."""
    write_json(folder / CARD_NAME, asdict(card))


def read_card(folder: Path) -> PretrainedCard | None:
    """The card of a folder; None where there is none.

    Raises:
        RunError: the file is no such card.
    """
    path = folder / CARD_NAME
    if not path.exists():
        return None
    row = read_json(path)
    try:
        return PretrainedCard(**{**row, "speakers": tuple(row["speakers"])})
    except (KeyError, TypeError) as error:
        raise RunError(f"{path} is not a pretraining's card ({error}). Run `kdspeech pretrain --force`.") from error


def resolve_student(workspace: Workspace, config: StudentConfig) -> StudentConfig:
    """The student's settings with its start replaced by what lies there: a .nemo file or the teachers' common start.

    Raises:
        RunError: nothing was pretrained yet, no NeMo teachers were trained, or the start is another student's.
        VocabularyError: it was made for another vocabulary.
    """
    own = resolve_encoder(workspace, config)
    if config.start is None:
        return own
    check_common_start(workspace.initial_teacher_dir, own, workspace.vocabulary)
    return own.starting_from(str(workspace.initial_teacher_dir)).model_copy(update={"start": None})


def resolve_encoder(workspace: Workspace, config: StudentConfig) -> StudentConfig:
    """The student's settings with `pretrained` replaced by the workspace's own .nemo file; others as they are.

    Raises:
        RunError: nothing was pretrained yet, or the file was changed.
        VocabularyError: it was made for another vocabulary.
    """
    if config.encoder != PRETRAINED:
        return config
    card, path = _finished_card(workspace), workspace.pretrained_encoder_path
    if not path.exists() or sha256_of_file(path) != card.encoder_sha256:
        raise RunError(f"{path} is not the file that its card describes. Run `kdspeech pretrain --force`.")
    return config.starting_from(str(path))


def pretrained_teacher(workspace: Workspace) -> Path:
    """The folder from which teachers with `start: pretrained` begin.

    Raises:
        RunError: nothing was pretrained yet, or the folder was changed.
        VocabularyError: it was made for another vocabulary.
    """
    card, folder = _finished_card(workspace), workspace.pretrained_teacher_dir
    if read_teacher_card(folder).checkpoint_sha256 != card.teacher_sha256:
        raise RunError(f"{folder} is not the model that its card describes. Run `kdspeech pretrain --force`.")
    return folder


def _finished_card(workspace: Workspace) -> PretrainedCard:
    card = read_card(workspace.pretrained_dir)
    if card is None:
        raise RunError(
            f"the recipe starts from `{PRETRAINED}` models, and {workspace.root} has none. Run `kdspeech pretrain`, or "
            "name another start: --encoder FILE.nemo|NAME for the student, --set teacher.start=random for teachers."
        )
    if card.vocabulary_sha256 != workspace.vocabulary.sha256:
        raise VocabularyError(
            f"{workspace.pretrained_dir} was made for vocabulary {card.vocabulary_sha256[:12]}, the workspace uses "
            f"{workspace.vocabulary.sha256[:12]}. Run `kdspeech pretrain --force`."
        )
    return card


def speakers_heard(checkpoint: Path) -> tuple[str, ...] | None:
    """Corpus speakers heard by a checkpoint; None where nobody recorded them.

    They are known for the .nemo file that a pretraining's card describes, and for the common start of NeMo teachers.
    """
    if is_student_folder(checkpoint):
        return read_teacher_card(checkpoint).speakers
    if not checkpoint.is_file():
        return None
    card = read_card(checkpoint.parent)
    if card is None or sha256_of_file(checkpoint) != card.encoder_sha256:
        return None
    return card.speakers
