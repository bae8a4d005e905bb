"""Trains one speaker's Conformer from the common initial checkpoint.

Symbols: B batch, N samples, T encoder frames, U decoder positions (tokens + end of sentence), V vocabulary.
"""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from kdspeech import console
from kdspeech.config import TeacherConfig
from kdspeech.errors import TeacherError
from kdspeech.files import write_text
from kdspeech.model_folders.teacher_folder import LOG_NAME, OWN_FOLDER, read_teacher_card, write_teacher_card
from kdspeech.protocols import TeacherCard
from kdspeech.teachers.conformer import (
    HYPERPARAMS_NAME,
    has_architecture,
    load_model,
    own_checkpoint_sha256,
    save_model,
)
from kdspeech.teachers.examples import IGNORED, Chosen, Example, collate, load_examples
from kdspeech.teachers.progress import TrainingProgress
from kdspeech.teaching.own_utterances import check_own_utterances
from kdspeech.training.colouring import transmit
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary

_GRADIENT_CLIP = 1.0  # L2 norm over all weights


def train_teacher(
    config: TeacherConfig,
    vocabulary: Vocabulary,
    initial: Path,
    folder: Path,
    speaker: str,
    train: Sequence[Utterance],
    valid: Sequence[Utterance],
    seed: int,
) -> None:
    """Trains one speaker's teacher from `initial` and writes its folder, `teacher.json` last.

    The weights after the last epoch are kept: `valid` is only watched (its loss stands in training_log.jsonl).

    Raises:
        TeacherError: an utterance is another speaker's, there is none to train on, a recording is too short for its
            transcript, `initial` has another architecture, or the loss is not finite.
    """
    check_own_utterances(speaker, {"train": train, "valid": valid}, needed=("train",))
    if not has_architecture(initial, config, vocabulary):
        raise TeacherError(
            f"teacher {speaker}: {initial} has another architecture or vocabulary than asked for. "
            "Make the initial checkpoint again, and with it every teacher (--force)."
        )
    hparams = load_model(initial)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        trainer = Trainer(speaker, config, hparams, seed)
        trainer.fit(
            load_examples(speaker, train, vocabulary, config.subsampling, config.speeds),
            load_examples(speaker, valid, vocabulary, config.subsampling),
            folder / LOG_NAME,
        )
    hyperparams = (initial / HYPERPARAMS_NAME).read_text(encoding="utf-8")
    save_model(folder, hyperparams, hparams["asr_model"], vocabulary)
    heard = read_teacher_card(initial).speakers
    card = TeacherCard(
        teacher_id=speaker,
        backend="speechbrain",
        source=OWN_FOLDER,
        speakers=None if heard is None else (*heard, speaker),
        checkpoint_sha256=own_checkpoint_sha256(folder),
        vocabulary_sha256=vocabulary.sha256,
    )
    write_teacher_card(folder, card)


