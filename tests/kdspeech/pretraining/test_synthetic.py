"""The synthetic corpus: made once, the same for a seed however many jobs make it, and long enough for CTC."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kdspeech.audio import load_audio
from kdspeech.config import ColouringConfig, FitConfig, PretrainingConfig
from kdspeech.errors import KdspeechError
from kdspeech.files import sha256_of_folder
from kdspeech.pretraining.synthetic import SyntheticCorpus, speak_number, synthesise
from kdspeech.simulation.synthesiser import Synthesiser

pytest.importorskip("espeakng_loader")

WORDS = ("one", "two", "six")
FIT = FitConfig(epochs=1, learning_rate=1e-3)
CONFIG = PretrainingConfig(utterances_per_word=3, valid_utterances=3, encoder=FIT, teacher=FIT)


def make(folder: Path, seed: int = 0, jobs: int = 1, config: PretrainingConfig = CONFIG) -> SyntheticCorpus:
    return synthesise(folder / "voices", WORDS, (4000, 4000, 20_000), config, seed, jobs, folder / "logs")


def test_words_and_splits_are_as_asked_for(tmp_path: Path) -> None:
    corpus = make(tmp_path)
    assert [u.text for u in corpus.train] == 3 * list(WORDS)
    assert [u.text for u in corpus.valid] == list(WORDS)
    assert {u.speaker for u in corpus.utterances} == {"synthetic"}
    assert corpus.num_voices == 12
    assert corpus.hours == pytest.approx(
        sum(soundfile.info(u.audio_filepath).duration for u in corpus.utterances) / 3600
    )
    for utterance in corpus.utterances:
        samples = len(load_audio(utterance.audio_filepath))
        assert samples == round(utterance.duration * 16_000)
        assert samples >= {"one": 4000, "two": 4000, "six": 20_000}[utterance.text]
    rows = [json.loads(line) for line in (tmp_path / "voices" / "voices.jsonl").read_text().splitlines()]
    assert [row["utt_id"] for row in rows] == [u.utt_id for u in corpus.utterances]


def test_the_seed_and_the_number_decide_an_utterance() -> None:
    first, again = (speak_number("one", 0, CONFIG, 5, 3) for _ in range(2))
    assert first.voice == again.voice
    np.testing.assert_array_equal(first.waveform, again.waveform)
    assert speak_number("one", 0, CONFIG, 5, 4).voice != first.voice
    assert speak_number("one", 0, CONFIG, 6, 3).voice != first.voice


def test_made_once_for_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Synthesiser, "speak", None)  # nobody speaks again
        assert make(tmp_path) == first
    made = sha256_of_folder(tmp_path / "voices", "*.wav")
    make(tmp_path, seed=1)
    assert sha256_of_folder(tmp_path / "voices", "*.wav") != made
    loud = CONFIG.model_copy(update={"colouring": ColouringConfig(level_db=(0, 0))})
    peaks = [np.abs(load_audio(u.audio_filepath)).max() for u in make(tmp_path, config=loud).utterances]
    assert min(peaks) > 0.99
    make(tmp_path)
    assert sha256_of_folder(tmp_path / "voices", "*.wav") == made


def test_a_moved_corpus_is_found(tmp_path: Path) -> None:
    make(tmp_path / "here")
    shutil.move(tmp_path / "here", tmp_path / "there")
    corpus = make(tmp_path / "there")
    assert all(Path(u.audio_filepath).exists() for u in corpus.utterances)


def test_a_word_that_no_voice_says_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Synthesiser, "speak", lambda *_: np.zeros(100, dtype=np.float32))
    with pytest.raises(KdspeechError, match="no synthetic voice says 'one'"):
        make(tmp_path)
    assert not (tmp_path / "voices").exists()


@pytest.mark.slow
def test_any_number_of_jobs_makes_the_same_corpus(tmp_path: Path) -> None:
    alone, together = make(tmp_path / "alone"), make(tmp_path / "together", jobs=2)
    assert [(u.utt_id, u.text, u.duration) for u in alone.utterances] == [
        (u.utt_id, u.text, u.duration) for u in together.utterances
    ]
    folders = (tmp_path / name / "voices" for name in ("alone", "together"))
    assert len({sha256_of_folder(folder) for folder in folders}) == 1
