"""One stage under Lightning: its steps, and what every epoch reports."""

import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import lightning
import torch
from lightning.pytorch.loggers import Logger
from torch.utils.data import DataLoader

from kdspeech import console
from kdspeech.audio import SAMPLE_RATE
from kdspeech.choices import LossTerm
from kdspeech.config import StageConfig, TrainingConfig
from kdspeech.decoding.lexicon import LexiconScorer
from kdspeech.errors import RunError
from kdspeech.lexicon import Lexicon
from kdspeech.losses import WeightedSum
from kdspeech.training.averaging import WeightAverage
from kdspeech.training.batches import Batch
from kdspeech.training.movement import Movement, PartMovement
from kdspeech.training.stages import build_optimizer, build_scheduler, epoch_seed, keep_frozen_in_eval, prepare_parts
from kdspeech.training.terms import TermSettings, listen, loss_terms
from kdspeech.training.validation import Validation, ValidationResult


@dataclass(frozen=True)
class EpochResult:
    """What one epoch gave."""

    epoch: int  # finished epochs of this stage
    train: dict[str, float]  # means over steps: each loss term, loss, learning_rate and learning_rate_<group>,
    # gradient_norm, valid_frame_ratio
    valid: ValidationResult
    moved: dict[str, PartMovement]  # by part, since the epoch's start
    speed: dict[str, float]  # of training, without validation: utterances_per_second, audio_seconds_per_second


@dataclass(frozen=True)
class StagePlan:
    """Everything that decides one stage, but the data."""

    index: int  # from 0
    stage: StageConfig
    training: TrainingConfig
    weights: Mapping[LossTerm, float]
    temperature: float  # of the distillation targets
    seed: int
    steps_per_epoch: int
    has_decoder: bool = True  # False: the decoder has learnt nothing, and is not listened to
    lexicon: Lexicon | None = None  # of the word posteriors, where a loss needs them
    blank_threshold: float = 0.95  # of `targets`
    without_blank: bool = False  # frame_kl runs over the pieces only, renormalised, on both sides

    @property
    def num_steps(self) -> int:
        return self.stage.epochs * self.steps_per_epoch


@dataclass
class _Means:
    """Means of step values; sums stay on the device so that no step waits for them."""

    sums: dict[str, torch.Tensor] = field(default_factory=dict)
    steps: int = 0

    def add(self, values: Mapping[str, torch.Tensor]) -> None:
        for name, value in values.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value
        self.steps += 1

    def result(self) -> dict[str, float]:
        return {name: float(total) / self.steps for name, total in self.sums.items()}


@dataclass
class _Pace:
    """What training gets through in an epoch."""

    start: float = field(default_factory=time.monotonic)
    seconds: float = 0.0  # until the last step
    utterances: int = 0
    samples: torch.Tensor | int = 0  # of audio, padding left out; on the device so that no step waits for it

    def add(self, batch: Batch) -> None:
        self.utterances += len(batch.utt_ids)
        self.samples = self.samples + batch.lengths.sum()
        self.seconds = time.monotonic() - self.start

    def result(self) -> dict[str, float]:
        seconds = max(self.seconds, 1e-9)
        return {
            "utterances_per_second": round(self.utterances / seconds, 2),
            "audio_seconds_per_second": round(float(self.samples) / SAMPLE_RATE / seconds, 2),
        }


