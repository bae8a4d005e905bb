"""Several systems on the same utterances: each alone, together, and what an oracle would make of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from kdspeech import console
from kdspeech.combination.vote import Answer, Combined, vote
from kdspeech.scoring.normalise import normalise
from kdspeech.scoring.score import Scores, score_answers

Answers = Mapping[str, Answer]  # utterance id -> what one system says
Normalise = Callable[[str], str]

_STEP = 1_000  # utterances between two movements of the progress bar


@dataclass(frozen=True)
class SystemScores:
    """The scores of several systems on the same utterances."""

    singles: Mapping[str, Scores]  # by system
    vote: Scores
    any_right: Scores  # oracle: an utterance is right if any system has it right

    @property
    def mean_single(self) -> Scores:
        """All systems' counts together; its rates are the mean of theirs, since all heard the same utterances."""
        return Scores.total(self.singles.values())

    @property
    def best_single(self) -> str:
        """Oracle: the system with the highest WRA on these very utterances; the first of equals."""
        return max(self.singles, key=lambda system: self.singles[system].correct)


def combine_all(systems: Mapping[str, Answers], method: Callable[[list[Answer]], Combined]) -> dict[str, Combined]:
    """The combined answer to every utterance that any system answered; a system without answer has no voice."""
    utt_ids = list(dict.fromkeys(utt_id for answers in systems.values() for utt_id in answers))
    combined = {}
    with console.progress("Combining utterances", len(utt_ids)) as bar:
        for start in range(0, len(utt_ids), _STEP):
            part = utt_ids[start : start + _STEP]
            for utt_id in part:
                combined[utt_id] = method([answers[utt_id] for answers in systems.values() if utt_id in answers])
            bar.advance(len(part))
    return combined


def any_right(
    references: Mapping[str, str],
    systems: Mapping[str, Answers],
    otherwise: Mapping[str, str],
    normaliser: Normalise = normalise,
) -> dict[str, str]:
    """Oracle: a right text where any system has one, else `otherwise`'s."""
    chosen = dict(otherwise)
    for utt_id, reference in references.items():
        spoken = normaliser(reference)
        said = (answers[utt_id].text for answers in systems.values() if utt_id in answers)
        right = next((text for text in said if normaliser(text) == spoken), None)
        if right is not None:
            chosen[utt_id] = right
    return chosen


def texts_of(answers: Mapping[str, Answer] | Mapping[str, Combined]) -> dict[str, str]:
    """utterance id -> text."""
    return {utt_id: answer.text for utt_id, answer in answers.items()}


def score_systems(
    references: Mapping[str, str], systems: Mapping[str, Answers], normaliser: Normalise = normalise
) -> SystemScores:
    """Scores each system, their vote and the any-system-right oracle; what a system did not answer is wrong."""
    voted = texts_of(combine_all(systems, lambda answers: vote(answers, normaliser)))
    return SystemScores(
        singles={name: score_answers(references, texts_of(said), normaliser) for name, said in systems.items()},
        vote=score_answers(references, voted, normaliser),
        any_right=score_answers(references, any_right(references, systems, voted, normaliser), normaliser),
    )
