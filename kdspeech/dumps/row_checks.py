"""What a teacher gives is checked before it is stored: a wrong row found here would cost a training run later."""

from collections.abc import Iterable, Sequence

import numpy as np

from kdspeech.audio import SAMPLE_RATE
from kdspeech.choices import Kind
from kdspeech.dumps.shard import PER_TOKEN_KINDS
from kdspeech.errors import TeacherError, VocabularyError
from kdspeech.logspace import normalisation_error
from kdspeech.protocols import Teacher, TeacherScores
from kdspeech.utterance import Utterance

NORMALISATION_TOLERANCE = 1e-2  # |sum of a row's probabilities - 1|
FRAME_TOLERANCE = 3  # frames that padding and strides may add or take
FRAME_TOLERANCE_SHARE = 0.02  # of the expected frames, on top


def check_teacher(teacher: Teacher, kinds: Iterable[Kind], texts: Iterable[str]) -> None:
    """Checks what can be checked before scoring.

    Raises:
        VocabularyError: the loaded vocabulary is not the card's, or the references do not survive it.
    """
    if teacher.vocabulary.sha256 != teacher.card.vocabulary_sha256:
        raise VocabularyError(
            f"teacher {teacher.card.teacher_id} has vocabulary {teacher.vocabulary.sha256[:12]}, its teacher.json says "
            f"{teacher.card.vocabulary_sha256[:12]}. Register the teacher again."
        )
    if set(kinds) & set(PER_TOKEN_KINDS):
        teacher.vocabulary.check_round_trip(texts)


def check_scores(
    teacher: Teacher,
    utterances: Sequence[Utterance],
    waveforms: Sequence[np.ndarray],
    token_ids: Sequence[Sequence[int]],
    scores: Sequence[TeacherScores],
    kinds: Iterable[Kind],
) -> None:
    """Checks a batch that a teacher scored: complete, finite, normalised, and of the right size.

    Raises:
        TeacherError: names the teacher, the utterance, what was expected and what was found.
    """
    name = f"teacher {teacher.card.teacher_id}"
    if len(scores) != len(utterances):
        raise TeacherError(f"{name} gave scores for {len(scores)} of {len(utterances)} utterances. Mend its wrapper.")
    wanted = set(kinds)
    for utterance, waveform, tokens, one in zip(utterances, waveforms, token_ids, scores, strict=True):
        where = f"{name}, utterance {utterance.utt_id!r}"
        if wanted & {"ctc", "word"}:
            rows = _present(one.ctc_log_probs, where, "CTC log-probs", "ctc and word", "[decoder,hypotheses]")
            _check_rows(rows, teacher.vocabulary.num_columns, f"{where}, CTC log-probs")
            _check_num_frames(rows, len(waveform) / SAMPLE_RATE / teacher.frame_shift_s, where)
        if "decoder" in wanted:
            rows = _present(one.decoder_log_probs, where, "decoder log-probs", "decoder", "[ctc,word,hypotheses]")
            _check_rows(rows, teacher.vocabulary.num_columns, f"{where}, decoder log-probs")
            if len(rows) != len(tokens) + 1:
                raise TeacherError(
                    f"{where}: {len(rows)} decoder rows for {len(tokens)} reference tokens; expected one a token and "
                    "one for the end of sentence. Mend its wrapper."
                )
        if "hypotheses" in wanted and not one.hypotheses:
            raise TeacherError(f"{where}: no hypotheses. Leave the kind out with --kinds.")


def _present(rows: np.ndarray | None, where: str, what: str, kinds: str, others: str) -> np.ndarray:
    if rows is None:
        raise TeacherError(
            f"{where}: this teacher gives no {what}, of which {kinds} are made. Leave them out in all commands that "
            f"dump or train, with --set dump.kinds={others}, or choose a teacher that has them."
        )
    return rows


def _check_rows(rows: np.ndarray, num_columns: int, where: str) -> None:
    if rows.ndim != 2 or rows.shape[1] != num_columns:
        raise TeacherError(
            f"{where}: shape {list(rows.shape)}, expected {num_columns} columns: the vocabulary's {num_columns - 1} "
            "pieces and the blank, last. The teacher's vocabulary is off by one, or another one."
        )
    if not np.isfinite(rows).all():
        raise TeacherError(
            f"{where}: NaN or infinite values. log 0 must be finite (LOG_ZERO); is the checkpoint sound?"
        )
    error = normalisation_error(rows)
    if error > NORMALISATION_TOLERANCE:
        raise TeacherError(
            f"{where}: probabilities of a row sum to 1 ± {error:.3g}. The wrapper gives logits, not log-probs, or cut "
            "columns off."
        )


def _check_num_frames(rows: np.ndarray, expected: float, where: str) -> None:
    if abs(len(rows) - expected) > FRAME_TOLERANCE + FRAME_TOLERANCE_SHARE * expected:
        raise TeacherError(
            f"{where}: {len(rows)} frames, expected about {expected:.0f} by its duration and the teacher's frame "
            "shift. The wrapper's frame_shift_s is wrong, or padding was not cut off."
        )
