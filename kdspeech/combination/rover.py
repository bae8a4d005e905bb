"""ROVER: a vote word by word (Fiscus, "A post-processing system to yield reduced word error rates", ASRU 1997).

The systems' texts are aligned one after another into a word transition network: a row of slots, each with one word or
none of every system. In each slot the word with the highest score wins,

    score(w) = alpha N(w) / N + (1 - alpha) C(w)            (Fiscus 1997, equation 1)

with N(w) of N systems saying it and C(w) their mean confidence; "no word" has a confidence of its own. alpha = 1 is the
vote by frequency. The network depends on the order of the systems: the first one is the backbone, so it had better be
the best. Ties go to the higher summed confidence, then to the word of the earlier system.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kdspeech.combination.vote import Answer, Combined
from kdspeech.scoring.normalise import normalise

# What alignment costs: as sclite's, so that a substitution is cheaper than a deletion and an insertion.
_SUBSTITUTION, _GAP = 4, 3
_NO_WORD = ""

Slot = tuple[str, ...]  # a word or _NO_WORD for each system so far


@dataclass(frozen=True)
class RoverOptions:
    """How words are weighed."""

    alpha: float = 1.0  # 1: by frequency only; 0: by confidence only
    null_confidence: float = 0.5  # of "no word"; only used if alpha < 1


BY_FREQUENCY = RoverOptions()


def rover(
    answers: Sequence[Answer],
    normaliser: Callable[[str], str] = normalise,
    options: RoverOptions = BY_FREQUENCY,
) -> Combined:
    """Combines the systems' texts of one utterance word by word.

    Args:
        answers: with alpha < 1, scores are confidences between 0 and 1; every word has its text's.

    Returns:
        The normalised words that won; their agreement is the share of systems that say the word, in the mean.
    """
    network = build_network([normaliser(answer.text).split() for answer in answers])
    confidences = [answer.score for answer in answers]
    won = [_winner(slot, confidences, options) for slot in network]
    words = [(word, slot.count(word) / len(slot)) for word, slot in zip(won, network, strict=True) if word != _NO_WORD]
    if not words:
        return Combined("", sum(not normaliser(answer.text) for answer in answers) / len(answers))
    return Combined(" ".join(word for word, _ in words), sum(share for _, share in words) / len(words))


def build_network(texts: Sequence[Sequence[str]]) -> list[Slot]:
    """Aligns the texts one after another; slot k has the k-th word of the backbone, or what was inserted there."""
    network: list[Slot] = [(word,) for word in texts[0]]
    for done, words in enumerate(texts[1:], start=1):
        network = _add(network, words, done)
    return network


def _add(network: list[Slot], words: Sequence[str], done: int) -> list[Slot]:
    """The network with one more text; a slot that the text has no word for takes `no word`."""
    merged: list[Slot] = []
    row, column = len(network), len(words)
    costs = _costs(network, words)
    while row or column:
        slot = network[row - 1] if row else ()
        word = words[column - 1] if column else _NO_WORD
        here = costs[row][column]
        if row and column and here == costs[row - 1][column - 1] + _match(slot, word):
            merged.append((*slot, word))
            row, column = row - 1, column - 1
        elif row and here == costs[row - 1][column] + _skip(slot):
            merged.append((*slot, _NO_WORD))
            row -= 1
        else:
            merged.append((*[_NO_WORD] * done, word))
            column -= 1
    return merged[::-1]


def _costs(network: Sequence[Slot], words: Sequence[str]) -> list[list[int]]:
    """costs[row][column]: the cheapest alignment of the first `row` slots with the first `column` words."""
    costs = [[column * _GAP for column in range(len(words) + 1)]]
    for slot in network:
        above, skip = costs[-1], _skip(slot)
        current = [above[0] + skip]
        for column, word in enumerate(words, start=1):
            current.append(min(above[column - 1] + _match(slot, word), above[column] + skip, current[-1] + _GAP))
        costs.append(current)
    return costs


def _match(slot: Slot, word: str) -> int:
    return 0 if word in slot else _SUBSTITUTION


def _skip(slot: Slot) -> int:
    """Saying nothing where another system says nothing, too, is a match."""
    return 0 if _NO_WORD in slot else _GAP


def _winner(slot: Slot, confidences: Sequence[float], options: RoverOptions) -> str:
    voices: dict[str, list[float]] = {}
    for word, confidence in zip(slot, confidences, strict=True):
        voices.setdefault(word, []).append(confidence if word != _NO_WORD else options.null_confidence)
    scores = {
        word: options.alpha * len(said) / len(slot) + (1.0 - options.alpha) * sum(said) / len(said)
        for word, said in voices.items()
    }
    return max(voices, key=lambda word: (round(scores[word], 12), sum(voices[word])))
