"""Finds out what a source is, writes a teacher's card, and loads a teacher by its card."""

import re
from dataclasses import replace
from pathlib import Path

from kdspeech.choices import BACKENDS
from kdspeech.errors import TeacherError
from kdspeech.model_folders.teacher_folder import (
    CARD_NAME,
    OWN_FOLDER,
    check_card,
    read_teacher_card,
    write_teacher_card,
)
from kdspeech.protocols import Teacher

_PUBLISHED_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")  # name or organisation/name


def register_teacher(speaker: str, source: str, folder: Path) -> None:
    """Writes `teacher.json` for a teacher of the user's own; it is loaded once, so that its faults show now.

    Args:
        source: a SpeechBrain folder, a .nemo file, or a published name; `speechbrain:` or `nemo:` in front settles
            whose it is.

    Raises:
        TeacherError: there is no such model, or it cannot teach.
    """
    backend, place = find_source(source)
    card = _open(backend, place, speaker).card
    if (Path(place) / CARD_NAME).exists():  # a teacher of another workspace: whom it has heard is known
        card = replace(card, speakers=read_teacher_card(Path(place)).speakers)
    write_teacher_card(folder, card)


def load_teacher(folder: Path) -> Teacher:
    """Loads a teacher by its `teacher.json`.

    Raises:
        TeacherError: no card, an unknown backend, or the model is not the one that the card describes.
    """
    card = read_teacher_card(folder)
    place = str(folder) if card.source == OWN_FOLDER else card.source
    teacher = _open(card.backend, place, card.teacher_id)
    check_card(card, teacher.card, place)
    teacher.card = card
    return teacher


def find_source(source: str) -> tuple[str, str]:
    """Tells a source's backend and its place, an absolute path or a published name; local paths are looked at first.

    Raises:
        TeacherError: neither a model on disk nor a name that could be published.
    """
    prefix, _, rest = source.partition(":")
    named: str | None = prefix if prefix in BACKENDS else None
    place = rest if named else source
    path = Path(place).expanduser()
    if path.is_dir():
        if not (path / "hyperparams.yaml").exists():
            raise TeacherError(f"{path} is a folder without hyperparams.yaml; expected a SpeechBrain model.")
        return "speechbrain", str(path.resolve())
    if path.is_file():
        if path.suffix != ".nemo":
            raise TeacherError(f"{path} is neither a .nemo file nor a SpeechBrain folder.")
        return "nemo", str(path.resolve())
    if path.suffix == ".nemo" or not _PUBLISHED_NAME.fullmatch(place):
        raise TeacherError(f"{place} does not exist. Give a SpeechBrain folder, a .nemo file or a published name.")
    organisation = place.partition("/")[0] if "/" in place else "nvidia"
    backend = named or {"speechbrain": "speechbrain", "nvidia": "nemo"}.get(organisation)
    if backend is None:
        raise TeacherError(
            f"{place} is not on disk. If it is a published name, say whose: speechbrain:{place} or nemo:{place}."
        )
    return backend, place


def _open(backend: str, place: str, teacher_id: str) -> Teacher:
    if backend == "speechbrain":
        from kdspeech.teachers.speechbrain_teacher import SpeechBrainTeacher

        return SpeechBrainTeacher(place, teacher_id)
    if backend == "nemo":
        from kdspeech.teachers.nemo_teacher import NemoTeacher

        return NemoTeacher(place, teacher_id)
    raise TeacherError(f"teacher {teacher_id}: unknown backend {backend!r}; expected one of {', '.join(BACKENDS)}.")
