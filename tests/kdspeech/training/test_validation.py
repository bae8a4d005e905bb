"""Validation picks checkpoints: by words right, and among equals by the loss."""

from dataclasses import replace
from pathlib import Path

import pytest

from kdspeech.lexicon import Lexicon
from kdspeech.training.batches import Collator
from kdspeech.training.recordings import AudioCache, Draw, UtteranceDataset
from kdspeech.training.validation import Validation, ValidationResult
from kdspeech.vocabulary import Vocabulary
from tests.doubles import FakeStudent, make_workspace


def result(correct: int, loss: float, total: int = 10) -> ValidationResult:
    return ValidationResult(100 * correct / total, 0.0, loss, correct, total)


def test_score_orders_by_words_then_by_loss() -> None:
    assert result(6, loss=1e9).score > result(5, loss=0.0).score
    assert result(6, loss=0.2).score > result(6, loss=0.3).score
    assert result(6, loss=1e9).score > (6 - 0.5001) / 10
    assert result(10, loss=0.0).score == 1.0


def test_counts_what_a_student_hears(tmp_path: Path, vocabulary: Vocabulary) -> None:
    lexicon = Lexicon(("one", "two", "six"))
    workspace = make_workspace(tmp_path, lexicon, vocabulary)
    student = FakeStudent(vocabulary, lexicon.words, deaf_to=(1,))  # hears every word of bert as the next one
    utterances = [u for u in workspace.utterances if u.split == "valid"]
    dataset = UtteranceDataset(utterances, vocabulary, AudioCache(10**6))
    validation = Validation()
    validation.add(student, Collator(vocabulary)([dataset[Draw(i, 1.0)] for i in range(len(utterances))]))
    found = validation.result()
    assert (found.correct, found.total) == (6, 9)
    assert found.ctc_wra == found.decoder_wra == pytest.approx(100 * 6 / 9)
    assert found.ctc_loss > 0
    without = Validation(with_decoder=False)
    without.add(student, Collator(vocabulary)([dataset[Draw(i, 1.0)] for i in range(len(utterances))]))
    samples = tuple(replace(sample, decoder=None) for sample in found.samples)
    assert without.result() == replace(found, decoder_wra=None, samples=samples)
    assert {sample.utt_id: sample.ctc for sample in samples}.items() <= without.by_ctc.items()
