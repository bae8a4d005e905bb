"""`train`: one student for one held-out speaker, from checks to checkpoints.

Everything that can go wrong with the data is looked for before the first step: the vocabulary's round trip, the fold
proof, the targets, and recordings too short for CTC.
"""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from kdspeech import console
from kdspeech.batches import AudioCache, Collator, EpochBatches, UtteranceDataset
from kdspeech.checkpoints import CheckpointFolder
from kdspeech.config import MODES, Mode, Recipe
from kdspeech.errors import ConfigError, RunError
from kdspeech.files import write_json, write_text
from kdspeech.fitting import EpochResult, StageModule, StagePlan, fit_stage
from kdspeech.folds import Fold, Provenance, make_fold
from kdspeech.preflight import check_frames, check_targets
from kdspeech.protocols import StudentFamily, TeacherCard
from kdspeech.runs import RunFolder
from kdspeech.target_set import TargetSet
from kdspeech.targets import aggregate, teachers_of
from kdspeech.teacher_folder import read_teacher_card
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace

_VALID_BATCH = 64  # utterances


def train(
    workspace: Workspace,
    held_out: str,
    mode: Mode,
    *,
    recipe: Recipe,
    students: StudentFamily,
    teachers: Sequence[str] | None = None,
    seed: int = 0,
    force: bool = False,
) -> Path:
    """Trains a student that never meets `held_out`.

    A finished run is skipped; a killed one goes on after its last finished epoch.

    Args:
        mode: `labels` needs no teachers; `ctc-kd` and `decoder-kd` learn from their pooled scores, too.
        teachers: speakers whose teachers are pooled; None takes every teacher of the workspace but the held-out one's.

    Returns:
        The run folder.

    Raises:
        RunError: a run with other settings is there, or the loss is not finite.
        LeakError: something of the held-out speaker is on the training side.
        KdspeechError: missing teachers, dumps or targets, or data that the student cannot learn from.
    """
    if mode not in MODES:
        raise ConfigError(f"unknown mode {mode!r}; expected one of {', '.join(MODES)}.")
    workspace.check_speakers([held_out])
    workspace.vocabulary.check_same(workspace.corpus.vocabulary_sha256, str(workspace.corpus_path))
    workspace.vocabulary.check_round_trip(u.text for u in workspace.utterances)
    cards = [] if mode == "labels" else teacher_cards(workspace, held_out, teachers)
    fold = make_fold(workspace.utterances, held_out, [card.teacher_id for card in cards])
    run = RunFolder(workspace.run_dir(recipe.name, held_out, mode, seed))
    config = run_config(workspace, held_out, mode, recipe, cards, seed)
    if force:
        run.clear()
    if run.exists_with(config):
        if run.is_finished:
            console.remark(f"{run.path} is finished: skipped. Redo it with --force.")
            return run.path
        console.remark(f"{run.path} is continued.")
    else:
        run.start(config, recipe, workspace.vocabulary)
    targets = _prove_fold(workspace, fold, cards, mode, recipe, students, run)
    _Training(workspace.vocabulary, fold, mode, recipe, students, seed, run, targets).run_all()
    return run.path


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


def run_config(
    workspace: Workspace, held_out: str, mode: Mode, recipe: Recipe, cards: Sequence[TeacherCard], seed: int
) -> dict[str, Any]:
    """Everything that decides a run, as plain JSON values: settings of this mode and hashes of what goes in."""
    stages = [stage.model_dump(mode="json") for stage in recipe.stages]
    for stage in stages:
        if mode not in stage["losses"]:
            raise ConfigError(
                f"recipe {recipe.name}: stage {stage['name']!r} has no losses for mode {mode!r}. Add them."
            )
        stage["losses"] = stage["losses"][mode]
    return {
        "recipe": recipe.name,
        "held_out": held_out,
        "mode": mode,
        "seed": seed,
        "student": recipe.student.model_dump(mode="json"),
        "training": recipe.training.model_dump(mode="json", exclude={"audio_cache_mb"}),
        "stages": stages,
        "targets": None if mode == "labels" else recipe.targets.model_dump(mode="json"),
        "inputs": {
            "manifest": workspace.corpus.manifest_sha256,
            "vocabulary": workspace.vocabulary.sha256,
            "teachers": {card.teacher_id: card.checkpoint_sha256 for card in cards},
        },
    }


def _prove_fold(
    workspace: Workspace,
    fold: Fold,
    cards: Sequence[TeacherCard],
    mode: Mode,
    recipe: Recipe,
    students: StudentFamily,
    run: RunFolder,
) -> TargetSet | None:
    """Writes the fold proof; gives the targets, which the workspace keeps."""
    provenances = [Provenance(card.teacher_id, "teacher", card.speakers) for card in cards]
    provenances.append(Provenance(str(workspace.vocabulary_dir), "vocabulary", workspace.corpus.vocabulary_speakers))
    heard = students.starting_speakers(recipe.student)
    provenances.append(Provenance(recipe.student.encoder or "random weights", "checkpoint", heard))
    fold.validate(provenances)  # before anything is computed
    targets = None
    if mode != "labels":
        targets = aggregate(workspace, fold.held_out, recipe, fold.teachers)
        run.keep_target_details(targets.details)
        provenances.append(targets.provenance)
    write_json(run.proof_path, fold.validate(provenances).to_dict())
    return targets


