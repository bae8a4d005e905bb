"""`train_teachers`: one teacher a speaker, all from one initial checkpoint, or teachers of the user's own."""

import json
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

from kdspeech import console
from kdspeech.choices import NEMO, PRETRAINED
from kdspeech.config import Recipe, TeacherConfig
from kdspeech.errors import ConfigError, TeacherError
from kdspeech.fanout import default_jobs, run_jobs
from kdspeech.files import count_lines, sha256_of_text
from kdspeech.model_folders.common_start import make_common_start
from kdspeech.model_folders.pretrained import pretrained_teacher, resolve_encoder
from kdspeech.model_folders.teacher_folder import (
    CARD_NAME,
    LOG_NAME,
    OWN_FOLDER,
    SPEECHBRAIN_LOOP_VERSION,
    read_teacher_card,
    replacing_folder,
    temporary_folder,
)
from kdspeech.protocols import StudentFamily, TeacherFamily
from kdspeech.teaching.all_teachers import AllTeachers
from kdspeech.teaching.teacher_report import print_reports, read_report, write_report
from kdspeech.training.stage_runner import LOOP_VERSION
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace


def train_teachers(
    workspace: Workspace,
    speakers: Sequence[str],
    *,
    recipe: Recipe,
    teachers: TeacherFamily,
    students: StudentFamily | None = None,
    external: Mapping[str, str] | None = None,
    seed: int = 0,
    jobs: int | None = None,
    force: bool = False,
) -> None:
    """Trains or registers a teacher for each speaker, on that speaker's `train` utterances only.

    Finished teachers are skipped if their settings, seed, data and initial checkpoint are unchanged, and nothing is
    done if they are not: a teacher is replaced by `force` alone, since dumps and runs were made with it. Speakers for
    whom the user brought a teacher earlier are skipped, too.

    Args:
        speakers: names, or ["all"].
        students: needed for teachers that are students of one speaker (`teacher.backend: nemo`).
        external: speaker -> SpeechBrain folder, NeMo teacher's folder, .nemo file or published name, to register
            instead of training.
        jobs: processes side by side; None takes one a core.
        force: makes the random initial checkpoint and these speakers' teachers again.

    Raises:
        TeacherError: a finished teacher is another one than asked for, or one cannot be trained or loaded.
        KdspeechError: an unknown speaker, or a speaker without utterances.
    """
    if students is not None:
        teachers = AllTeachers(teachers, students)
    external = dict(external or {})
    workspace.check_speakers(list(external))
    names = [name for name in workspace.check_speakers(list(speakers)) if name not in external]
    for speaker, source in external.items():
        _register(workspace, teachers, speaker, source, force)
    if names:
        _train_missing(workspace, names, recipe, teachers, seed, jobs, force)
    print_reports({name: read_report(workspace.teacher_dir(name)) for name in [*names, *external]})


def _train_missing(
    workspace: Workspace,
    names: Sequence[str],
    recipe: Recipe,
    teachers: TeacherFamily,
    seed: int,
    jobs: int | None,
    force: bool,
) -> None:
    vocabulary, config = workspace.vocabulary, recipe.teacher
    vocabulary.check_round_trip(u.text for u in workspace.utterances)
    if not force:
        _check_finished(workspace, names, teachers_of_other_settings(workspace, names, recipe, seed))
    initial = _common_start(workspace, names, recipe, teachers, seed, force)
    start = read_teacher_card(initial).checkpoint_sha256
    arguments = []
    for name in names:
        utterances = [u for u in workspace.utterances if u.speaker == name]
        settings = _settings_sha256(config, vocabulary, start, utterances, seed)
        folder = workspace.teacher_dir(name)
        if not force and _is_finished(folder, settings):
            console.remark(f"Teacher {name}: done already, skipped (--force trains it again).")
            continue
        if not force and _is_registered(folder):
            source = read_teacher_card(folder).source
            console.remark(f"Teacher {name}: {source} was brought for it and is kept (--force trains one instead).")
            continue
        data = (workspace.vocabulary_dir, initial, folder, name, utterances)
        arguments.append((teachers, config, *data, settings, seed))
    if arguments:
        folders, started = [argument[4] for argument in arguments], time.time()
        run_jobs(
            _train_one,
            arguments,
            description="Training teachers, epochs",
            log_dir=workspace.root / "logs" / "train-teachers",
            jobs=jobs or default_jobs(len(arguments)),
            counter=(
                len(arguments) * config.epochs,
                lambda: sum(_epochs_done(folder, started) for folder in folders),
            ),
        )
    _warn_of_other_starts(workspace, start)


