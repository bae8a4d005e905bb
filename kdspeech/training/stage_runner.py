"""A run's stages, one after the other: data, epochs, checkpoints and the log."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from lightning.pytorch.loggers import Logger
from torch.utils.data import DataLoader

from kdspeech import console
from kdspeech.choices import LossTerm, Mode
from kdspeech.config import Recipe
from kdspeech.files import write_text
from kdspeech.heads import of_mode, taught_heads
from kdspeech.lexicon import Lexicon
from kdspeech.model_folders.checkpoints import CheckpointFolder
from kdspeech.model_folders.runs import RunFolder
from kdspeech.targets.hypotheses import WeightedText
from kdspeech.targets.pseudo_labels import PseudoLabeller
from kdspeech.targets.speaking import Turns
from kdspeech.targets.target_set import TargetSet
from kdspeech.training.batches import Collator, FrameGrid
from kdspeech.training.fitting import EpochResult, StageModule, StagePlan, fit_stage
from kdspeech.training.loggers import log_epoch, open_loggers
from kdspeech.training.movement import movement_columns
from kdspeech.training.recordings import AudioCache, EpochBatches, UtteranceDataset
from kdspeech.training.self_labelling import SelfLabelling
from kdspeech.training.stages import epoch_seed
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary

# Of what training does beyond all settings, so that no table mixes results of two: 1 heard every epoch of a stage in
# the same order, at the same speeds.
LOOP_VERSION = 2
_VALID_BATCH = 64  # utterances
_STEERING = ("learning_rate", "gradient_norm", "valid_frame_ratio")  # columns of an epoch that are no losses


@dataclass(frozen=True)
class TrainingTask:
    """What is to be trained, on what."""

    train: tuple[Utterance, ...]
    valid: tuple[Utterance, ...]
    vocabulary: Vocabulary
    mode: Mode
    recipe: Recipe
    seed: int
    targets: TargetSet | None
    unlabelled: tuple[Utterance, ...] = ()  # recordings without their text; a labeller gives them words
    labeller: PseudoLabeller | None = None
    word_targets: Mapping[str, np.ndarray] | None = None  # utterance id -> [W], the teachers' word posteriors
    lexicon: Lexicon | None = None  # of the word targets
    hypotheses: Mapping[str, Sequence[WeightedText]] | None = None  # utterance id -> the teachers' texts
    turns: Turns | None = None  # of the teachers, where one speaks at a time
    num_full: int | None = None  # utterances that would train if all transcripts were read; None: `train`

    @property
    def all_utterances(self) -> tuple[Utterance, ...]:
        """What an epoch goes through; too few labelled utterances come again until they are as many as all would be.

        What is left of the last time round is spread over all of them: they stand speaker by speaker.
        """
        wanted, count = (self.num_full or len(self.train)) - len(self.unlabelled), len(self.train)
        if not 0 < count < wanted:
            return (*self.train, *self.unlabelled)
        times, rest = divmod(wanted, count)
        again = tuple(self.train[place * count // rest] for place in range(rest))
        return (*self.train * times, *again, *self.unlabelled)

    @property
    def batch_size(self) -> int:
        """Such that an epoch has no more steps than with all transcripts and no other recordings, and hardly fewer."""
        utterances = self.num_full or len(self.train)
        steps = -(-utterances // self.recipe.training.batch_size)
        return -(-len(self.all_utterances) // steps)

    @cached_property
    def without_targets(self) -> frozenset[str]:
        """Ids of the recordings that the teachers' distributions do not cover."""
        return frozenset(u.utt_id for u in self.unlabelled) - frozenset(self.targets or ())

    @property
    def needs_frame_targets(self) -> bool:
        return learns_frames(self.recipe, self.mode)

    @property
    def needs_position_targets(self) -> bool:
        return has_term(self.recipe, self.mode, "token_kl")

    def has_decoder(self, stage: int) -> bool:
        """True if a decoder has learnt something in this stage (from 0) or an earlier one, so that it can be heard."""
        return "decoder" in taught_heads(of_mode(self.recipe.stages[: stage + 1], self.mode))