class _Training:
    """One run's stages, one after the other."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        fold: Fold,
        mode: Mode,
        recipe: Recipe,
        students: StudentFamily,
        seed: int,
        run: RunFolder,
        targets: TargetSet | None,
    ) -> None:
        self._fold, self._recipe, self._mode, self._seed, self._run = fold, recipe, mode, seed, run
        self._targets = targets
        self._student = students.build_student(recipe.student, vocabulary, seed)
        self._vocabulary = vocabulary
        self._checkpoints = CheckpointFolder(run.checkpoints_dir, recipe.training.save_top_k)
        self._history: list[dict[str, Any]] = []  # rows of metrics.jsonl
        self._cache = AudioCache(recipe.training.audio_cache_mb * 2**20)
        self._epoch_start = time.monotonic()
        write_json(run.student_path, self._student.config.model_dump(mode="json"))
        terms = {term for stage in recipe.stages for term in stage.losses[mode]}
        self._frames, self._positions = "frame_kl" in terms, "token_kl" in terms

    def run_all(self) -> None:
        """Checks the data, runs every stage from where the last checkpoint stands, and marks the run as done."""
        training = self._recipe.training
        check_targets(self._fold.train, self._targets or {}, self._frames, self._positions)
        check_frames(self._fold.train, self._vocabulary, self._student.num_frames, max(training.speeds))
        check_frames(self._fold.valid, self._vocabulary, self._student.num_frames, 1.0)
        state = self._checkpoints.resume()
        if state is not None:
            self._student.load_state_dict(state["student"])
            self._history = state["history"]
        for index in range(0 if state is None else state["stage"], len(self._recipe.stages)):
            self._run_stage(index, state)
            state = None
        best = self._checkpoints.best
        self._run.finish({"best": best[1] if best else None, "score": best[0] if best else None})

    def _run_stage(self, index: int, state: Mapping[str, Any] | None) -> None:
        stage, training = self._recipe.stages[index], self._recipe.training
        train = EpochBatches(self._fold.train, training.batch_size, self._seed * 1000 + index, training.speeds)
        temperature = self._targets.temperature if self._targets is not None else 1.0
        plan = StagePlan(index, stage, training, stage.losses[self._mode], temperature, self._seed, len(train))
        module = StageModule(self._student, plan, self._save)
        first_epoch = 0
        if state is not None:
            first_epoch = state["epoch"]
            module.optimizer_state, module.scheduler_state = state["optimizer"], state["scheduler"]
        if first_epoch >= stage.epochs:
            return
        trained = sum(p.numel() for p in self._student.parameters() if p.requires_grad)
        total = sum(p.numel() for p in self._student.parameters())
        console.remark(
            f"Stage {stage.name}: {', '.join(stage.train)} train ({trained / 1e6:.2f} of {total / 1e6:.2f} M "
            f"parameters), {stage.epochs} epochs of {len(train)} steps; loss = {module.loss.formula}"
        )
        self._epoch_start = time.monotonic()
        fit_stage(module, self._train_loader(train), self._valid_loader(), first_epoch, [self._tensorboard()])

    def _train_loader(self, batches: EpochBatches) -> "DataLoader[Any]":
        frame_counter = self._student.num_frames if self._frames else None
        collator = Collator(self._vocabulary, self._targets, frame_counter, self._positions)
        dataset = UtteranceDataset(self._fold.train, self._vocabulary, self._cache)
        return DataLoader(dataset, batch_sampler=batches, collate_fn=collator, generator=torch.Generator())

    def _valid_loader(self) -> "DataLoader[Any]":
        dataset = UtteranceDataset(self._fold.valid, self._vocabulary, self._cache)
        batches = EpochBatches(self._fold.valid, _VALID_BATCH, 0, shuffle=False)
        # Loaders draw a number each epoch; one of their own, so that the model's random numbers stay what they are.
        collator = Collator(self._vocabulary)
        return DataLoader(dataset, batch_sampler=batches, collate_fn=collator, generator=torch.Generator())

    def _tensorboard(self) -> TensorBoardLogger:
        return TensorBoardLogger(self._run.path, name="tensorboard", version="")

    def _save(self, module: StageModule, result: EpochResult) -> None:
        """Stores a finished epoch: checkpoint first, then the log that is derived from it."""
        stage = module.plan.stage
        row = {
            "stage": stage.name,
            "epoch": result.epoch,
            **{f"train_{name}": value for name, value in result.train.items()},
            **{f"valid_{name}": value for name, value in asdict(result.valid).items()},
            "score": result.valid.score,
            "seconds": round(time.monotonic() - self._epoch_start, 2),
        }
        self._history.append(row)
        state = {
            "student": self._student.state_dict(),
            "stage": module.plan.index,
            "epoch": result.epoch,
            "optimizer": module.optimizers(use_pl_optimizer=False).state_dict(),
            "scheduler": module.lr_schedulers().state_dict(),
            "history": self._history,
        }
        self._checkpoints.save(state, result.valid.score, f"stage{module.plan.index + 1}-epoch{result.epoch:03d}")
        write_text(self._run.metrics_path, "".join(json.dumps(line) + "\n" for line in self._history))
        numbers = {name: value for name, value in row.items() if isinstance(value, int | float)}
        for logger in module.loggers:
            logger.log_metrics(numbers, step=len(self._history))
        console.remark(_epoch_line(stage.name, stage.epochs, result, row["seconds"]))
        self._epoch_start = time.monotonic()


def _epoch_line(stage: str, epochs: int, result: EpochResult, seconds: float) -> str:
    shown = {k: v for k, v in result.train.items() if k not in ("learning_rate", "gradient_norm", "valid_frame_ratio")}
    losses = ", ".join(f"{name} {value:.3f}" for name, value in shown.items())
    return (
        f"{stage} {result.epoch}/{epochs}: {losses}; valid WRA ctc {result.valid.ctc_wra:.1f} %, decoder "
        f"{result.valid.decoder_wra:.1f} %; {seconds:.0f} s"
    )
