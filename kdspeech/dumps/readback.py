"""Stored rows decoded back to text: what proves a dump or a set of targets before anything is trained on it.

Shapes: B utterances at a time, T rows of the longest, C columns.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from kdspeech.choices import Kind
from kdspeech.decoding.ctc import greedy_ctc
from kdspeech.decoding.token_rows import decode_token_rows
from kdspeech.dumps.shard import Row
from kdspeech.lexicon import Lexicon
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
        rows: looked up a batch at a time.

    Returns:
        utterance id -> text.
    """
    decode = _decoder_of(kind, vocabulary, lexicon)
    texts: dict[str, str] = {}
    utt_ids = list(rows)
    for start in range(0, len(utt_ids), _BATCH):
        part = utt_ids[start : start + _BATCH]
        texts |= zip(part, decode([rows[utt_id] for utt_id in part]), strict=True)
    return texts


def _decoder_of(
    kind: Kind, vocabulary: Vocabulary | None, lexicon: Lexicon | None
) -> Callable[[Sequence[Row]], list[str]]:
    if kind == "hypotheses":
        return lambda rows: [row[0].text if row else "" for row in rows if isinstance(row, tuple)]
    if kind == "word":
        if lexicon is None:
            raise ValueError("rows of kind word need their lexicon")
        return lambda rows: [lexicon.words[int(row.argmax())] for row in rows if isinstance(row, np.ndarray)]
    if vocabulary is None:
        raise ValueError(f"rows of kind {kind} need their vocabulary")
    search = greedy_ctc if kind == "ctc" else decode_token_rows
    return lambda rows: [
        hypothesis.text for hypothesis in search(*pad_rows([r for r in rows if isinstance(r, np.ndarray)]), vocabulary)
    ]


def pad_rows(rows: Sequence[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Puts rows [T_i, C] side by side.

    Returns:
        float32 [B, T, C], zero after each utterance's end; int64 [B], the T_i.
    """
    batch = pad_sequence([torch.from_numpy(row) for row in rows], batch_first=True)
    return batch, torch.tensor([len(row) for row in rows])
