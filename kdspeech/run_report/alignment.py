"""How a student hears an utterance, frame by frame: its CTC path and its decoder's attention.

Shapes: B batch, T frames, U decoder positions, V vocabulary.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from kdspeech.decoding.autoregressive import greedy_decoder
from kdspeech.decoding.ctc import greedy_ctc
from kdspeech.protocols import Encoded, Student


@dataclass(frozen=True)
class Span:
    """One token of the greedy CTC path."""

    piece: str
    start: int  # frame
    end: int  # frame after the last
    curve: np.ndarray  # float [T], the token's probability at every frame


@dataclass(frozen=True)
class Look:
    """One utterance, as a student hears it."""

    num_frames: int  # T
    frame_shift_s: float
    ctc_text: str
    spans: tuple[Span, ...]
    decoder_text: str | None  # None: the decoder was not trained
    decoder_pieces: tuple[str, ...]  # the rows of `attention`; the last one is the end of sentence
    attention: np.ndarray | None  # float [U, T], each row's weights over frames; None where they cannot be read


@contextmanager
def recorded_attention(part: nn.Module) -> Iterator[list[torch.Tensor]]:
    """Keeps the weights of every cross-attention, [B, U, T] each, while the block runs.

    A cross-attention is a `torch.nn.MultiheadAttention` whose query is not its key; its weights are
    the mean over heads.
    """
    weights: list[torch.Tensor] = []

    def ask(_module: nn.Module, inputs: tuple[Any, ...], options: Mapping[str, Any]) -> tuple[Any, Any]:
        return inputs, {**options, "need_weights": inputs[0] is not inputs[1]}

    def keep(_module: nn.Module, _inputs: tuple[Any, ...], output: tuple[torch.Tensor, torch.Tensor | None]) -> None:
        if output[1] is not None:
            weights.append(output[1])

    handles = []
    for module in part.modules():
        if isinstance(module, nn.MultiheadAttention):
            handles.append(module.register_forward_pre_hook(ask, with_kwargs=True))
            handles.append(module.register_forward_hook(keep))
    try:
        yield weights
    finally:
        for handle in handles:
            handle.remove()


@torch.inference_mode()
def look(student: Student, encoded: Encoded, has_decoder: bool) -> list[Look]:
    """What both heads say of B utterances, and where they look.

    Args:
        has_decoder: the decoder was trained; else it is not asked.
    """
    log_probs = student.ctc_log_probs(encoded)  # [B, T, V+1]
    ctc_texts = [hypothesis.text for hypothesis in greedy_ctc(log_probs, encoded.num_frames, student.vocabulary)]
    lengths = encoded.num_frames.tolist()
    decoded = greedy_decoder(student, encoded, encoded.num_frames) if has_decoder else None
    attention = _attention(student, encoded, [h.token_ids for h in decoded]) if decoded else None
    looks = []
    for b, (text, num_frames) in enumerate(zip(ctc_texts, lengths, strict=True)):
        ids = decoded[b].token_ids if decoded else ()
        looks.append(
            Look(
                num_frames=num_frames,
                frame_shift_s=student.frame_shift_s,
                ctc_text=text,
                spans=_spans(student, log_probs[b, :num_frames]),
                decoder_text=decoded[b].text if decoded else None,
                decoder_pieces=(*(_shown(student.vocabulary.pieces[i]) for i in ids), "end"),
                attention=None if attention is None else attention[b, : len(ids) + 1, :num_frames].cpu().numpy(),
            )
        )
    return looks


def _attention(student: Student, encoded: Encoded, said: list[tuple[int, ...]]) -> torch.Tensor | None:
    """[B, U, T]: mean over heads and layers, the decoder being fed what it said; None without cross-attention."""
    end_id = student.vocabulary.end_id
    rows = [torch.tensor([end_id, *token_ids], dtype=torch.long) for token_ids in said]
    inputs = pad_sequence(rows, batch_first=True, padding_value=end_id).to(encoded.states.device)  # [B, U]
    with recorded_attention(student.parts()["decoder"]) as weights:
        student.decoder_log_probs(encoded, inputs)
    return torch.stack(weights).mean(dim=0) if weights else None


def _spans(student: Student, log_probs: torch.Tensor) -> tuple[Span, ...]:
    """Runs of one token in the best path.

    Args:
        log_probs: [T, V+1].
    """
    probabilities = log_probs.exp().cpu().numpy()
    columns, counts = torch.unique_consecutive(log_probs.argmax(dim=1), return_counts=True)
    spans, start = [], 0
    for column, count in zip(columns.tolist(), counts.tolist(), strict=True):
        if column != student.vocabulary.blank_id:
            piece = _shown(student.vocabulary.pieces[column])
            spans.append(Span(piece, start, start + count, probabilities[:, column]))
        start += count
    return tuple(spans)


def _shown(piece: str) -> str:
    """A piece without SentencePiece's mark of a new word; the mark alone as a box that can be seen."""
    return piece.removeprefix("\N{LOWER ONE EIGHTH BLOCK}") or "\N{OPEN BOX}"
