"""Targets pooled over recordings of one label, beside the teachers.

Cross-domain ensemble distillation (Lee, Kim & Kwak, ECCV 2022, arXiv 2211.14058, eq. 2) gives every sample of a label
the same target, the mean of what is predicted for that label in all domains, so that the student learns what speakers
have in common. Recordings of one word have the same tokens, so decoder positions and words can be pooled as they are.
Their frames cannot: `index` pools them all the same, the i-th frame with the i-th, to show what that costs.

Shapes: N recordings of a label, R rows of one, C columns.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from kdspeech.config import TargetConfig
from kdspeech.targets.pooling import POOLINGS, frame_mask, uniform_weights
from kdspeech.targets.target_set import Target
from kdspeech.utterance import Utterance

Groups = dict[str, tuple[str, ...]]  # utterance id -> the recordings whose targets are pooled with its own, and itself


def groups_of_label(utterances: Sequence[Utterance]) -> Groups:
    """All recordings of the same text and split: validation recordings tell training ones nothing."""
    return _grouped(utterances, [(u.split, u.text) for u in utterances])


def groups_of_take(utterances: Sequence[Utterance]) -> Groups:
    """The n-th recording of a text by every speaker, in the order given, for each n and split."""
    seen: dict[tuple[str, str, str], int] = {}
    keys: list[tuple[str, ...]] = []
    for u in utterances:
        take = seen[u.split, u.text, u.speaker] = seen.get((u.split, u.text, u.speaker), 0) + 1
        keys.append((u.split, u.text, str(take)))
    return _grouped(utterances, keys)


def _grouped(utterances: Sequence[Utterance], keys: Sequence[tuple[str, ...]]) -> Groups:
    members: dict[tuple[str, ...], list[str]] = {}
    for utterance, key in zip(utterances, keys, strict=True):
        members.setdefault(key, []).append(utterance.utt_id)
    tuples = {key: tuple(ids) for key, ids in members.items()}
    return {u.utt_id: tuples[key] for u, key in zip(utterances, keys, strict=True)}


def pool_by_index(rows: Sequence[np.ndarray], pooling: str) -> np.ndarray:
    """Row i of all recordings that are long enough to have one, pooled.

    Args:
        rows: N times [R_n, C].
        pooling: a name in POOLINGS.

    Returns:
        [max R_n, C], normalised.
    """
    pooled = []
    for index in range(max(map(len, rows))):
        there = np.stack([row[index : index + 1] for row in rows if len(row) > index])  # [n, 1, C]
        pooled.append(POOLINGS[pooling](there, uniform_weights([""] * len(there))))
    return np.concatenate(pooled)


class LabelTargets(Mapping[str, Target]):
    """Each utterance's decoder positions pooled with those of all recordings of its label.

    A recording on which the teachers disagree too much has no voice in its label's target.
    """

    def __init__(self, pooled: Mapping[str, Target], utterances: Sequence[Utterance], pooling: str) -> None:
        self._pooled, self._groups, self._pooling = pooled, groups_of_label(utterances), pooling
        self._positions: dict[tuple[str, ...], np.ndarray | None] = {}  # of the labels that were looked up

    def __iter__(self) -> Iterator[str]:
        return iter(self._pooled)

    def __len__(self) -> int:
        return len(self._pooled)

    def __getitem__(self, utt_id: str) -> Target:
        own, members = self._pooled[utt_id], self._groups[utt_id]
        if members not in self._positions:
            self._positions[members] = _together([self._pooled[i] for i in members], "decoder_log_probs", self._pooling)
        positions = self._positions[members]
        return own if positions is None else replace(own, decoder_log_probs=positions)


class IndexTargets(Mapping[str, Target]):
    """Each utterance's rows pooled by index with those of the other speakers' n-th recordings of its label.

    As many frames as the recording itself has; a frame is kept by the pooled blank at temperature 1.
    """

    def __init__(
        self,
        pooled: Mapping[str, Target],
        plain: Mapping[str, Target],
        utterances: Sequence[Utterance],
        config: TargetConfig,
    ) -> None:
        """`plain` are the same targets at temperature 1, with their blank."""
        self._pooled, self._plain, self._config = pooled, plain, config
        self._groups = groups_of_take(utterances)

    def __iter__(self) -> Iterator[str]:
        return iter(self._pooled)

    def __len__(self) -> int:
        return len(self._pooled)

    def __getitem__(self, utt_id: str) -> Target:
        own, members, config = self._pooled[utt_id], self._groups[utt_id], self._config
        targets = [self._pooled[member] for member in members]
        positions = _together(targets, "decoder_log_probs", config.pooling)
        if positions is not None:
            own = replace(own, decoder_log_probs=positions)
        frames = _together(targets, "ctc_log_probs", config.pooling)
        plain = _together([self._plain[member] for member in members], "ctc_log_probs", config.pooling)
        if own.ctc_log_probs is None or not own.counts or frames is None or plain is None:
            return own
        num_frames = len(own.ctc_log_probs)
        mask = frame_mask(plain[:num_frames, -1], config.blank_threshold, config.dilation)
        return replace(own, ctc_log_probs=frames[:num_frames], frame_mask=mask)


def _together(targets: Sequence[Target], attribute: str, pooling: str) -> np.ndarray | None:
    """One kind of rows of those targets that count, pooled by index; None where there is none."""
    rows = [getattr(target, attribute) for target in targets if target.counts]
    given = [row for row in rows if row is not None]
    return pool_by_index(given, pooling) if given else None
