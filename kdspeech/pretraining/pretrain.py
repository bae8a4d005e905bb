"""`pretrain`: an encoder with a CTC head, and the start of all teachers, from synthetic voices alone.

No audio of the corpus is opened before both are finished; then the encoder is scored on it, and the score decides
nothing.
"""

import importlib.metadata
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdspeech import console
from kdspeech.audio import SAMPLES_PER_FEATURE_FRAME
from kdspeech.config import PretrainingConfig, Recipe, StudentConfig, coarsest_subsampling
from kdspeech.errors import ConfigError, RunError
from kdspeech.evaluation.zero_shot import zero_shot
from kdspeech.fanout import default_jobs, run_jobs
from kdspeech.files import check_writable, count_lines, read_json, sha256_of_file, write_json
from kdspeech.model_folders.pretrained import CARD_NAME, PretrainedCard, read_card, write_card
from kdspeech.model_folders.runs import differences, plain
from kdspeech.model_folders.teacher_folder import SPEECHBRAIN_LOOP_VERSION, read_teacher_card
from kdspeech.pretraining.fits import encoder_recipe, epoch_logs, teacher_config, train_encoder, train_teacher_start
from kdspeech.pretraining.synthetic import SyntheticCorpus, synthesise
from kdspeech.protocols import PretrainableStudents, PretrainableTeachers
from kdspeech.training.stage_runner import LOOP_VERSION
from kdspeech.vocabulary import fewest_frames
from kdspeech.workspace import Workspace

_SETTINGS_NAME = "settings.json"  # written before anything is trained: what is being made
_VOICES_NAME = "voices"  # the synthetic corpus; it outlives --force, since its settings alone decide it


@dataclass(frozen=True)
class Plan:
    """Everything that decides a pretraining, but the workspace."""

    recipe: Recipe
    pretraining: PretrainingConfig
    student: StudentConfig  # whose encoder and CTC head are trained: from scratch, without a decoder
    seed: int

    @classmethod
    def of_recipe(cls, recipe: Recipe, seed: int) -> "Plan":
        """Raises ConfigError where the recipe describes no pretraining, or no encoder."""
        if recipe.pretraining is None:
            raise ConfigError(
                f"recipe {recipe.name} has no section `pretraining`. Take one that has: "
                "--recipe conformer_xs_from_pretrained."
            )
        encoder_config = recipe.pretraining.encoder_config or recipe.student.encoder_config
        if encoder_config is None:
            raise ConfigError(f"recipe {recipe.name} does not describe an encoder: add pretraining.encoder_config.")
        update = {"encoder": None, "encoder_config": encoder_config, "decoder_layers": 0, "vocal_tract": None}
        return cls(recipe, recipe.pretraining, recipe.student.model_copy(update=update), seed)

    def settings(self, workspace: Workspace) -> dict[str, Any]:
        """As plain JSON values, with what the workspace adds."""
        of_student = {"encoder_config", "num_mels", "preprocessor_config", "spec_augment"}
        teacher = teacher_config(self.recipe.teacher, self.pretraining)
        whole: dict[str, Any] = plain(
            {
                "pretraining": self.pretraining.model_dump(mode="json", exclude={"encoder_config"}),
                "student": self.student.model_dump(mode="json", include=of_student),
                "teacher": teacher.model_dump(mode="json", exclude={"start", "backend"}),
                "seed": self.seed,
                "loop": LOOP_VERSION,
                "teacher_loop": SPEECHBRAIN_LOOP_VERSION,
                "words": list(workspace.lexicon.words),
                "vocabulary": workspace.vocabulary.sha256,
            }
        )
        return whole


def pretrain(
    workspace: Workspace,
    *,
    recipe: Recipe,
    students: PretrainableStudents,
    teachers: PretrainableTeachers,
    seed: int = 0,
    jobs: int | None = None,
    evaluate: bool = True,
    force: bool = False,
) -> PretrainedCard:
    """Makes `pretrained/encoder.nemo` and `pretrained/teacher` of the workspace's lexicon; `pretrained.json` last.

    Finished work is skipped, and a killed training goes on after its last epoch.

    Args:
        jobs: processes side by side; None takes one a core. Encoder and teachers' start train in one each.
        evaluate: prints the encoder's WRA on every speaker of the corpus when all is done.

    Raises:
        ConfigError: the recipe describes no pretraining, or no encoder.
        RunError: the workspace's pretraining was begun with other settings.
        KdspeechError: no lexicon, no synthesiser, or a training that failed.
    """
    plan = Plan.of_recipe(recipe, seed)
    folder = workspace.pretrained_dir
    workspace.vocabulary.check_round_trip(workspace.lexicon.words)
    check_writable(folder)
    if not force:
        _check_begun(folder, plan.settings(workspace))
    card = None if force else read_card(folder)
    if card is not None:
        console.remark(f"{folder} is finished: skipped. Redo it with --force.")
    else:
        card = _make(workspace, plan, students, teachers, jobs or default_jobs(2), force)
    if evaluate:
        print_zero_shot(workspace, teachers)
    return card