def teachers_of_other_settings(
    workspace: Workspace, names: Sequence[str], recipe: Recipe, seed: int, start: str | None = None
) -> list[str]:
    """The finished teachers that `train_teachers` would not make so: of another backend, settings, data, seed or loop.

    Args:
        start: hash of the initial checkpoint that they should have; None takes whichever each of them had.
    """
    others = []
    for name in names:
        report = read_report(workspace.teacher_dir(name))
        if report is None or report.initial_sha256 is None:
            continue
        if read_teacher_card(workspace.teacher_dir(name)).backend != recipe.teacher.backend:
            others.append(name)
            continue
        utterances = [u for u in workspace.utterances if u.speaker == name]
        expected = (recipe.teacher, workspace.vocabulary, start or report.initial_sha256, utterances, seed)
        if report.settings_sha256 != _settings_sha256(*expected):
            others.append(name)
    return others


def _check_finished(workspace: Workspace, names: Sequence[str], others: Sequence[str]) -> None:
    if not others:
        return
    rest = [name for name in names if name not in others]
    leave = f", --speakers {','.join(rest)} leaves them as they are" if rest else ""
    raise TeacherError(
        f"{workspace.teacher_dir(others[0]).parent}: the teachers of {', '.join(others)} are finished, and were made "
        "by another recipe, seed, start, data or version of the training. --force makes them again, after which their "
        "dumps and the runs that learnt from them have to be made again, too; another --workspace keeps both"
        f"{leave}."
    )


def _common_start(
    workspace: Workspace, names: Sequence[str], recipe: Recipe, teachers: TeacherFamily, seed: int, force: bool
) -> Path:
    """The one checkpoint from which all teachers start: pretrained, random, or, of NeMo teachers, the student's.

    The old one stays where finished teachers started from it and are not to be made again.
    """
    config, initial = recipe.teacher, workspace.initial_teacher_dir

    def check(start: Path) -> None:
        if not force:
            checkpoint = read_teacher_card(start).checkpoint_sha256
            _check_finished(workspace, names, teachers_of_other_settings(workspace, names, recipe, seed, checkpoint))

    if config.backend != NEMO and config.start == PRETRAINED:
        start = pretrained_teacher(workspace)
        check(start)
        return start
    if config.backend == NEMO and not isinstance(teachers, AllTeachers):
        raise ConfigError("teachers of backend nemo are students: give train_teachers the `students`, too.")
    with TemporaryDirectory() as place:
        made = Path(place) / initial.name
        if initial.exists() and not force:
            shutil.copytree(initial, made)  # stays as it is, if it is of these settings
        if isinstance(teachers, AllTeachers) and config.backend == NEMO:
            student = resolve_encoder(workspace, recipe.student)
            make_common_start(made, student, workspace.vocabulary, teachers.students, seed)
        else:
            teachers.train_initial(config, workspace.vocabulary, made, seed)
        check(made)
        if not _is_untouched_copy(made, initial):
            with replacing_folder(initial) as new:
                shutil.copytree(made, new, dirs_exist_ok=True)
    return initial


def _is_untouched_copy(made: Path, initial: Path) -> bool:
    """By the time of the card, which is written last."""
    cards = made / CARD_NAME, initial / CARD_NAME
    return all(card.exists() for card in cards) and len({card.stat().st_mtime_ns for card in cards}) == 1


