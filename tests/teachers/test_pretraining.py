"""The teachers' trained start: whom it has heard, that a killed training ends as an unbroken one, who begins there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from kdspeech import teachers
from kdspeech.audio import SAMPLE_RATE
from kdspeech.config import TeacherConfig
from kdspeech.errors import TeacherError
from kdspeech.model_folders.teacher_folder import LOG_NAME, read_teacher_card
from kdspeech.teachers.conformer import load_model
from kdspeech.teachers.progress import TrainingProgress
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary

CONFIG = TeacherConfig(
    num_mels=40, d_model=16, num_heads=2, encoder_layers=1, decoder_layers=1, feed_forward=16, kernel_size=5,
    epochs=3, batch_size=2, dropout=0.1, speeds=(1.0,), start="pretrained",
)  # fmt: skip


@pytest.fixture(scope="module")
def utterances(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    folder, rng = tmp_path_factory.mktemp("noises"), np.random.default_rng(0)
    found = []
    for text in ("one", "two", "nine", "six"):
        soundfile.write(folder / f"{text}.wav", 0.1 * rng.standard_normal(8_000), SAMPLE_RATE)
        found.append(Utterance(f"s-{text}", str(folder / f"{text}.wav"), 0.5, text, "synthetic", "train"))
    return found


@pytest.fixture(scope="module")
def start(vocabulary: Vocabulary, utterances: list[Utterance], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pretrained")
    torch.manual_seed(99)  # the caller's own random state has no say
    teachers.pretrain_initial(CONFIG, vocabulary, folder / "teacher", folder / "work", utterances, utterances[:1], 3)
    assert len((folder / "work" / LOG_NAME).read_text().splitlines()) == 3
    return folder / "teacher"


def test_nobody_was_heard(start: Path, vocabulary: Vocabulary) -> None:
    card = read_teacher_card(start)
    assert (card.teacher_id, card.speakers, card.vocabulary_sha256) == ("initial", (), vocabulary.sha256)
    assert teachers.load_teacher(start).card == card


def test_a_killed_training_ends_as_an_unbroken_one(
    start: Path, vocabulary: Vocabulary, utterances: list[Utterance], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = (CONFIG, vocabulary, tmp_path / "teacher", tmp_path / "work", utterances, utterances[:1], 3)
    kept = TrainingProgress.keep

    def keep_and_die(progress: TrainingProgress, log: list[dict[str, float]]) -> None:
        kept(progress, log)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(TrainingProgress, "keep", keep_and_die)
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                teachers.pretrain_initial(*asked)
    assert not (tmp_path / "teacher").exists()
    teachers.pretrain_initial(*asked)
    assert read_teacher_card(tmp_path / "teacher").checkpoint_sha256 == read_teacher_card(start).checkpoint_sha256


def test_teachers_begin_there_whatever_their_seed(
    start: Path, vocabulary: Vocabulary, utterances: list[Utterance], tmp_path: Path
) -> None:
    still = CONFIG.model_copy(update={"learning_rate": 0.0})
    ann = [replace(u, speaker="ann") for u in utterances]
    teachers.train_teacher(still, vocabulary, start, tmp_path / "ann", "ann", ann, [], seed=8)
    before, after = (load_model(place)["asr_model"].state_dict() for place in (start, tmp_path / "ann"))
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert read_teacher_card(tmp_path / "ann").speakers == ("ann",)


def test_another_architecture_is_refused(
    start: Path, vocabulary: Vocabulary, utterances: list[Utterance], tmp_path: Path
) -> None:
    wider = CONFIG.model_copy(update={"d_model": 32})
    ann = [replace(u, speaker="ann") for u in utterances]
    with pytest.raises(TeacherError, match="another architecture"):
        teachers.train_teacher(wider, vocabulary, start, tmp_path / "ann", "ann", ann, [], seed=3)
