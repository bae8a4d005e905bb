"""Stored rows decoded back to text: what proves a dump or a set of targets before anything is trained on it.

Shapes: B utterances at a time, T rows of the longest, C columns.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from kdspeech.config import Kind
from kdspeech.decoding.ctc import greedy_ctc
from kdspeech.decoding.token_rows import decode_token_rows
from kdspeech.lexicon import Lexicon
from kdspeech.shard import Row
from kdspeech.vocabulary import Vocabulary

_BATCH = 64  # utterances


def decode_rows(
    kind: Kind, rows: Mapping[str, Row], vocabulary: Vocabulary | None = None, lexicon: Lexicon | None = None
) -> dict[str, str]:
    """The text that each row says.

    Args:
        kind: `ctc` is decoded greedily, `decoder` by each position's best column, `word` by the best word, and of
            `hypotheses` the first counts.
        vocabulary: of the columns, for `ctc` and `decoder`.
        lexicon: of the columns, for `word`.

    Returns:
        utterance id -> text.
    """
    if kind == "hypotheses":
        return {utt_id: texts[0].text if texts else "" for utt_id, texts in rows.items() if isinstance(texts, tuple)}
    arrays = {utt_id: row for utt_id, row in rows.items() if isinstance(row, np.ndarray)}
    if kind == "word":
        if lexicon is None:
            raise ValueError("rows of kind word need their lexicon")
        return {utt_id: lexicon.words[int(row.argmax())] for utt_id, row in arrays.items()}
    if vocabulary is None:
        raise ValueError(f"rows of kind {kind} need their vocabulary")
    decode = greedy_ctc if kind == "ctc" else decode_token_rows
    texts: dict[str, str] = {}
    for utt_ids in _chunks(list(arrays)):
        batch, lengths = pad_rows([arrays[utt_id] for utt_id in utt_ids])
        hypotheses = decode(batch, lengths, vocabulary)
        texts |= {utt_id: hypothesis.text for utt_id, hypothesis in zip(utt_ids, hypotheses, strict=True)}
    return texts


def pad_rows(rows: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Puts rows [T_i, C] side by side.

    Returns:
        float32 [B, T, C], zero after each utterance's end; int64 [B], the T_i.
    """
    batch = pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True)
    return batch, torch.tensor([len(row) for row in rows])


def _chunks(utt_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(utt_ids), _BATCH):
        yield utt_ids[start : start + _BATCH]