class Trainer:
    """One training run: the model, its optimiser and its losses."""

    def __init__(self, speaker: str, config: TeacherConfig, hparams: dict[str, Any], seed: int) -> None:
        from speechbrain.augment.freq_domain import SpectrogramDrop

        self.speaker, self.config, self.hparams = speaker, config, hparams
        self.model: torch.nn.Module = hparams["asr_model"]
        self.seed, self.order = seed, torch.Generator().manual_seed(seed)
        # SpecAugment (Park et al. 2019, arXiv 1904.08779), in feature frames of 10 ms and in mel bands.
        self.augment = torch.nn.Sequential(
            SpectrogramDrop(drop_length_low=1, drop_length_high=6, drop_count_low=0, drop_count_high=2, dim=1),
            SpectrogramDrop(
                drop_length_low=1,
                drop_length_high=max(2, config.num_mels // 6),
                drop_count_low=0,
                drop_count_high=2,
                dim=2,
            ),
        )

    def fit(
        self, train: list[Example], valid: list[Example], log_path: Path, progress_path: Path | None = None
    ) -> None:
        """Runs every epoch, and logs a row for each: its number, learning rate at its end, both losses.

        Args:
            progress_path: where the state is kept after every epoch; where it is found, training goes on from it.
        """
        config = self.config
        steps = config.epochs * math.ceil(len(train) / config.batch_size)
        optimizer = torch.optim.AdamW(
            self.model.parameters(),
            config.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=config.weight_decay,
            fused=True,
        )  # fused: three times faster on the many small tensors of a small model
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, _warmup_then_cosine(steps, config.warmup_share))
        progress = TrainingProgress(progress_path, self.model, optimizer, scheduler, self.order)
        log = progress.resume()
        steps_done = len(log) * steps // config.epochs
        with console.progress(f"Training {self.speaker}", steps, steps_done) as bar:
            for epoch in range(len(log), config.epochs):
                self.model.train()
                total, colours = 0.0, np.random.default_rng([self.seed, epoch])
                for batch in self._batches(train):
                    loss = self._loss(self._coloured(batch, colours))
                    optimizer.zero_grad()
                    loss.backward()
                    torch.nn.utils.clip_grad_norm_(self.model.parameters(), _GRADIENT_CLIP)
                    optimizer.step()
                    scheduler.step()
                    total += float(loss.detach()) * len(batch)
                    bar.advance()
                log.append(
                    {
                        "epoch": epoch + 1,
                        "learning_rate": float(scheduler.get_last_lr()[0]),
                        "train_loss": total / len(train),
                        "valid_loss": self._mean_loss(valid),
                    }
                )
                progress.keep(log)
                write_text(log_path, "".join(json.dumps(row) + "\n" for row in log))

    def _batches(self, examples: list[Example]) -> list[list[Chosen]]:
        """Batches of similar length, so that little is padded; members, order and speeds change from epoch to epoch."""
        draws = torch.rand(len(examples), generator=self.order).tolist()
        chosen = [(e, e.waveforms[int(draw * len(e.waveforms))]) for e, draw in zip(examples, draws, strict=True)]
        lengths = torch.tensor([len(waveform) for _, waveform in chosen])
        noise = 1.0 + 0.2 * (torch.rand(len(chosen), generator=self.order) - 0.5)  # 10 % either way
        batches = _split([chosen[i] for i in torch.argsort(lengths * noise).tolist()], self.config.batch_size)
        return [batches[i] for i in torch.randperm(len(batches), generator=self.order).tolist()]

    def _coloured(self, chosen: list[Chosen], rng: np.random.Generator) -> list[Chosen]:
        """Each waveform through a room, a channel and noise of its own, where the recipe says so."""
        config = self.config.colouring
        if config is None:
            return chosen
        return [(e, torch.from_numpy(transmit(w.numpy(), len(w), config, rng))) for e, w in chosen]

    def _mean_loss(self, examples: list[Example]) -> float:
        """Loss over utterances in eval mode; NaN without any. Draws no random number: validation decides nothing."""
        if not examples:
            return math.nan
        self.model.eval()
        chosen = sorted(((e, e.waveforms[0]) for e in examples), key=lambda pair: len(pair[1]))
        total = 0.0
        with torch.inference_mode():
            for batch in _split(chosen, self.config.batch_size):
                total += float(self._loss(batch)) * len(batch)
        return total / len(examples)

    def _loss(self, chosen: list[Chosen]) -> torch.Tensor:
        """ctc_weight x CTC + (1 - ctc_weight) x label-smoothed cross-entropy, each a mean over tokens.

        Raises:
            TeacherError: not finite; names the utterances.
        """
        from speechbrain.nnet.losses import ctc_loss

        config, hparams = self.config, self.hparams
        batch = collate(chosen, hparams["bos_index"], hparams["eos_index"], hparams["pad_index"])
        with torch.no_grad():
            features = hparams["normalize"](hparams["compute_features"](batch.waveforms), batch.rel_lengths)
            if self.model.training and config.spec_augment:
                features = self.augment(features)
        encoded, decoded = hparams["Transformer"](
            hparams["CNN"](features), batch.decoder_inputs, batch.rel_lengths, pad_idx=hparams["pad_index"]
        )  # [B, T, D], [B, U, D]
        ctc = ctc_loss(
            hparams["ctc_lin"](encoded).log_softmax(-1),
            batch.tokens,
            batch.rel_lengths,
            batch.num_tokens / batch.tokens.shape[1],
            hparams["blank_index"],
            reduction="none",  # `batch` would be nats a token already
        )  # [B]
        attention = cross_entropy(
            hparams["seq_lin"](decoded).transpose(1, 2),
            batch.decoder_targets,
            ignore_index=IGNORED,
            label_smoothing=config.label_smoothing,
        )
        ctc_mean = ctc.sum() / batch.num_tokens.sum()
        loss: torch.Tensor = config.ctc_weight * ctc_mean + (1 - config.ctc_weight) * attention
        if not torch.isfinite(loss):
            heard = ", ".join(example.utt_id for example, _ in chosen)
            raise TeacherError(
                f"teacher {self.speaker}: the loss is {loss.item()} on {heard}. Listen to these recordings, or lower "
                "the learning rate (--set teacher.learning_rate=...)."
            )
        return loss


def _split(chosen: list[Chosen], size: int) -> list[list[Chosen]]:
    return [chosen[start : start + size] for start in range(0, len(chosen), size)]


def _warmup_then_cosine(steps: int, warmup_share: float) -> Callable[[int], float]:
    """Learning-rate factor by step: linear up over the first share of the steps, a half cosine down to zero."""
    warmup = max(1, round(steps * warmup_share))

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / warmup
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warmup) / max(1, steps - warmup))))

    return factor