def has_term(recipe: Recipe, mode: Mode, name: LossTerm) -> bool:
    """True if some stage of the recipe has this term in its loss."""
    return any(name in stage.losses[mode] for stage in recipe.stages)


def learns_frames(recipe: Recipe, mode: Mode) -> bool:
    """True if some stage compares CTC frames of either head with the teachers'."""
    return has_term(recipe, mode, "frame_kl") or has_term(recipe, mode, "intermediate_frame_kl")


class StageRunner:
    """Runs a task's stages, from where the run's last checkpoint stands."""

    def __init__(self, task: TrainingTask, student: Any, run: RunFolder, wandb: bool = False) -> None:
        """`wandb` shows the epochs at Weights & Biases, beside TensorBoard."""
        self._wandb = wandb
        self._loggers: list[Logger] = []  # while it runs
        self._task, self._student, self._run = task, student, run
        self._checkpoints = CheckpointFolder(run.checkpoints_dir, task.recipe.training.save_top_k)
        self._history: list[dict[str, Any]] = []  # rows of metrics.jsonl
        self._cache = AudioCache(task.recipe.training.audio_cache_mb * 2**20)
        self._utterances = task.all_utterances
        self._labelling = None if task.labeller is None else SelfLabelling(task.labeller, task.vocabulary, self._cache)
        self._epoch_start = time.monotonic()

    def run_all(self) -> None:
        """Runs what is left to run, and marks the run as done."""
        state = self._checkpoints.resume()
        if state is not None:
            self._student.load_state_dict(state["student"])
            self._history = state["history"]
        with open_loggers(self._run, self._wandb) as self._loggers:
            for index in range(0 if state is None else state["stage"], len(self._task.recipe.stages)):
                self._run_stage(index, state)
                state = None
        best = self._checkpoints.best
        self._run.finish({"best": best[1] if best else None, "score": best[0] if best else None})

    def _run_stage(self, index: int, state: Mapping[str, Any] | None) -> None:
        task, stage, training = self._task, self._task.recipe.stages[index], self._task.recipe.training
        order_seed = epoch_seed(task.seed, index, 0)
        batches = EpochBatches(self._utterances, task.batch_size, order_seed, training.speeds, tempos=training.tempos)
        config = task.recipe.targets
        temperature = task.targets.temperature if task.targets is not None else config.temperature
        plan = StagePlan(
            index,
            stage,
            training,
            stage.losses[task.mode],
            temperature,
            task.seed,
            steps_per_epoch=len(batches),
            has_decoder=task.has_decoder(index),
            lexicon=task.lexicon,
            blank_threshold=config.blank_threshold,
            without_blank=config.blank == "delete",
        )
        module = StageModule(self._student, plan, self._save, self._relabel)
        first_epoch = 0
        if state is not None:
            first_epoch = state["epoch"]
            module.optimizer_state, module.scheduler_state = state["optimizer"], state["scheduler"]
        if first_epoch >= stage.epochs:
            return
        if state is not None and module.average is not None:
            module.average.resume(state["average"], self._student)
        trained = sum(p.numel() for p in self._student.parameters() if p.requires_grad)
        total = sum(p.numel() for p in self._student.parameters())
        console.remark(
            f"Stage {stage.name}: {', '.join(stage.train)} train ({trained / 1e6:.2f} of {total / 1e6:.2f} M "
            f"parameters), {stage.epochs} epochs of {len(batches)} steps; loss = {module.loss.formula}"
        )
        self._epoch_start = time.monotonic()
        fit_stage(module, self._train_loader(batches), self._valid_loader(), first_epoch, self._loggers)
        if module.average is not None:  # the stage's result: what was validated, and what the next one starts from
            self._student.load_state_dict(module.average.student.state_dict())

    def _train_loader(self, batches: EpochBatches) -> "DataLoader[Any]":
        task = self._task
        grid = None
        if task.needs_frame_targets and task.targets is not None:
            rows_per_frame = self._student.frame_shift_s / task.targets.frame_shift_s
            grid = FrameGrid(self._student.num_frames, rows_per_frame)
        collator = Collator(
            task.vocabulary,
            task.targets,
            grid,
            task.needs_position_targets,
            task.without_targets,
            task.word_targets,
            task.hypotheses,
            len(task.lexicon.words) if task.lexicon is not None else 0,
        )
        labels = self._labelling.labels if self._labelling is not None else None
        colouring = task.recipe.training.colouring
        dataset = UtteranceDataset(self._utterances, task.vocabulary, self._cache, labels, colouring)
        return _loader(dataset, batches, collator)

    def _relabel(self, module: StageModule, epoch: int) -> None:
        """Before an epoch: whose turn it is, and pseudo-labels by what the student hears now."""
        if self._task.turns is not None:
            self._task.turns.start_epoch(epoch_seed(self._task.seed, module.plan.index, epoch))
        if self._labelling is None:
            return
        epochs = [stage.epochs for stage in self._task.recipe.stages]
        self._labelling.update(module.kept_student, (sum(epochs[: module.plan.index]) + epoch) / sum(epochs))

    def _valid_loader(self) -> "DataLoader[Any]":
        task = self._task
        dataset = UtteranceDataset(task.valid, task.vocabulary, self._cache)
        batches = EpochBatches(task.valid, _VALID_BATCH, seed=0, shuffle=False)
        return _loader(dataset, batches, Collator(task.vocabulary))

    def _save(self, module: StageModule, result: EpochResult) -> None:
        """Stores a finished epoch: checkpoint first, then the log that is derived from it."""
        stage = module.plan.stage
        row = {
            "stage": stage.name,
            "epoch": result.epoch,
            **{f"train_{name}": value for name, value in result.train.items()},
            **{f"valid_{name}": value for name, value in asdict(result.valid).items()},
            **movement_columns(result.moved),
            **result.speed,
            "score": result.valid.score,
            "seconds": round(time.monotonic() - self._epoch_start, 2),
        }
        self._history.append(row)
        state = {
            "student": module.kept_student.state_dict(),
            "stage": module.plan.index,
            "epoch": result.epoch,
            "optimizer": module.optimizers(use_pl_optimizer=False).state_dict(),
            "scheduler": module.lr_schedulers().state_dict(),
            "history": self._history,
        }
        if module.average is not None:
            state["average"] = module.average.state(self._student)
        self._checkpoints.save(state, result.valid.score, f"stage{module.plan.index + 1}-epoch{result.epoch:03d}")
        write_text(self._run.metrics_path, "".join(json.dumps(line) + "\n" for line in self._history))
        log_epoch(self._loggers, row, step=len(self._history))
        console.remark(_epoch_line(stage.name, stage.epochs, result, row["seconds"]))
        self._epoch_start = time.monotonic()


def _loader(dataset: UtteranceDataset, batches: EpochBatches, collator: Collator) -> "DataLoader[Any]":
    # A loader draws a number each epoch: from a generator of its own, so that the model's random numbers stay in step.
    return DataLoader(dataset, batch_sampler=batches, collate_fn=collator, generator=torch.Generator())


def _epoch_line(stage: str, epochs: int, result: EpochResult, seconds: float) -> str:
    shown = {k: v for k, v in result.train.items() if not k.startswith(_STEERING)}
    losses = ", ".join(f"{name} {value:.3f}" for name, value in shown.items())
    decoder = "" if result.valid.decoder_wra is None else f", decoder {result.valid.decoder_wra:.1f} %"
    return (
        f"{stage} {result.epoch}/{epochs}: {losses}; valid WRA ctc {result.valid.ctc_wra:.1f} %{decoder}; "
        f"{seconds:.0f} s"
    )
