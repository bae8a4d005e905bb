"""The one start of all NeMo teachers, from which the student of the same recipe can start, too.

CTC models that start apart learn to spike at different frames; a common start aligns them (Kurata & Audhkhasi 2019,
arXiv 1904.08311). `student.start: teachers` in a recipe names this start.
"""

from pathlib import Path
from typing import Any

from kdspeech.choices import NEMO
from kdspeech.config import StudentConfig
from kdspeech.errors import RunError
from kdspeech.files import read_json, sha256_of_file, write_json
from kdspeech.model_folders.runs import differences, plain
from kdspeech.model_folders.student_folder import is_student_folder, write_student
from kdspeech.model_folders.teacher_folder import CARD_NAME, OWN_FOLDER, replacing_folder, write_teacher_card
from kdspeech.protocols import StudentFamily, TeacherCard
from kdspeech.vocabulary import Vocabulary

START_NAME = "start.json"  # the settings that a start was made from
_INITIAL_ID = "initial"  # its teacher_id
_NO_SHARED_WEIGHTS = {"intermediate_layer": None}  # a head that only a student's training listens to: not the teachers'
_NO_WEIGHTS = ("spec_augment", "vocal_tract", "decoder_dropout")  # in which a student may differ from its teachers


def make_common_start(
    folder: Path, config: StudentConfig, vocabulary: Vocabulary, students: StudentFamily, seed: int
) -> None:
    """Writes the student that has learnt nothing yet, as the recipe begins it, to `folder`; its card last.

    Nothing is written where the folder already holds the start of these settings.

    Args:
        config: with `pretrained` replaced by a file.

    Raises:
        KdspeechError: the student cannot be built.
    """
    settings = {**start_settings(config, vocabulary), "seed": seed}
    made_of = _settings_of(folder)
    if (folder / CARD_NAME).exists() and made_of is not None and not differences(made_of, settings):
        return
    student = students.build_student(config.model_copy(update=_NO_SHARED_WEIGHTS), vocabulary, seed)
    with replacing_folder(folder) as temporary:
        checkpoint = write_student(temporary, student)
        write_json(temporary / START_NAME, settings)
        heard = students.starting_speakers(config)
        card = TeacherCard(_INITIAL_ID, NEMO, OWN_FOLDER, heard, checkpoint, vocabulary.sha256)
        write_teacher_card(temporary, card)


def check_common_start(folder: Path, config: StudentConfig, vocabulary: Vocabulary) -> None:
    """Finds out whether a student of these settings can start there.

    Args:
        config: with `pretrained` replaced by a file.

    Raises:
        RunError: there is no such start, or it is another student's; names what differs.
    """
    remedy = (
        "Run `kdspeech train-teachers --speakers all --backend nemo` with this recipe, or `--set student.start=null`."
    )
    settings = _settings_of(folder) if is_student_folder(folder) else None
    if settings is None:
        raise RunError(
            f"the recipe's student starts where its NeMo teachers did, and {folder} holds no such start. {remedy}"
        )
    old, new = (_of_weights(made_of) for made_of in (settings, start_settings(config, vocabulary)))
    faults = differences(old, new)
    if faults:
        raise RunError(f"{folder} is the start of another student: {'; '.join(faults[:8])}. {remedy}")


def start_settings(config: StudentConfig, vocabulary: Vocabulary) -> dict[str, Any]:
    """Everything that decides a start but the seed, as plain JSON values."""
    checkpoint = Path(config.encoder) if config.encoder else None
    if checkpoint is not None and checkpoint.is_file():
        encoder: str | None = sha256_of_file(checkpoint)
    else:
        encoder = config.encoder
    settings: dict[str, Any] = plain(
        {
            "student": config.model_dump(mode="json", exclude={"encoder", "start", *_NO_SHARED_WEIGHTS}),
            "encoder": encoder,
            "vocabulary": vocabulary.sha256,
        }
    )
    return settings


def _settings_of(folder: Path) -> dict[str, Any] | None:
    path = folder / START_NAME
    return read_json(path) if path.exists() else None


def _of_weights(settings: dict[str, Any]) -> dict[str, Any]:
    """Those of a start's settings, but the seed, that decide which weights there are."""
    student = {name: value for name, value in settings["student"].items() if name not in _NO_WEIGHTS}
    return {**{name: value for name, value in settings.items() if name != "seed"}, "student": student}
