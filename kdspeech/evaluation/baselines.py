"""What a new speaker gets without a student: single teachers and their vote, read from the store.

Only the held-out speaker's utterances count; the held-out speaker's own teacher is never asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from kdspeech.choices import DecodeMode
from kdspeech.corpora.utterance import Utterance
from kdspeech.dumps.store import LogProbStore
from kdspeech.lexicon import Lexicon
from kdspeech.protocols import ScoredText
from kdspeech.scoring.score import Scores, normalise, score_texts

Texts = Mapping[str, ScoredText]  # utterance id -> best text

# Which of a teacher's stored hypotheses answer a decode mode; a transducer's only search is its greedy one.
_SOURCES: Mapping[DecodeMode, tuple[str, ...]] = {"ctc": ("ctc", "transducer"), "decoder": ("decoder",)}


@dataclass(frozen=True)
class TeacherBaselines:
    """The teachers' scores on one held-out speaker, in one decode mode."""

    singles: Mapping[str, Scores]  # by teacher
    vote: Scores
    any_right: Scores  # oracle: an utterance is right if any teacher has it right

    @property
    def mean_single(self) -> Scores:
        """All teachers' counts together; its rates are the mean of theirs, since all heard the same utterances."""
        return sum(self.singles.values(), Scores())

    @property
    def best_single(self) -> str:
        """Oracle: the teacher with the highest WRA on the held-out speaker; the first of equals."""
        return max(self.singles, key=lambda teacher: self.singles[teacher].correct)


def teacher_baselines(
    store: LogProbStore,
    teachers: Sequence[str],
    utterances: Sequence[Utterance],
    decode_modes: Sequence[DecodeMode],
    lexicon: Lexicon | None,
) -> dict[DecodeMode, TeacherBaselines]:
    """Scores single teachers and their vote from the store.

    Args:
        teachers: without the held-out speaker's own.
        utterances: the held-out speaker's.
        lexicon: needed by the decode mode `lexicon`.

    Returns:
        By decode mode; a mode that not every teacher has (a CTC-only teacher has no decoder) is left out.

    Raises:
        StoreError: the store lacks utterances, or was made for another lexicon.
    """
    baselines: dict[DecodeMode, TeacherBaselines] = {}
    for decode_mode in decode_modes:
        texts = [_teacher_texts(store, teacher, decode_mode, utterances, lexicon) for teacher in teachers]
        known = [entry for entry in texts if entry is not None]
        if known and len(known) == len(texts):
            baselines[decode_mode] = _baselines(dict(zip(teachers, known, strict=True)), utterances)
    return baselines


def vote(texts: Sequence[ScoredText]) -> ScoredText:
    """The text that most voters gave; ties go to the higher summed score, then to the earlier voter.

    An empty text abstains, and wins only where all are empty. Texts that are equal after normalisation vote together.
    """
    ballots: dict[str, list[ScoredText]] = {}
    for text in texts:
        ballots.setdefault(normalise(text.text), []).append(text)
    voters = [ballot for spoken, ballot in ballots.items() if spoken] or list(ballots.values())
    winner = max(voters, key=lambda ballot: (len(ballot), sum(text.score for text in ballot)))
    return ScoredText(winner[0].text, sum(text.score for text in winner), "vote")


def _teacher_texts(
    store: LogProbStore,
    teacher: str,
    decode_mode: DecodeMode,
    utterances: Sequence[Utterance],
    lexicon: Lexicon | None,
) -> Texts | None:
    """A teacher's best text of each utterance; None if it does not decode this way."""
    if decode_mode == "lexicon":
        return _top_words(store, teacher, utterances, lexicon) if lexicon else None
    sources = _SOURCES[decode_mode]
    texts = {}
    for utt_id, row in store.read(teacher, "hypotheses", utterances).items():
        best = next((text for text in row if isinstance(text, ScoredText) and text.source in sources), None)
        if best is None:
            return None
        texts[utt_id] = best
    return texts


def _top_words(store: LogProbStore, teacher: str, utterances: Sequence[Utterance], lexicon: Lexicon) -> Texts | None:
    speakers = {u.speaker for u in utterances}
    if not all(store.path(teacher, "word", speaker).exists() for speaker in speakers):
        return None
    texts = {}
    for utt_id, row in store.read(teacher, "word", utterances, lexicon=lexicon).items():
        log_posteriors = cast(np.ndarray, row)  # [W]; only `hypotheses` rows are texts
        column = int(log_posteriors.argmax())
        texts[utt_id] = ScoredText(lexicon.words[column], float(log_posteriors[column]), "word")
    return texts


def _baselines(texts: Mapping[str, Texts], utterances: Sequence[Utterance]) -> TeacherBaselines:
    references = {u.utt_id: u.text for u in utterances}
    voted, any_right = {}, {}
    for utterance in utterances:
        answers = [by_utterance[utterance.utt_id] for by_utterance in texts.values()]
        voted[utterance.utt_id] = vote(answers).text
        spoken = normalise(utterance.text)
        right = [answer.text for answer in answers if normalise(answer.text) == spoken]
        any_right[utterance.utt_id] = right[0] if right else voted[utterance.utt_id]
    return TeacherBaselines(
        singles={
            teacher: score_texts(references, {utt_id: text.text for utt_id, text in by_utterance.items()})
            for teacher, by_utterance in texts.items()
        },
        vote=score_texts(references, voted),
        any_right=score_texts(references, any_right),
    )
