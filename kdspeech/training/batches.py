"""Drawn recordings as batches: padded tensors of waveforms, tokens and targets.

Shapes: B batch, N samples, T frames, U decoder positions (tokens + end of sentence), V vocabulary.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from kdspeech.errors import RunError
from kdspeech.losses import NBest
from kdspeech.targets.hypotheses import WeightedText
from kdspeech.targets.pooling import frame_map
from kdspeech.targets.target_set import Target
from kdspeech.training.recordings import Item
from kdspeech.vocabulary import Vocabulary

FrameCounter = Callable[[torch.Tensor], torch.Tensor]  # lengths int64 [B] in samples -> student frames int64 [B]


class FrameGrid(NamedTuple):
    """The student's frames, and how the targets' rows lie under them."""

    num_frames: FrameCounter
    rows_per_frame: float  # the student's frame shift over the targets'


class Batch(NamedTuple):
    """What a training step needs. A named tuple, since Lightning cannot move frozen dataclasses to a device."""

    utt_ids: tuple[str, ...]
    texts: tuple[str, ...]
    waveforms: torch.Tensor  # float32 [B, N], zeros after each utterance's end
    lengths: torch.Tensor  # int64 [B], samples
    tokens: torch.Tensor  # int64 [B, U-1], CTC's reference
    num_tokens: torch.Tensor  # int64 [B]
    decoder_inputs: torch.Tensor  # int64 [B, U], begin of sentence (V), then the tokens; padding V
    decoder_targets: torch.Tensor  # int64 [B, U], the tokens, then end of sentence (V); padding V
    decoder_mask: torch.Tensor  # bool [B, U], true at the tokens and the one end of sentence
    weights: torch.Tensor  # float32 [B], 1 for a transcript, a pseudo-label's confidence, 0 while there is neither
    frame_targets: torch.Tensor | None  # float32 [B, T, V+1], log-probs on the student's frames
    frame_mask: torch.Tensor | None  # bool [B, T], frames that count
    token_targets: torch.Tensor | None  # float32 [B, U, V+1], log-probs
    token_mask: torch.Tensor | None  # bool [B, U], the decoder mask of utterances whose transcripts are read
    word_targets: torch.Tensor | None = None  # float32 [B, W], log-posteriors over the lexicon
    word_mask: torch.Tensor | None = None  # bool [B], utterances whose word targets count
    hypotheses: NBest | None = None  # the teachers' texts
    has_frame_targets: torch.Tensor | None = None  # bool [B]; where false, what stands in `frame_targets` is no target


def twice(batch: Batch) -> Batch:
    """Every utterance once more, after the last one: two views of a recording, masked each in its own way."""
    size = len(batch.utt_ids)

    def again(value: Any) -> Any:
        if isinstance(value, NBest):
            tokens, num_tokens, utterances, weights = value
            both = torch.cat([utterances, utterances + size])
            return NBest(torch.cat([tokens] * 2), torch.cat([num_tokens] * 2), both, torch.cat([weights] * 2))
        if isinstance(value, torch.Tensor):
            return torch.cat([value, value])
        return None if value is None else value + value

    return Batch(*map(again, batch))


class Collator:
    """Pads items into a Batch and lays the targets onto the student's frames and positions."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        targets: Mapping[str, Target] | None = None,
        grid: FrameGrid | None = None,
        positions: bool = False,
        without_targets: Collection[str] = (),
        word_targets: Mapping[str, np.ndarray] | None = None,
        hypotheses: Mapping[str, Sequence[WeightedText]] | None = None,
        num_words: int = 0,
    ) -> None:
        """Frame targets come with a `grid` (the student's), position targets with `positions`.

        Args:
            word_targets: utterance id -> [W], of the utterances on which words are taught.
            hypotheses: utterance id -> the teachers' texts, of every utterance.
            num_words: W.
            without_targets: ids of utterances on which the teachers' distributions are not learnt.
        """
        self._vocabulary = vocabulary
        self._without_targets = frozenset(without_targets)
        self._word_targets, self._num_words = word_targets, num_words
        self._hypotheses = hypotheses
        self._targets = targets or {}
        self._grid = grid
        self._positions = positions

    def __call__(self, items: Sequence[Item]) -> Batch:
        end = self._vocabulary.end_id
        lengths = torch.tensor([len(item.waveform) for item in items])
        num_tokens = torch.tensor([len(item.token_ids) for item in items])
        decoder_targets = _pad([torch.tensor([*item.token_ids, end]) for item in items], end)  # [B, U]
        utt_ids = tuple(item.utterance.utt_id for item in items)
        frame_targets, frame_mask, has_frame_targets = self._on_frames(items, lengths)
        decoder_mask = torch.arange(decoder_targets.shape[1]) <= num_tokens[:, None]
        token_targets, token_mask = self._on_positions(items, decoder_mask)
        word_targets, word_mask = self._on_words(utt_ids)
        return Batch(
            utt_ids=utt_ids,
            texts=tuple(item.utterance.text for item in items),
            waveforms=_pad([torch.from_numpy(item.waveform) for item in items], 0.0),
            lengths=lengths,
            tokens=decoder_targets[:, :-1],
            num_tokens=num_tokens,
            decoder_inputs=_pad([torch.tensor([end, *item.token_ids]) for item in items], end),
            decoder_targets=decoder_targets,
            decoder_mask=decoder_mask,
            weights=torch.tensor([item.weight for item in items]),
            frame_targets=frame_targets,
            frame_mask=frame_mask,
            token_targets=token_targets,
            token_mask=token_mask,
            word_targets=word_targets,
            word_mask=word_mask,
            hypotheses=self._n_best(utt_ids),
            has_frame_targets=has_frame_targets,
        )

    def _n_best(self, utt_ids: Sequence[str]) -> NBest | None:
        if self._hypotheses is None:
            return None
        said = [(number, text) for number, utt_id in enumerate(utt_ids) for text in self._hypotheses[utt_id]]
        tokens = [torch.tensor(text.token_ids) for _, text in said]
        return NBest(
            _pad(tokens, self._vocabulary.end_id) if tokens else torch.zeros(0, 0, dtype=torch.int64),
            torch.tensor([len(row) for row in tokens], dtype=torch.int64),
            torch.tensor([number for number, _ in said], dtype=torch.int64),
            torch.tensor([text.weight for _, text in said]),
        )

    def _on_words(self, utt_ids: Sequence[str]) -> tuple[torch.Tensor, torch.Tensor] | tuple[None, None]:
        words = self._word_targets
        if words is None:
            return None, None
        given = {utt_id: torch.from_numpy(words[utt_id]) for utt_id in utt_ids if utt_id in words}
        nothing = torch.zeros(self._num_words)  # never looked at
        rows = torch.stack([given.get(utt_id, nothing) for utt_id in utt_ids])
        return rows, torch.tensor([utt_id in given for utt_id in utt_ids])

    def _on_frames(
        self, items: Sequence[Item], lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor] | tuple[None, None, None]:
        if self._grid is None:
            return None, None, None
        rows, masks, covered = [], [], []
        for item, num_frames in zip(items, self._grid.num_frames(lengths).tolist(), strict=True):
            utt_id = item.utterance.utt_id
            if utt_id in self._without_targets:
                rows.append(torch.zeros(num_frames, self._vocabulary.num_columns))
                masks.append(torch.zeros(num_frames, dtype=torch.bool))
                covered.append(False)
                continue
            log_probs, mask = frame_rows(self._targets, utt_id)
            step = self._grid.rows_per_frame * item.pace
            taken = frame_map(log_probs[:, -1], num_frames, step)  # the blank is the last column
            rows.append(torch.from_numpy(log_probs[taken]))
            masks.append(torch.from_numpy(mask[taken]))
            covered.append(self._targets[utt_id].counts)
        return _pad(rows, 0.0), _pad(masks, False), torch.tensor(covered)

    def _on_positions(
        self, items: Sequence[Item], decoder_mask: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor] | tuple[None, None]:
        """Only where a transcript is read: the teachers' decoders were fed with it, and would tell it."""
        if not self._positions:
            return None, None
        rows, counts = [], []
        for item in items:
            if not item.utterance.text:
                rows.append(torch.zeros(len(item.token_ids) + 1, self._vocabulary.num_columns))
                counts.append(False)
                continue
            log_probs, is_heard = position_rows(self._targets, item.utterance.utt_id)
            rows.append(torch.from_numpy(log_probs))
            counts.append(is_heard)
        return _pad(rows, 0.0), decoder_mask & torch.tensor(counts)[:, None]


