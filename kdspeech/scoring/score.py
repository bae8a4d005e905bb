"""Scores that keep counts, not rates: they add up exactly over speakers and folds.

WRA (word recognition accuracy) is the share of utterances whose normalised hypothesis equals the normalised reference.
WER (word error rate) is (substitutions + deletions + insertions) / reference words; it can exceed 100 %.
"""

from collections import Counter
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import jiwer

from kdspeech.errors import KdspeechError
from kdspeech.scoring.normalise import normalise

__all__ = ["Scores", "normalise", "score_groups", "score_texts"]

Group = TypeVar("Group", bound=Hashable)


@dataclass(frozen=True)
class Scores:
    """Counts over some utterances; `a + b` are the counts over both."""

    utterances: int = 0
    correct: int = 0  # utterances that are right as a whole
    hits: int = 0  # words
    substitutions: int = 0  # words
    deletions: int = 0  # words
    insertions: int = 0  # words
    predictions: Mapping[str, int] = field(default_factory=dict)  # normalised hypothesis -> how often

    @property
    def reference_words(self) -> int:
        return self.hits + self.substitutions + self.deletions

    @property
    def errors(self) -> int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def wra(self) -> float:
        """%, 0 without utterances."""
        return 100.0 * self.correct / max(self.utterances, 1)

    @property
    def wer(self) -> float:
        """%; may exceed 100. Where no reference has a word, the insertions count against one."""
        return 100.0 * self.errors / max(self.reference_words, 1)

    @property
    def empty(self) -> int:
        """Utterances with an empty hypothesis."""
        return self.predictions.get("", 0)

    @property
    def distinct(self) -> int:
        """Different hypotheses."""
        return len(self.predictions)

    @property
    def most_frequent(self) -> tuple[str, int]:
        """The commonest hypothesis and how often it stands; ("", 0) without utterances."""
        return max(self.predictions.items(), key=lambda item: item[1], default=("", 0))

    def __add__(self, other: "Scores") -> "Scores":
        return Scores(
            utterances=self.utterances + other.utterances,
            correct=self.correct + other.correct,
            hits=self.hits + other.hits,
            substitutions=self.substitutions + other.substitutions,
            deletions=self.deletions + other.deletions,
            insertions=self.insertions + other.insertions,
            predictions=dict(Counter(self.predictions) + Counter(other.predictions)),
        )

    def to_dict(self) -> dict[str, object]:
        """Counts and rates, as results files hold them."""
        text, count = self.most_frequent
        return {
            "utterances": self.utterances,
            "correct": self.correct,
            "wra": round(self.wra, 4),
            "reference_words": self.reference_words,
            "hits": self.hits,
            "substitutions": self.substitutions,
            "deletions": self.deletions,
            "insertions": self.insertions,
            "wer": round(self.wer, 4),
            "empty": self.empty,
            "distinct": self.distinct,
            "most_frequent": {
                "text": text,
                "count": count,
                "share": round(100.0 * count / max(self.utterances, 1), 4),  # %
            },
        }


def score_texts(references: Mapping[str, str], hypotheses: Mapping[str, str]) -> Scores:
    """Scores texts joined by utterance id.

    Raises:
        KdspeechError: an id stands on one side only; the message lists them.
    """
    _check_same_ids(references, hypotheses)
    pairs = [(normalise(reference), normalise(hypotheses[utt_id])) for utt_id, reference in references.items()]
    if not pairs:
        return Scores()
    words = jiwer.process_words([reference for reference, _ in pairs], [hypothesis for _, hypothesis in pairs])
    return Scores(
        utterances=len(pairs),
        correct=sum(reference == hypothesis for reference, hypothesis in pairs),
        hits=words.hits,
        substitutions=words.substitutions,
        deletions=words.deletions,
        insertions=words.insertions,
        predictions=dict(Counter(hypothesis for _, hypothesis in pairs)),
    )


def score_groups(
    references: Mapping[str, str], hypotheses: Mapping[str, str], groups: Mapping[str, Group]
) -> dict[Group, Scores]:
    """Scores each group of utterances by itself, in order of first appearance; the groups' sum is the total.

    Args:
        groups: utterance id -> its group, for example the speaker.

    Raises:
        KdspeechError: an id stands on one side only.
    """
    _check_same_ids(references, hypotheses)
    members: dict[Group, list[str]] = {}
    for utt_id in references:
        members.setdefault(groups[utt_id], []).append(utt_id)
    return {
        group: score_texts({i: references[i] for i in utt_ids}, {i: hypotheses[i] for i in utt_ids})
        for group, utt_ids in members.items()
    }


def _check_same_ids(references: Mapping[str, str], hypotheses: Mapping[str, str]) -> None:
    missing = [utt_id for utt_id in references if utt_id not in hypotheses]
    extra = [utt_id for utt_id in hypotheses if utt_id not in references]
    if missing or extra:
        raise KdspeechError(
            f"references and hypotheses are not of the same {len(references)} utterances: "
            f"{_listed(missing)} without hypothesis, {_listed(extra)} without reference. Decode the whole set again."
        )


def _listed(utt_ids: Iterable[str]) -> str:
    ids = list(utt_ids)
    return f"{len(ids)} ({', '.join(ids[:5])}{', ...' if len(ids) > 5 else ''})" if ids else "none"
