"""Splits by production: the rank of an id's hash decides, so that neither the order nor other speakers do."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256

from kdspeech.utterance import Utterance

VALID_SHARE = TEST_SHARE = 0.1  # of a speaker's productions
_MIN_PRODUCTIONS = 3  # of a speaker, below which all of them train


def split_by_production(utterances: Sequence[Utterance]) -> list[Utterance]:
    """Gives 10 % of each speaker's productions to valid, 10 % to test and the rest to train."""
    split_of: dict[tuple[str, str], str] = {}
    for speaker, ranked in _ranked_productions(utterances).items():
        num_valid, num_test = _count(ranked, VALID_SHARE), _count(ranked, TEST_SHARE)
        for rank, name in enumerate(ranked):
            in_valid, in_test = rank < num_valid, rank < num_valid + num_test
            split_of[speaker, name] = "valid" if in_valid else "test" if in_test else "train"
    return [replace(u, split=split_of[u.speaker, u.production_id]) for u in utterances]


def hold_back(utterances: Sequence[Utterance]) -> list[Utterance]:
    """Gives 10 % of each speaker's productions in train to valid; the others stay where they are."""
    training = [u for u in utterances if u.split == "train"]
    held_back = {
        (speaker, name)
        for speaker, ranked in _ranked_productions(training).items()
        for name in ranked[: _count(ranked, VALID_SHARE)]
    }
    return [
        replace(u, split="valid") if u.split == "train" and (u.speaker, u.production_id) in held_back else u
        for u in utterances
    ]


def _ranked_productions(utterances: Iterable[Utterance]) -> dict[str, list[str]]:
    """Each speaker's production ids, in the order of their hashes."""
    productions: dict[str, set[str]] = {}
    for utterance in utterances:
        productions.setdefault(utterance.speaker, set()).add(utterance.production_id)
    return {
        speaker: sorted(ids, key=lambda name: sha256(name.encode()).hexdigest()) for speaker, ids in productions.items()
    }


def _count(productions: Sequence[str], share: float) -> int:
    return max(1, round(len(productions) * share)) if len(productions) >= _MIN_PRODUCTIONS else 0