def _epochs_done(folder: Path, started: float) -> int:
    """Epochs that a teacher has finished since `started`, by its log."""
    logs = [temporary_folder(folder) / LOG_NAME, folder / LOG_NAME]
    fresh = next((log for log in logs if log.exists() and log.stat().st_mtime >= started), None)
    return count_lines(fresh) if fresh else 0


def _train_one(
    teachers: TeacherFamily,
    config: TeacherConfig,
    vocabulary_dir: Path,
    initial: Path,
    folder: Path,
    speaker: str,
    utterances: Sequence[Utterance],
    settings_sha256: str,
    seed: int,
) -> None:
    """Trains one teacher under a temporary name, scores it on its own held-back utterances and puts it in its place."""
    train = [u for u in utterances if u.split == "train"]
    valid = [u for u in utterances if u.split == "valid"]
    started = time.monotonic()
    with replacing_folder(folder) as temporary:
        vocabulary = Vocabulary.load(vocabulary_dir)
        teachers.train_teacher(config, vocabulary, initial, temporary, speaker, train, valid, seed)
        seconds = time.monotonic() - started
        write_report(
            temporary,
            teachers.load_teacher(temporary),
            valid,
            settings_sha256=settings_sha256,
            initial_sha256=read_teacher_card(initial).checkpoint_sha256,
            seed=seed,
            num_train=len(train),
            seconds=seconds,
        )


def _register(workspace: Workspace, teachers: TeacherFamily, speaker: str, source: str, force: bool) -> None:
    """Registers a teacher of the user's own, and scores it on its speaker's held-back utterances."""
    folder = workspace.teacher_dir(speaker)
    valid = [u for u in workspace.utterances if u.speaker == speaker and u.split == "valid"]
    settings = sha256_of_text(f"{source} {json.dumps([asdict(u) for u in valid])}")
    if not force and _is_finished(folder, settings):
        console.remark(f"Teacher {speaker}: {source} is registered already, skipped (--force looks at it again).")
        return
    if not force and (folder / CARD_NAME).exists():
        raise TeacherError(
            f"{folder} holds a finished teacher ({read_teacher_card(folder).backend}). Give --force to put {source} in "
            "its place, or take another --workspace."
        )
    started = time.monotonic()
    with replacing_folder(folder) as temporary:
        teachers.register_teacher(speaker, source, temporary)
        teacher = teachers.load_teacher(temporary)
        write_report(temporary, teacher, valid, settings_sha256=settings, seconds=time.monotonic() - started)


def _settings_sha256(
    config: TeacherConfig, vocabulary: Vocabulary, start: str, utterances: Sequence[Utterance], seed: int
) -> str:
    """Hash of everything that decides a teacher's weights, and of the utterances that it is scored on."""
    used = [asdict(u) for u in utterances if u.split != "test"]
    settings = config.model_dump(mode="json", exclude={"start", "backend"})  # `start`, the hash, says what they came to
    loop = LOOP_VERSION if config.backend == NEMO else SPEECHBRAIN_LOOP_VERSION
    parts = (settings, vocabulary.sha256, start, used, seed, loop)
    return sha256_of_text(json.dumps(parts, sort_keys=True))


def _is_finished(folder: Path, settings_sha256: str) -> bool:
    report = read_report(folder)
    return report is not None and report.settings_sha256 == settings_sha256


def _is_registered(folder: Path) -> bool:
    """True for a teacher of the user's own."""
    return (folder / CARD_NAME).exists() and read_teacher_card(folder).source != OWN_FOLDER


def _warn_of_other_starts(workspace: Workspace, start: str) -> None:
    """Names the trained teachers that began elsewhere: their CTC spikes will not align with the others'."""
    reports = {name: read_report(workspace.teacher_dir(name)) for name in workspace.speakers}
    apart = [name for name, report in reports.items() if report and report.initial_sha256 not in (None, start)]
    if apart:
        console.warn(
            f"the teachers of {', '.join(apart)} started from another initial checkpoint than these. Train them again: "
            f"kdspeech train-teachers --speakers {','.join(apart)}"
        )
