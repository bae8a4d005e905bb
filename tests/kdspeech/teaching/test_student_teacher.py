"""A student as a teacher says what the student says, whatever else is in the batch, and only of its own audio."""

from pathlib import Path

import numpy as np
import pytest

from kdspeech.config import StudentConfig
from kdspeech.errors import TeacherError
from kdspeech.lexicon import Lexicon
from kdspeech.model_folders.student_folder import write_student
from kdspeech.teaching.student_teacher import StudentTeacher
from kdspeech.vocabulary import Vocabulary
from tests.doubles import FakeStudents, peaked_log_probs, synthetic_waveform
from tests.learners import TinyStudents

LEXICON = Lexicon(("one", "two", "six"))
DURATIONS_S = (0.8, 0.64, 0.96)


@pytest.fixture
def folder(tmp_path: Path, vocabulary: Vocabulary) -> Path:
    write_student(tmp_path, FakeStudents(LEXICON).build_student(StudentConfig(encoder_config={}), vocabulary, 0))
    return tmp_path


def test_it_scores_each_utterance_by_itself(folder: Path, vocabulary: Vocabulary) -> None:
    teacher = StudentTeacher(folder, "ann", FakeStudents(LEXICON))
    waveforms = [synthetic_waveform(word, 0, duration) for word, duration in enumerate(DURATIONS_S)]
    token_ids = [vocabulary.encode(word) for word in LEXICON.words]
    scored = teacher.score(waveforms, token_ids)
    for word, tokens, waveform, scores in zip(LEXICON.words, token_ids, waveforms, scored, strict=True):
        num_frames = round(len(waveform) / 16_000 / teacher.frame_shift_s)
        path = [vocabulary.blank_id] * num_frames
        path[1 : 2 * len(tokens) : 2] = tokens
        expected = peaked_log_probs(path, vocabulary.num_columns, 0.9)
        assert scores.ctc_log_probs is not None
        assert scores.decoder_log_probs is not None
        np.testing.assert_allclose(scores.ctc_log_probs, expected, atol=1e-6)
        positions = peaked_log_probs([*tokens, vocabulary.end_id], vocabulary.num_columns, 0.9)
        np.testing.assert_allclose(scores.decoder_log_probs, positions, atol=1e-6)
        texts = {h.source: (h.text, h.score) for h in scores.hypotheses}
        assert texts["ctc"] == (word, pytest.approx(num_frames * np.log(0.9)))
        assert texts["decoder"] == (word, pytest.approx((len(tokens) + 1) * np.log(0.9)))
        assert scores.hypotheses[0].source == "decoder"  # the fewer factors


def test_another_student_in_its_folder_is_refused(folder: Path, vocabulary: Vocabulary) -> None:
    with pytest.raises(TeacherError, match="weights do not fit"):
        StudentTeacher(folder, "ann", TinyStudents())
    with pytest.raises(ValueError, match="1 waveforms and 0 transcripts"):
        StudentTeacher(folder, "ann", FakeStudents(LEXICON)).score([np.zeros(16_000, dtype=np.float32)], [])