def frame_rows(targets: Mapping[str, Target], utt_id: str) -> tuple[np.ndarray, np.ndarray]:
    """An utterance's CTC target [T, V+1] and mask [T], on the teachers' frames.

    Raises:
        RunError: there is none.
    """
    target = targets.get(utt_id)
    if target is None or target.ctc_log_probs is None or target.frame_mask is None:
        raise _no_target(utt_id, "ctc")
    return target.ctc_log_probs, target.frame_mask


def position_rows(targets: Mapping[str, Target], utt_id: str) -> tuple[np.ndarray, bool]:
    """An utterance's decoder target [U, V+1], and whether it counts.

    Raises:
        RunError: there is none.
    """
    target = targets.get(utt_id)
    if target is None or target.decoder_log_probs is None:
        raise _no_target(utt_id, "decoder")
    return target.decoder_log_probs, target.counts


def _no_target(utt_id: str, kind: str) -> RunError:
    return RunError(
        f"utterance {utt_id!r} has no target of kind `{kind}`. Run `kdspeech dump-teachers` for every training speaker "
        f"with dump.kinds that hold `{kind}`, or choose --mode labels."
    )


def _pad(tensors: Sequence[torch.Tensor], value: float) -> torch.Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(tensors), batch_first=True, padding_value=value)
