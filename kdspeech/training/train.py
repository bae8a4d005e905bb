"""`train`: one student for one held-out speaker.

Everything that can go wrong with the data is looked for before the first step: the vocabulary's round trip, the fold
proof, the targets, and recordings too short for CTC.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from kdspeech import console
from kdspeech.choices import MODES, LossTerm, Mode
from kdspeech.config import Recipe, StudentConfig
from kdspeech.errors import ConfigError, RunError
from kdspeech.files import sha256_of_file
from kdspeech.folds import Fold, FoldProof, Provenance, make_fold
from kdspeech.model_folders.pretrained import resolve_student
from kdspeech.model_folders.runs import RunFolder
from kdspeech.model_folders.student_folder import is_student_folder
from kdspeech.model_folders.teacher_folder import read_teacher_card, teachers_of
from kdspeech.protocols import StudentFamily, TeacherCard
from kdspeech.supervision import ALL_LABELS, Supervision
from kdspeech.targets.aggregate import aggregate, dump_settings, switched_targets
from kdspeech.targets.pooling import FRAME_MAP_VERSION
from kdspeech.targets.speaking import Turns, check_one_vocabulary
from kdspeech.targets.target_set import TargetSet
from kdspeech.training.loggers import check_wandb
from kdspeech.training.preflight import check_frames, check_targets
from kdspeech.training.self_labelling import (
    make_labeller,
    recordings_elsewhere,
    taught_texts,
    taught_words,
    unlabelled_recordings,
)
from kdspeech.training.stage_runner import LOOP_VERSION, StageRunner, TrainingTask, has_term, learns_frames
from kdspeech.workspace import Workspace

# Of how recordings without transcripts are learnt from, as LOOP_VERSION: 1 let the recordings that have targets of the
# teachers pull for those that have none, and balanced speakers whose own teacher is there; 2 counted the words of
# recordings that train alone, and let every teacher give words, whatever targets.who said.
_UNLABELLED_LOOP_VERSION = 3
_NBEST: tuple[LossTerm, ...] = ("nbest_ctc", "nbest_cross_entropy")


def train(
    workspace: Workspace,
    held_out: str,
    mode: Mode,
    *,
    recipe: Recipe,
    students: StudentFamily,
    teachers: Sequence[str] | None = None,
    supervision: Supervision = ALL_LABELS,
    seed: int = 0,
    force: bool = False,
    wandb: bool = False,
) -> Path:
    """Trains a student that never meets `held_out`, or, if it is to adapt, hears its recordings without transcripts.

    A finished run is skipped; a killed one goes on after its last finished epoch.

    Args:
        mode: `labels` needs no teachers; `ctc-kd` and `decoder-kd` learn from their pooled scores, too.
        teachers: speakers whose teachers are pooled; None takes every teacher of the workspace but the held-out one's.
        supervision: how many transcripts are read, and which audio is heard beside. Recordings without
            transcripts get pseudo-labels from the teachers (not in mode `labels`) and the student. There are no more
            steps than with all labels.
        wandb: shows the epochs at Weights & Biases, too; see `kdspeech.training.loggers`.

    Returns:
        The run folder.

    Raises:
        RunError: a run with other settings is there, or the loss is not finite.
        LeakError: something of the held-out speaker is on the training side.
        KdspeechError: missing teachers, dumps or targets, or data that the student cannot learn from.
    """
    if mode not in MODES:
        raise ConfigError(f"unknown mode {mode!r}; expected one of {', '.join(MODES)}.")
    if wandb:
        check_wandb()
    workspace.check_speakers([held_out])
    workspace.vocabulary.check_same(workspace.corpus.vocabulary_sha256, str(workspace.corpus_path))
    workspace.vocabulary.check_round_trip(u.text for u in workspace.utterances)
    cards = [] if mode == "labels" else teacher_cards(workspace, held_out, teachers)
    fold = make_fold(workspace.utterances, held_out, [card.teacher_id for card in cards])
    run = RunFolder(workspace.run_dir(recipe.name, held_out, supervision.variant(mode), seed))
    start = resolve_student(workspace, recipe.student)
    config = run_config(workspace, held_out, mode, recipe, cards, seed, checkpoint_sha256(start), supervision)
    begun = not force and run.exists_with(config)
    if begun and run.is_finished:
        run.check_dump(dump_settings(recipe.dump))
        console.remark(f"{run.path} is finished: skipped. Redo it with --force.")
        return run.path
    check_speaking(workspace, mode, recipe, cards, supervision)
    proof, targets = _prove_fold(workspace, fold, cards, recipe, start, students)
    turns = Turns() if recipe.targets.switch and cards else None
    if targets is not None and turns is not None:
        targets = switched_targets(targets, workspace, recipe, turns)
    student = students.build_student(start, workspace.vocabulary, seed)
    heard = _heard(fold, recipe)
    labelled = tuple(supervision.labelled(heard.train, seed))
    unlabelled = unlabelled_recordings(heard, labelled, supervision, has_teachers=bool(cards))
    word_targets = None
    if has_term(recipe, mode, "word_kl"):
        # A label's recordings are those of all training speakers, also where the student hears the first alone.
        pooled = labelled if recipe.targets.over == "recording" else fold.train
        word_targets = taught_words(workspace, cards, [*pooled, *unlabelled], fold, recipe, turns)
    hypotheses = None
    if any(has_term(recipe, mode, term) for term in _NBEST):
        hypotheses = taught_texts(workspace, cards, [*labelled, *unlabelled], recipe)
    if supervision.all_audio:
        proof = proof.with_set_aside(len(heard.set_aside))
    if supervision.adapt:
        proof = proof.with_adaptation(sum(u.speaker == held_out for u in unlabelled))
    labeller = None
    if unlabelled:
        elsewhere = recordings_elsewhere(heard, supervision)
        labeller = make_labeller(workspace, cards, labelled, unlabelled, elsewhere, recipe, student)
    task = TrainingTask(
        labelled,
        fold.valid,
        workspace.vocabulary,
        mode,
        recipe,
        seed,
        targets,
        unlabelled=unlabelled,
        labeller=labeller,
        word_targets=word_targets,
        lexicon=None if word_targets is None else workspace.lexicon,
        hypotheses=hypotheses,
        turns=turns,
        num_full=len(fold.train),
    )
    _check_data(task, student)
    if begun:
        console.remark(f"{run.path} is continued.")
    else:
        if force:
            run.clear()  # not before everything that can refuse the command has been asked
        run.start(config, recipe, workspace.vocabulary, student.config, proof)
    if targets is not None:
        run.keep_target_details(targets.details)
    StageRunner(task, student, run, wandb).run_all()
    return run.path


def check_speaking(
    workspace: Workspace, mode: Mode, recipe: Recipe, cards: Sequence[TeacherCard], supervision: Supervision
) -> None:
    """Refuses a choice of who speaks, and over what, that cannot be applied to what this run learns from.

    Raises:
        ConfigError: frames pooled over recordings of a label, labels that the run may not read, or a setting that the
            teachers' texts do not know.
        VocabularyError: frames or tokens are learnt, and a teacher has another vocabulary.
    """
    if not cards:
        return
    config, frames = recipe.targets, learns_frames(recipe, mode)
    if frames or has_term(recipe, mode, "token_kl"):
        check_one_vocabulary(cards, workspace.vocabulary)
    if config.over == "label" and frames:
        raise ConfigError(
            "targets.over=label: frames of different recordings have no common time, so neither frame_kl nor "
            "intermediate_frame_kl can be pooled over a label. Learn tokens or words without them (--mode decoder-kd "
            "--set 'stages.*.losses.decoder-kd.frame_kl=0'), or choose targets.over=recording."
        )
    texts = [term for term in _NBEST if has_term(recipe, mode, term)]
    unknown = {"switch": config.switch, "min_agreement": config.min_agreement, "over": config.over != "recording"}
    given = [f"targets.{name}={getattr(config, name)}" for name, is_set in unknown.items() if is_set]
    if texts and given:
        raise ConfigError(
            f"{', '.join(given)} cannot be applied to the teachers' texts, which {', '.join(texts)} would learn from: "
            "they know targets.who and targets.own_share alone. Leave out the one or the other."
        )
    if config.align and frames and supervision.label_share < 1:
        raise ConfigError(
            "targets.align=True lays the teachers' frames upon each other by the transcripts, of which only "
            f"{100 * supervision.label_share:g} % may be read. Choose targets.align=false, or read all."
        )
    if config.calibrate and supervision.label_share < 1:
        raise ConfigError(
            "targets.calibrate=True fits each teacher's temperature on the transcripts of its speaker's validation "
            f"recordings, and only {100 * supervision.label_share:g} % of the transcripts may be read. Choose "
            "targets.calibrate=false, or read all."
        )
    if config.over != "recording" and supervision.label_share < 1:
        raise ConfigError(
            f"targets.over={config.over} pools recordings by their transcripts, of which only "
            f"{100 * supervision.label_share:g} % may be read. Choose targets.over=recording, or read all."
        )


def _heard(fold: Fold, recipe: Recipe) -> Fold:
    """The fold with the training recordings that the student hears."""
    if recipe.training.speakers == "all":
        return fold
    first = fold.training_speakers[0]
    train, set_aside = (tuple(u for u in part if u.speaker == first) for part in (fold.train, fold.set_aside))
    return replace(fold, train=train, set_aside=set_aside)


def teacher_cards(workspace: Workspace, held_out: str, names: Sequence[str] | None) -> list[TeacherCard]:
    """Cards of the named teachers, or of all that are there, without the held-out speaker's.

    Raises:
        TeacherError: a named teacher is missing.
        RunError: there is none.
    """
    if names is None:
        names = teachers_of(workspace)
    cards = [read_teacher_card(workspace.teacher_dir(name)) for name in names if name != held_out]
    if not cards:
        raise RunError(
            f"{workspace.root} holds no teacher but {held_out}'s. Run `kdspeech train-teachers --speakers all` and "
            "`kdspeech dump-teachers --speakers all`, or choose --mode labels."
        )
    return cards


def checkpoint_sha256(start: StudentConfig) -> str | None:
    """Hash of the .nemo file or the teachers' start from which a student begins; None from scratch, and for a name."""
    path = Path(start.encoder) if start.encoder else None
    if path is not None and is_student_folder(path):
        return read_teacher_card(path).checkpoint_sha256
    return sha256_of_file(path) if path is not None and path.is_file() else None


