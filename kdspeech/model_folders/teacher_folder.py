"""A teacher's folder: its card `teacher.json`, and how the folder comes into being whole or not at all."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from kdspeech.errors import KdspeechError, TeacherError
from kdspeech.files import read_json, write_json
from kdspeech.protocols import TeacherCard
from kdspeech.workspace import Workspace

CARD_NAME = "teacher.json"
LOG_NAME = "training_log.jsonl"  # one row a finished epoch, written while a teacher trains
# Of what the training of SpeechBrain teachers does beyond all settings, so that no two are taken for the same: 1
# divided CTC by the number of tokens twice, so that it counted a quarter of what `ctc_weight` says.
SPEECHBRAIN_LOOP_VERSION = 2
OWN_FOLDER = "."  # a card's source where the model lies beside the card; such a folder can be moved


def write_teacher_card(folder: Path, card: TeacherCard) -> None:
    """Writes `teacher.json`; it is the last file of a teacher, so a folder that has it is complete."""
    write_json(folder / CARD_NAME, asdict(card))


def read_teacher_card(folder: Path) -> TeacherCard:
    """Reads `teacher.json`.

    Raises:
        TeacherError: there is none, or it is not a teacher's card.
    """
    path = folder / CARD_NAME
    if not path.exists():
        raise TeacherError(
            f"{path} does not exist: there is no finished teacher. "
            f"Run `kdspeech train-teachers --speakers {folder.name}`, or bring one with "
            f"--teacher {folder.name}=PATH_OR_NAME."
        )
    row = read_json(path)
    try:
        speakers = row["speakers"]
        return TeacherCard(**{**row, "speakers": None if speakers is None else tuple(speakers)})
    except (KeyError, TypeError) as error:
        raise TeacherError(f"{path} is not a teacher's card ({error}). Train or register the teacher again.") from error


def check_card(card: TeacherCard, found: TeacherCard, place: str) -> None:
    """Holds a loaded model against its card.

    Raises:
        TeacherError: it is another model.
    """
    if (found.checkpoint_sha256, found.vocabulary_sha256) != (card.checkpoint_sha256, card.vocabulary_sha256):
        raise TeacherError(
            f"teacher {card.teacher_id}: {place} has checkpoint {found.checkpoint_sha256[:12]}, its card says "
            f"{card.checkpoint_sha256[:12]}: the files were changed. Train or register it again (--force)."
        )


def teachers_of(workspace: Workspace) -> list[str]:
    """The teachers whose cards are in the workspace, in the manifest's order of speakers, strangers last."""
    found = {card.parent.name for card in workspace.teachers_dir.glob(f"*/{CARD_NAME}")}
    known = [speaker for speaker in workspace.speakers if speaker in found]
    return known + sorted(found - set(known))


def temporary_folder(folder: Path) -> Path:
    """Where a folder is made before it takes its place."""
    return folder.parent / f".{folder.name}.new"


@contextmanager
def replacing_folder(folder: Path) -> Iterator[Path]:
    """Yields an empty folder beside `folder`; puts it in its place if the block succeeds, else removes it.

    What a killed run left over is cleared first; where it was killed between two renames, the old folder comes back.

    Raises:
        KdspeechError: the folder cannot be made or written.
    """
    temporary, old = temporary_folder(folder), folder.parent / f".{folder.name}.old"
    try:
        _come_back(old, folder)
        for leftover in (temporary, old):
            shutil.rmtree(leftover, ignore_errors=True)
        temporary.mkdir(parents=True)
    except OSError as error:
        raise KdspeechError(
            f"cannot write {folder}: {error.strerror}. Choose a writable folder with --workspace or KDSPEECH_WORKSPACE."
        ) from error
    try:
        yield temporary
        if folder.exists():
            os.replace(folder, old)
        os.replace(temporary, folder)
    except OSError as error:
        raise KdspeechError(f"cannot write {folder}: {error.strerror or error}") from error
    finally:
        _come_back(old, folder)  # if nothing took its place
        for done in (temporary, old):
            shutil.rmtree(done, ignore_errors=True)


def _come_back(old: Path, folder: Path) -> None:
    if old.exists() and not folder.exists():
        os.replace(old, folder)
