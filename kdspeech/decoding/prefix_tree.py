"""Words as one tree: what two spellings share at their beginning is scored once.

Shapes: N nodes with the root, W words, E echoes, K distinct tokens.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import torch

from kdspeech.vocabulary import fewest_frames

TokenIds = tuple[int, ...]


@dataclass(frozen=True)
class PrefixTree:
    """Every beginning of every word is a node; row 0 is the empty one, the root.

    Rows are ordered by the frames that a node needs at least: one for each token, and a blank between two equal ones. A
    node that repeats its parent's token must not be entered from the parent's token, only from the blank after it;
    such parents have an *echo*, a further row behind the N nodes that stands for this blank.
    """

    columns: torch.Tensor  # int64 [K], the distinct tokens
    tokens: torch.Tensor  # int64 [N], each node's token as an index into `columns`; K for the root
    parents: torch.Tensor  # int64 [N], the row from which a node is entered: its parent's, or its parent's echo
    echoed: torch.Tensor  # int64 [E], the rows of the nodes that have an echo
    ends: torch.Tensor  # int64 [W], the row where each word ends
    min_frames: torch.Tensor  # int64 [N], ascending
    reachable: tuple[int, ...]  # nodes reachable within 0, 1, 2, ... frames, up to all of them

    @property
    def num_nodes(self) -> int:
        """N."""
        return len(self.tokens)

    def num_reachable(self, num_frames: int) -> int:
        """Nodes that can have been entered after so many frames; they are the first rows."""
        return self.reachable[min(num_frames, len(self.reachable) - 1)]

    def to(self, device: torch.device) -> "PrefixTree":
        """The same tree on a device."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        moved: dict[str, Any] = {k: v.to(device) for k, v in values.items() if isinstance(v, torch.Tensor)}
        return replace(self, **moved)


def build_tree(words: Sequence[TokenIds]) -> PrefixTree:
    """Builds the tree of distinct, non-empty token sequences."""
    needed = {word[:length]: fewest_frames(word[:length]) for word in words for length in range(len(word) + 1)}
    prefixes = sorted(needed, key=lambda prefix: (needed[prefix], prefix))
    rows = {prefix: row for row, prefix in enumerate(prefixes)}
    repeating = [prefix for prefix in prefixes if len(prefix) > 1 and prefix[-1] == prefix[-2]]
    echoed = sorted({rows[prefix[:-1]] for prefix in repeating})
    echo_rows = {row: len(rows) + echo for echo, row in enumerate(echoed)}
    parents = {prefix: rows[prefix[:-1]] for prefix in prefixes}
    parents |= {prefix: echo_rows[parents[prefix]] for prefix in repeating}
    columns = sorted({token for word in words for token in word})
    column_of = {token: column for column, token in enumerate(columns)}
    min_frames = torch.tensor([needed[prefix] for prefix in prefixes])
    frames = torch.arange(int(min_frames[-1]) + 1)
    return PrefixTree(
        columns=torch.tensor(columns),
        tokens=torch.tensor([column_of[prefix[-1]] if prefix else len(columns) for prefix in prefixes]),
        parents=torch.tensor([parents[prefix] for prefix in prefixes]),
        echoed=torch.tensor(echoed, dtype=torch.long),
        ends=torch.tensor([rows[word] for word in words]),
        min_frames=min_frames,
        reachable=tuple(torch.searchsorted(min_frames, frames, right=True).tolist()),
    )