def run_config(
    workspace: Workspace,
    held_out: str,
    mode: Mode,
    recipe: Recipe,
    cards: Sequence[TeacherCard],
    seed: int,
    encoder_sha256: str | None = None,
    supervision: Supervision = ALL_LABELS,
) -> dict[str, Any]:
    """Everything that decides a run, as plain JSON values: settings of this mode and hashes of what goes in.

    Args:
        encoder_sha256: of the student's starting checkpoint, so that another pretraining is another run.
    """
    unused = set() if learns_frames(recipe, mode) else {"frame_kl"}
    stages = [stage.model_dump(mode="json") for stage in recipe.stages]
    for stage in stages:
        if mode not in stage["losses"]:
            raise ConfigError(
                f"recipe {recipe.name}: stage {stage['name']!r} has no losses for mode {mode!r}. Add them."
            )
        stage["losses"] = stage["losses"][mode]
    known = {speaker for card in cards for speaker in card.speakers or () if recipe.targets.who != "others"}
    has_strangers = bool(cards) and not known.issuperset(set(workspace.speakers) - {held_out})
    pseudo_labels = recipe.pseudo_labels.deciding(has_strangers or supervision.adapt or supervision.all_audio)
    unlabelled = {**supervision.settings, "pseudo_labels": pseudo_labels}
    gives_words = supervision.adapt or supervision.all_audio or mode != "labels"  # to recordings without transcripts
    if gives_words:
        unlabelled["loop"] = _UNLABELLED_LOOP_VERSION
    learns_words = has_term(recipe, mode, "word_kl") or (supervision != ALL_LABELS and gives_words)
    shares_words = supervision == ALL_LABELS and any(has_term(recipe, mode, term) for term in ("word_kl", *_NBEST))
    return {
        "recipe": recipe.name,
        "held_out": held_out,
        "mode": mode,
        "seed": seed,
        "loop": LOOP_VERSION,
        **({"frame_map": FRAME_MAP_VERSION} if learns_frames(recipe, mode) else {}),
        "student": recipe.student.model_dump(mode="json"),
        "training": recipe.training.model_dump(mode="json", exclude={"audio_cache_mb"} | unused),
        "stages": stages,
        "targets": None if mode == "labels" else recipe.targets.model_dump(mode="json"),
        "unlabelled": None if supervision == ALL_LABELS else unlabelled,
        **({"pseudo_labels": {"own_share": recipe.pseudo_labels.own_share}} if shares_words else {}),
        "inputs": {
            "manifest": sha256_of_file(workspace.manifest_path),
            "vocabulary": workspace.vocabulary.sha256,
            "teachers": {card.teacher_id: card.checkpoint_sha256 for card in cards},
            "encoder": encoder_sha256,
            **({"lexicon": workspace.lexicon.sha256} if learns_words and workspace.has_lexicon else {}),
        },
    }


