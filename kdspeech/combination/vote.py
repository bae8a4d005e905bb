"""A vote over whole utterances."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from kdspeech.scoring.normalise import normalise


class Answer(NamedTuple):
    """What one system says of an utterance."""

    text: str
    score: float = 0.0  # the higher the surer; of one kind over all systems


class Combined(NamedTuple):
    """What several systems say together."""

    text: str
    agreement: float  # share of the systems that say so, 0 to 1; ROVER's is the mean over its words


def vote(answers: Sequence[Answer], normaliser: Callable[[str], str] = normalise) -> Combined:
    """The text that most systems gave; ties go to the higher summed score, then to the earlier system.

    An empty text abstains, and wins only where all are empty. Texts that are equal after normalisation vote together;
    the winner is written as the first of its voters wrote it.
    """
    ballots: dict[str, list[Answer]] = {}
    for answer in answers:
        ballots.setdefault(normaliser(answer.text), []).append(answer)
    voters = [ballot for spoken, ballot in ballots.items() if spoken] or list(ballots.values())
    winner = max(voters, key=lambda ballot: (len(ballot), sum(answer.score for answer in ballot)))
    return Combined(winner[0].text, len(winner) / len(answers))
