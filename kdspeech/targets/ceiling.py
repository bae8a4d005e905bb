"""The teachers' ceiling: the targets decoded as if they were a model's output, before anything is trained on them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from kdspeech import console
from kdspeech.dumps.readback import decode_rows
from kdspeech.dumps.shard import Row
from kdspeech.folds import Fold
from kdspeech.scoring.score import score_texts
from kdspeech.targets.target_set import Target, TargetSet
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace

TOTAL = "all"
_HEADINGS = {"word": "pooled words"}  # of the table; weighed as frames are, where `word_kl` weighs a speaker's own more


@dataclass(frozen=True)
class CeilingRow:
    """One split of one speaker, or of all."""

    split: str
    speaker: str
    utterances: int
    wra: dict[str, float]  # %, of the targets: ctc, decoder, and word, pooled as they are; as far as they exist
    single_wra: float  # %, mean over the single teachers
    frames_kept: float | None  # %, by the mask
    confidence: float  # %, mean share of teachers that agree


@dataclass(frozen=True)
class Ceiling:
    """What the targets of one fold say."""

    held_out: str
    teachers: tuple[str, ...]
    rows: tuple[CeilingRow, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> "Ceiling":
        return cls(row["held_out"], tuple(row["teachers"]), tuple(CeilingRow(**entry) for entry in row["rows"]))


def measure_ceiling(
    workspace: Workspace,
    fold: Fold,
    targets: TargetSet,
    hypotheses: Mapping[str, Mapping[str, str]],
    words: Callable[[str], np.ndarray] | None,
) -> Ceiling:
    """Decodes targets and scores them against the references.

    Args:
        hypotheses: teacher -> utterance id -> what it heard.
        words: the pooled word posteriors [W] of an utterance; None where there are none.
    """
    decoded = decode_targets(targets, workspace.vocabulary)
    if words is not None:
        decoded["word"] = decode_rows("word", {utt_id: words(utt_id) for utt_id in targets}, lexicon=workspace.lexicon)
    kept = {
        utt_id: (int(mask.sum()), len(mask)) for utt_id in targets if (mask := targets[utt_id].frame_mask) is not None
    }
    lines = []
    for split, utterances in (("train", fold.train), ("valid", fold.valid)):
        groups: dict[str, list[Utterance]] = {}
        for utterance in utterances:
            groups.setdefault(utterance.speaker, []).append(utterance)
        groups[TOTAL] = list(utterances)
        for speaker, members in groups.items():
            counts = np.array([kept[u.utt_id] for u in members if u.utt_id in kept])  # [members, 2]
            lines.append(
                CeilingRow(
                    split=split,
                    speaker=speaker,
                    utterances=len(members),
                    wra={kind: _wra(members, texts) for kind, texts in decoded.items()},
                    single_wra=float(np.mean([_wra(members, texts) for texts in hypotheses.values()])),
                    frames_kept=float(100 * counts[:, 0].sum() / counts[:, 1].sum()) if counts.size else None,
                    confidence=float(100 * np.mean([targets[u.utt_id].confidence for u in members])),
                )
            )
    return Ceiling(fold.held_out, fold.teachers, tuple(lines))


def print_ceiling(ceiling: Ceiling) -> None:
    """One table: speakers of both splits, and their totals."""
    kinds = list(ceiling.rows[0].wra)
    console.table(
        f"Teachers' ceiling without {ceiling.held_out}: WRA (%) of the targets of {len(ceiling.teachers)} teachers",
        [
            "split",
            "speaker",
            "utterances",
            *(_HEADINGS.get(kind, kind) for kind in kinds),
            "mean single teacher",
            "frames kept (%)",
            "agreement (%)",
        ],
        [
            [
                row.split,
                row.speaker,
                str(row.utterances),
                *(f"{row.wra[kind]:.1f}" for kind in kinds),
                f"{row.single_wra:.1f}",
                "-" if row.frames_kept is None else f"{row.frames_kept:.1f}",
                f"{row.confidence:.1f}",
            ]
            for row in ceiling.rows
        ],
    )


def decode_targets(targets: Mapping[str, Target], vocabulary: Vocabulary) -> dict[str, dict[str, str]]:
    """Kind, `ctc` and `decoder` as far as they exist -> utterance id -> text of the target."""
    decoded: dict[str, dict[str, str]] = {}
    some = targets[next(iter(targets))]
    if some.ctc_log_probs is not None:
        decoded["ctc"] = decode_rows("ctc", _Rows(targets, "ctc_log_probs"), vocabulary)
    if some.decoder_log_probs is not None:
        decoded["decoder"] = decode_rows("decoder", _Rows(targets, "decoder_log_probs"), vocabulary)
    return decoded


class _Rows(Mapping[str, Row]):
    """One kind of distribution of a set of targets, read when it is looked up."""

    def __init__(self, targets: Mapping[str, Target], attribute: str) -> None:
        self._targets, self._attribute = targets, attribute

    def __getitem__(self, utt_id: str) -> Row:
        row: Row = getattr(self._targets[utt_id], self._attribute)
        return row

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)


def _wra(utterances: Sequence[Utterance], texts: Mapping[str, str]) -> float:
    return score_texts({u.utt_id: u.text for u in utterances}, {u.utt_id: texts[u.utt_id] for u in utterances}).wra