def _prove_fold(
    workspace: Workspace,
    fold: Fold,
    cards: Sequence[TeacherCard],
    recipe: Recipe,
    start: StudentConfig,
    students: StudentFamily,
) -> tuple[FoldProof, TargetSet | None]:
    """Proves the fold, and pools its teachers, if it has any, into the targets that the workspace keeps.

    Teachers of other vocabularies speak in words alone: there are no targets of frames and tokens then.
    """
    provenances = [Provenance(card.teacher_id, "teacher", card.speakers) for card in cards]
    provenances.append(Provenance(str(workspace.vocabulary_dir), "vocabulary", workspace.corpus.vocabulary_speakers))
    heard = students.starting_speakers(start)
    provenances.append(Provenance(start.encoder or "random weights", "checkpoint", heard))
    proof = fold.validate(provenances)  # before anything is computed
    foreign = [card.teacher_id for card in cards if card.vocabulary_sha256 != workspace.vocabulary.sha256]
    if foreign:
        console.remark(f"Of another vocabulary: {', '.join(foreign)}. The teachers speak in words alone.")
    if not cards or foreign:
        return proof, None
    targets = aggregate(workspace, fold.held_out, recipe, fold.teachers)
    return fold.validate([*provenances, targets.provenance]), targets


def _check_data(task: TrainingTask, student: Any) -> None:
    vocabulary = task.vocabulary
    check_targets(task.train, task.targets or {}, task.needs_frame_targets, task.needs_position_targets)
    heard = [u for u in task.unlabelled if u.utt_id not in task.without_targets]
    check_targets(heard, task.targets or {}, task.needs_frame_targets, positions=False)
    check_frames(task.train, vocabulary, student.num_frames, task.recipe.training.fastest)
    check_frames(task.valid, vocabulary, student.num_frames, 1.0)
