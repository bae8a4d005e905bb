"""The teachers' texts of each recording, weighted by how many say so: what sequence-level distillation learns from."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from kdspeech.choices import Who
from kdspeech.dumps.store import LogProbStore
from kdspeech.protocols import ScoredText, TeacherCard
from kdspeech.targets.speaking import loudness, speaking
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary

_MOST = 8  # texts kept of a recording, the heaviest


class WeightedText(NamedTuple):
    """A text for which some teachers speak."""

    token_ids: tuple[int, ...]
    weight: float  # those of a recording sum to 1


def pooled_texts(heard: Sequence[Sequence[str]], weights: Sequence[float]) -> dict[str, float]:
    """q(y) = sum_k w_k / n_k sum_i [y_k,i = y]: each teacher's weight is shared evenly by its n_k texts.

    Their scores do not count: a CTC path's and a decoder's cannot be compared. An empty text has no say. It stands for
    the teachers' posterior of sequences in Kim & Rush 2016, section 3.2.

    Args:
        heard: [K], the texts of each teacher.
        weights: [K], above 0.

    Returns:
        The heaviest first, of equals the one heard first; weights sum to 1. Empty where no teacher heard anything.
    """
    shares: dict[str, float] = {}
    for texts, weight in zip(heard, weights, strict=True):
        for text in texts:
            if text:
                shares[text] = shares.get(text, 0.0) + weight / len(texts)
    kept = sorted(shares.items(), key=lambda entry: -entry[1])[:_MOST]
    total = sum(share for _, share in kept)
    return {text: share / total for text, share in kept}


def read_hypotheses(
    store: LogProbStore,
    cards: Sequence[TeacherCard],
    utterances: Sequence[Utterance],
    vocabulary: Vocabulary,
    own_share: float | None,
    who: Who = "all",
) -> dict[str, list[WeightedText]]:
    """Every recording's pooled texts, by utterance id; who was trained on the speaker has `own_share` of the voice.

    Teachers find their hypotheses from the audio alone: no transcript is in them. Texts that the vocabulary cannot
    spell are left out.

    Raises:
        ConfigError: on some speaker's recordings nobody would speak.
        StoreError: the store lacks a recording's hypotheses, or was made by another checkpoint.
    """
    given: list[Mapping[str, object]] = [
        dict(store.read(card.teacher_id, "hypotheses", utterances, checkpoint_sha256=card.checkpoint_sha256))
        for card in cards
    ]
    chosen = {s: speaking(cards, s, who) for s in dict.fromkeys(u.speaker for u in utterances)}
    found = {}
    for utterance in utterances:
        teachers = chosen[utterance.speaker]
        rows = [given[index][utterance.utt_id] for index in teachers]
        heard = [[text for text in _texts(row) if _spells(vocabulary, text)] for row in rows]
        pooled = pooled_texts(heard, loudness([cards[index] for index in teachers], utterance.speaker, own_share))
        found[utterance.utt_id] = [
            WeightedText(tuple(vocabulary.encode(text)), share) for text, share in pooled.items()
        ]
    return found


def _texts(row: object) -> list[str]:
    return [entry.text for entry in row if isinstance(entry, ScoredText)] if isinstance(row, tuple) else []


def _spells(vocabulary: Vocabulary, text: str) -> bool:
    return vocabulary.decode(vocabulary.encode(text)) == text