def _clear(folder: Path) -> None:
    """Removes what was trained, the card first."""
    (folder / CARD_NAME).unlink(missing_ok=True)
    for path in folder.glob("*"):
        if path.name != _VOICES_NAME:
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def _check_begun(folder: Path, settings: dict[str, Any]) -> None:
    """Refuses to go on with other settings than a pretraining was begun with.

    Raises:
        RunError: names what differs.
    """
    path = folder / _SETTINGS_NAME
    faults = differences(read_json(path), settings) if path.exists() else []
    if faults:
        raise RunError(
            f"{folder} was made with other settings: {'; '.join(faults[:8])}. Redo it with --force; students and "
            "teachers that started from it have to be trained again, too."
        )


def _make(
    workspace: Workspace,
    plan: Plan,
    students: PretrainableStudents,
    teachers: PretrainableTeachers,
    jobs: int,
    force: bool,
) -> PretrainedCard:
    """`force` removes what was trained before, once the voices are there and the student can be built."""
    folder, started = workspace.pretrained_dir, time.monotonic()
    settings, log_dir = plan.settings(workspace), workspace.root / "logs" / "pretrain"
    words, samples = workspace.lexicon.words, _samples_needed(workspace, plan)
    corpus = synthesise(folder / _VOICES_NAME, words, samples, plan.pretraining, plan.seed, jobs, log_dir)
    console.remark(
        f"{len(corpus.utterances)} synthetic utterances by {corpus.num_voices} voices, {corpus.hours:.2f} hours."
    )
    if force:
        students.build_student(plan.student, workspace.vocabulary, plan.seed)  # raises here what it would raise later
        _clear(folder)
    write_json(folder / _SETTINGS_NAME, settings)
    _train_both(workspace, plan, corpus, students, teachers, jobs, log_dir)
    card = PretrainedCard(
        settings=settings,
        seed=plan.seed,
        vocabulary_sha256=workspace.vocabulary.sha256,
        encoder_sha256=sha256_of_file(workspace.pretrained_encoder_path),
        teacher_sha256=read_teacher_card(workspace.pretrained_teacher_dir).checkpoint_sha256,
        num_utterances=len(corpus.utterances),
        num_voices=corpus.num_voices,
        hours=round(corpus.hours, 4),
        seconds=round(time.monotonic() - started, 1),
        versions={name: importlib.metadata.version(name) for name in ("kdspeech", "torch", "nemo_toolkit")},
    )
    write_card(folder, card)
    console.remark(f"Wrote {workspace.pretrained_encoder_path} and {workspace.pretrained_teacher_dir}.")
    return card


def _samples_needed(workspace: Workspace, plan: Plan) -> tuple[int, ...]:
    """Samples from which the coarser of teacher and student has frames enough for each word under CTC."""
    per_frame = SAMPLES_PER_FEATURE_FRAME * coarsest_subsampling(plan.recipe.teacher, plan.student.encoder_config)
    tokens = [workspace.vocabulary.encode(word) for word in workspace.lexicon.words]
    return tuple((fewest_frames(of_word) + 1) * per_frame for of_word in tokens)


def _train_both(
    workspace: Workspace,
    plan: Plan,
    corpus: SyntheticCorpus,
    students: PretrainableStudents,
    teachers: PretrainableTeachers,
    jobs: int,
    log_dir: Path,
) -> None:
    """Trains the encoder and the teachers' start, side by side if there are two jobs."""
    config, logs = plan.pretraining, epoch_logs(workspace)
    for_encoder = encoder_recipe(plan.recipe, plan.student, config)
    for_teacher = teacher_config(plan.recipe.teacher, config)
    run_jobs(
        _call,
        [
            (train_encoder, students, workspace.root, for_encoder, corpus, plan.seed),
            (train_teacher_start, teachers, workspace.root, for_teacher, corpus, plan.seed),
        ],
        "Pretraining encoder and teachers, epochs",
        log_dir,
        jobs,
        counter=(config.encoder.epochs + config.teacher.epochs, lambda: sum(count_lines(log) for log in logs)),
    )


def _call(function: Callable[..., None], *arguments: Any) -> None:
    """Lets jobs of different functions run side by side."""
    function(*arguments)


def print_zero_shot(workspace: Workspace, teachers: PretrainableTeachers) -> None:
    """Prints the encoder's WRA on every speaker of the corpus, whom it has never heard."""
    scores = zero_shot(workspace, str(workspace.pretrained_encoder_path), teachers, workspace.speakers)
    if scores is None:
        return
    modes = list(next(iter(scores.values())))
    rows = [
        [speaker, *(f"{found[mode].wra:.1f} ({found[mode].correct}/{found[mode].utterances})" for mode in modes)]
        for speaker, found in scores.items()
    ]
    means = [sum(found[mode].wra for found in scores.values()) / len(scores) for mode in modes]
    rows.append(["macro mean", *(f"{mean:.1f}" for mean in means)])
    console.table("Zero-shot WRA % of the pretrained encoder", ("speaker", *modes), rows)