class StageModule(lightning.LightningModule):
    """Trains one stage of a student."""

    def __init__(
        self,
        student: Any,
        plan: StagePlan,
        on_epoch: Callable[["StageModule", EpochResult], None],
        before_epoch: Callable[["StageModule", int], None] = lambda module, epoch: None,
    ) -> None:
        """`before_epoch` is called with the stage's finished epochs, and may use the student; `on_epoch` saves."""
        super().__init__()
        self.student = student
        decay = plan.training.ema_decay
        self.average = None if decay is None else WeightAverage(student, decay)
        self.plan = plan
        self.loss = WeightedSum({str(term): weight for term, weight in plan.weights.items()})
        self.optimizer_state: dict[str, Any] | None = None  # of the checkpoint that is continued
        self.scheduler_state: dict[str, Any] | None = None
        self._on_epoch, self._before_epoch = on_epoch, before_epoch
        self._means, self._pace = _Means(), _Pace()
        self._step_values: dict[str, torch.Tensor] = {}
        self._validation = Validation(plan.has_decoder)
        self._movement = Movement(student)
        self._settings = TermSettings(
            student.vocabulary.blank_id,
            plan.temperature,
            plan.training.label_smoothing,
            LexiconScorer(plan.lexicon, student.vocabulary) if plan.lexicon is not None else None,
            plan.training.frame_kl,
            plan.blank_threshold,
            plan.without_blank,
        )
        self._display = ExitStack()
        self._bar: console.Bar | None = None
        prepare_parts(student, plan.stage)

    @property
    def kept_student(self) -> Any:
        """The student that is validated and stored, and labels: the average, where there is one."""
        return self.student if self.average is None else self.average.student

    def train(self, mode: bool = True) -> "StageModule":
        super().train(mode)
        keep_frozen_in_eval(self.student, self.plan.stage)
        return self

    def configure_optimizers(self) -> Any:
        optimizer = build_optimizer(self.student, self.plan.stage)
        scheduler = build_scheduler(optimizer, self.plan.stage, self.plan.num_steps)
        if self.optimizer_state is not None and self.scheduler_state is not None:
            optimizer.load_state_dict(self.optimizer_state)
            scheduler.load_state_dict(self.scheduler_state)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}}

    def on_train_epoch_start(self) -> None:
        self._before_epoch(self, self.current_epoch)
        lightning.seed_everything(epoch_seed(self.plan.seed, self.plan.index, self.current_epoch), verbose=False)
        self.train()  # Lightning leaves modules in the mode it finds them in
        self._movement = Movement(self.student)
        self._means, self._pace = _Means(), _Pace()
        if console.is_interactive():
            title = f"{self.plan.stage.name}, epoch {self.current_epoch + 1}/{self.plan.stage.epochs} (steps)"
            self._bar = self._display.enter_context(console.progress(title, self.plan.steps_per_epoch))

    def training_step(self, batch: Batch, batch_idx: int) -> torch.Tensor:
        heard = listen(self.student, batch, self.loss.terms)
        loss = self.loss(loss_terms(self.loss.terms, heard, self._settings))
        if not torch.isfinite(loss.total):
            raise RunError(
                f"the loss is not finite in stage {self.plan.stage.name!r}, epoch {self.current_epoch + 1}, step "
                f"{batch_idx + 1} ({', '.join(f'{name} {float(value):g}' for name, value in loss.parts.items())}). "
                f"Utterances: {', '.join(batch.utt_ids)}. Lower the learning rate, or look at these recordings."
            )
        self._step_values = {**loss.parts, "loss": loss.total.detach()}
        if heard.batch.frame_mask is not None:
            self._step_values["valid_frame_ratio"] = heard.batch.frame_mask.sum() / heard.output.num_frames.sum()
        return loss.total

    def configure_gradient_clipping(self, *_: Any, **__: Any) -> None:
        trained = [p for p in self.student.parameters() if p.requires_grad]
        norm = torch.nn.utils.clip_grad_norm_(trained, self.plan.training.gradient_clip)
        self._step_values["gradient_norm"] = norm

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if self.average is not None:
            self.average.update(self.student)
        groups = self.optimizers().param_groups
        rates = {f"learning_rate_{group.get('name', number)}": group["lr"] for number, group in enumerate(groups)}
        rates["learning_rate"] = groups[0]["lr"]
        self._means.add({**self._step_values, **{name: torch.tensor(rate) for name, rate in rates.items()}})
        self._pace.add(batch)
        if self._bar is not None:
            self._bar.advance()

    def on_validation_epoch_start(self) -> None:
        self._validation = Validation(self.plan.has_decoder)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        self._validation.add(self.kept_student, batch)

    def on_train_epoch_end(self) -> None:
        self.close_display()
        means, validation, moved = self._means.result(), self._validation.result(), self._movement.of(self.student)
        self._on_epoch(self, EpochResult(self.current_epoch + 1, means, validation, moved, self._pace.result()))

    def close_display(self) -> None:
        """Ends the progress bar, if there is one."""
        self._bar = None
        self._display.close()


def fit_stage(
    module: StageModule, train: DataLoader[Any], valid: DataLoader[Any], first_epoch: int, loggers: Sequence[Logger]
) -> None:
    """Runs a stage's epochs from `first_epoch` (0: all of them) to its end.

    Args:
        train: its batch sampler is an EpochBatches.

    Raises:
        RunError: the loss is not finite.
    """
    with _quiet_lightning():
        trainer = lightning.Trainer(
            accelerator="auto",
            devices=1,
            max_epochs=module.plan.stage.epochs,
            precision=module.plan.training.precision,
            logger=list(loggers),
            enable_checkpointing=False,  # `on_epoch` saves, by atomic renames
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )
        trainer.fit_loop.epoch_progress.current.processed = first_epoch
        trainer.fit_loop.epoch_progress.current.completed = first_epoch
        try:
            trainer.fit(module, train, valid)
        finally:
            module.close_display()
    if trainer.interrupted:
        raise KeyboardInterrupt


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Silences Lightning's remarks on workers, devices and logging intervals; the core prints what matters."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module=r"lightning\.")
            yield
    finally:
        logging.disable(before)
