"""What a new speaker gets without a student: single teachers and their vote, read from the store.

Only the held-out speaker's utterances count; the held-out speaker's own teacher is never asked.
"""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np

from kdspeech.choices import DecodeMode
from kdspeech.combination.scored import Answers, SystemScores, score_systems
from kdspeech.combination.vote import Answer
from kdspeech.dumps.store import LogProbStore
from kdspeech.lexicon import Lexicon
from kdspeech.protocols import ScoredText
from kdspeech.utterance import Utterance

# Which of a teacher's stored hypotheses answer a decode mode; a transducer's only search is its greedy one.
_SOURCES: Mapping[DecodeMode, tuple[str, ...]] = {"ctc": ("ctc", "transducer"), "decoder": ("decoder",)}


def teacher_baselines(
    store: LogProbStore,
    teachers: Sequence[str],
    utterances: Sequence[Utterance],
    decode_modes: Sequence[DecodeMode],
    lexicon: Lexicon | None,
) -> dict[DecodeMode, SystemScores]:
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
    references = {u.utt_id: u.text for u in utterances}
    baselines: dict[DecodeMode, SystemScores] = {}
    for decode_mode in decode_modes:
        answers = teacher_answers(store, teachers, utterances, decode_mode, lexicon)
        if answers:
            baselines[decode_mode] = score_systems(references, answers)
    return baselines


def teacher_answers(
    store: LogProbStore,
    teachers: Sequence[str],
    utterances: Sequence[Utterance],
    decode_mode: DecodeMode,
    lexicon: Lexicon | None,
) -> dict[str, Answers]:
    """What each teacher says, by teacher; empty where not every teacher decodes in this mode.

    Raises:
        StoreError: the store lacks utterances, or was made for another lexicon.
    """
    answers = {teacher: _answers_of(store, teacher, decode_mode, utterances, lexicon) for teacher in teachers}
    known = {teacher: entry for teacher, entry in answers.items() if entry is not None}
    return known if len(known) == len(answers) else {}


def _answers_of(
    store: LogProbStore,
    teacher: str,
    decode_mode: DecodeMode,
    utterances: Sequence[Utterance],
    lexicon: Lexicon | None,
) -> Answers | None:
    """A teacher's best text of each utterance; None if it does not decode this way."""
    if decode_mode == "lexicon":
        return _top_words(store, teacher, utterances, lexicon) if lexicon else None
    sources = _SOURCES[decode_mode]
    texts = {}
    for utt_id, row in store.read(teacher, "hypotheses", utterances).items():
        best = next((text for text in row if isinstance(text, ScoredText) and text.source in sources), None)
        if best is None:
            return None
        texts[utt_id] = Answer(best.text, best.score)
    return texts


def _top_words(store: LogProbStore, teacher: str, utterances: Sequence[Utterance], lexicon: Lexicon) -> Answers | None:
    speakers = {u.speaker for u in utterances}
    if not all(store.path(teacher, "word", speaker).exists() for speaker in speakers):
        return None
    texts = {}
    for utt_id, row in store.read(teacher, "word", utterances, lexicon=lexicon).items():
        log_posteriors = cast(np.ndarray, row)  # [W]; only `hypotheses` rows are texts
        column = int(log_posteriors.argmax())
        texts[utt_id] = Answer(lexicon.words[column], float(log_posteriors[column]))
    return texts
