"""The trained teacher: its folder, its training, and how it scores."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from kdspeech import teachers
from kdspeech.audio import SAMPLE_RATE, load_audio
from kdspeech.config import ChannelConfig, TeacherConfig
from kdspeech.errors import TeacherError
from kdspeech.logspace import LOG_ZERO
from kdspeech.model_folders.teacher_folder import LOG_NAME, read_teacher_card, write_teacher_card
from kdspeech.protocols import Teacher
from kdspeech.teachers.conformer import load_model
from kdspeech.teachers.conformer_training import Trainer
from kdspeech.teachers.examples import Chosen, load_examples, num_encoder_frames
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary

CONFIG = TeacherConfig(
    num_mels=40, d_model=16, num_heads=2, encoder_layers=1, decoder_layers=1, feed_forward=16, kernel_size=5,
    epochs=2, batch_size=2, dropout=0.0, speeds=(1.0,),
)  # fmt: skip


def tone(frequency: float, seconds: float) -> np.ndarray:
    """A quiet tone in noise, float32 [N]."""
    times = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    noise = np.random.default_rng(int(frequency)).normal(0, 0.01, len(times))
    return (0.2 * np.sin(2 * np.pi * frequency * times) + noise).astype(np.float32)


@pytest.fixture(scope="module")
def utterances(tmp_path_factory: pytest.TempPathFactory) -> list[Utterance]:
    folder = tmp_path_factory.mktemp("tones")
    found = []
    for index, (text, frequency) in enumerate([("one", 300.0), ("two", 800.0), ("nine", 1500.0), ("six", 2500.0)]):
        path = folder / f"{text}.wav"
        soundfile.write(path, tone(frequency, 0.5 + 0.1 * index), SAMPLE_RATE)
        found.append(Utterance(f"ann_{text}", str(path), 0.5, text, "ann", "train"))
    return found


@pytest.fixture(scope="module")
def initial(vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teachers") / "initial"
    teachers.train_initial(CONFIG, vocabulary, folder, seed=3)
    return folder


@pytest.fixture(scope="module")
def trained(vocabulary: Vocabulary, initial: Path, utterances: list[Utterance]) -> Path:
    folder = initial.parent / "ann"
    teachers.train_teacher(CONFIG, vocabulary, initial, folder, "ann", utterances, utterances[:1], seed=3)
    return folder


@pytest.fixture(scope="module")
def teacher(trained: Path) -> Teacher:
    return teachers.load_teacher(trained)


def test_initial_is_made_once_and_knows_nobody(vocabulary: Vocabulary, initial: Path) -> None:
    card = read_teacher_card(initial)
    assert card.speakers == ()
    made = (initial / "asr.ckpt").stat().st_mtime_ns
    teachers.train_initial(CONFIG, vocabulary, initial, seed=3)
    assert (initial / "asr.ckpt").stat().st_mtime_ns == made


def test_initial_of_other_settings_is_made_anew(vocabulary: Vocabulary, tmp_path: Path) -> None:
    teachers.train_initial(CONFIG, vocabulary, tmp_path / "initial", seed=3)
    first = read_teacher_card(tmp_path / "initial").checkpoint_sha256
    teachers.train_initial(CONFIG, vocabulary, tmp_path / "initial", seed=4)
    assert read_teacher_card(tmp_path / "initial").checkpoint_sha256 != first
    teachers.train_initial(CONFIG, vocabulary, tmp_path / "initial", seed=3)
    assert read_teacher_card(tmp_path / "initial").checkpoint_sha256 == first


@pytest.mark.parametrize("subsampling", [2, 4])
@pytest.mark.parametrize("num_samples", [1200, 1279, 1280, 5000, 16_000])
def test_frame_count_is_the_models(vocabulary: Vocabulary, tmp_path: Path, subsampling: int, num_samples: int) -> None:
    config = CONFIG.model_copy(update={"subsampling": subsampling})
    teachers.train_initial(config, vocabulary, tmp_path / "initial", seed=0)
    untrained = teachers.load_teacher(tmp_path / "initial")
    rows = untrained.score([tone(500, 1)[:num_samples]], [[5]])[0].ctc_log_probs
    assert untrained.frame_shift_s == pytest.approx(0.01 * subsampling)
    assert rows is not None
    assert len(rows) == num_encoder_frames(num_samples, subsampling)


def test_training_starts_at_the_initial_weights(
    vocabulary: Vocabulary, initial: Path, utterances: list[Utterance]
) -> None:
    still = CONFIG.model_copy(update={"learning_rate": 0.0})
    folder = initial.parent / "still"
    teachers.train_teacher(still, vocabulary, initial, folder, "ann", utterances, [], seed=3)
    before, after = (load_model(place)["asr_model"].state_dict() for place in (initial, folder))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_training_is_deterministic(
    vocabulary: Vocabulary, initial: Path, trained: Path, utterances: list[Utterance]
) -> None:
    torch.manual_seed(99)  # the caller's own random state has no say
    again = initial.parent / "again"
    teachers.train_teacher(CONFIG, vocabulary, initial, again, "ann", utterances, utterances[:1], seed=3)
    assert read_teacher_card(again).checkpoint_sha256 == read_teacher_card(trained).checkpoint_sha256


def test_training_lowers_the_loss_and_logs_it(trained: Path) -> None:
    rows = [json.loads(line) for line in (trained / LOG_NAME).read_text().splitlines()]
    assert [row["epoch"] for row in rows] == [1, 2]
    assert rows[1]["train_loss"] < rows[0]["train_loss"]
    assert rows[1]["learning_rate"] == pytest.approx(0.0, abs=1e-9)


def test_every_epoch_hears_other_noise_and_validation_hears_none(
    vocabulary: Vocabulary,
    initial: Path,
    utterances: list[Utterance],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """20 dB of noise and nothing else: a hundredth of each recording's power, at a peak of -6 dB."""
    noise = ChannelConfig(reverb_share=0, equaliser_db=0, telephone_share=0, snr_db=(20, 20), level_db=(-6, -6))
    heard: dict[bool, list[tuple[str, np.ndarray]]] = {True: [], False: []}
    loss = Trainer._loss

    def listening(trainer: Trainer, chosen: list[Chosen]) -> torch.Tensor:
        heard[trainer.model.training] += [(example.utt_id, waveform.numpy()) for example, waveform in chosen]
        return loss(trainer, chosen)

    monkeypatch.setattr(Trainer, "_loss", listening)
    config = CONFIG.model_copy(update={"colouring": noise})
    teachers.train_teacher(config, vocabulary, initial, tmp_path / "ann", "ann", utterances, utterances[:1], seed=3)
    recordings = {u.utt_id: load_audio(u.audio_filepath) for u in utterances}
    assert len(heard[True]) == 2 * len(utterances)
    for utt_id, recording in recordings.items():
        first, second = (waveform for name, waveform in heard[True] if name == utt_id)
        assert not np.allclose(first, second)
        for waveform in (first, second):
            assert np.abs(waveform).max() == pytest.approx(10 ** (-6 / 20), rel=1e-3)
            gain = waveform @ recording / (recording @ recording)
            rest = waveform - gain * recording
            assert rest @ rest == pytest.approx(0.01 * gain**2 * (recording @ recording), rel=0.15)
    assert all(np.array_equal(waveform, recordings[utt_id]) for utt_id, waveform in heard[False])


@pytest.mark.parametrize(("masked", "drops"), [(True, 2 * 2 * 2), (False, 0)])  # bands and frames, batches, epochs
def test_masks_are_drawn_for_each_training_batch_or_not_at_all(
    vocabulary: Vocabulary,
    initial: Path,
    utterances: list[Utterance],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    masked: bool,
    drops: int,
) -> None:
    drawn = []

    def counting(drop: torch.nn.Module, features: torch.Tensor) -> torch.Tensor:
        drawn.append(drop)
        return features

    monkeypatch.setattr("speechbrain.augment.freq_domain.SpectrogramDrop.forward", counting)
    config = CONFIG.model_copy(update={"spec_augment": masked})
    teachers.train_teacher(config, vocabulary, initial, tmp_path / "ann", "ann", utterances, utterances[:1], seed=3)
    assert len(drawn) == drops


def test_ctc_counts_nats_a_token(
    vocabulary: Vocabulary, initial: Path, utterances: list[Utterance], tmp_path: Path
) -> None:
    config, watched = CONFIG.model_copy(update={"ctc_weight": 1.0, "epochs": 1}), utterances[2:3]
    teachers.train_teacher(config, vocabulary, initial, tmp_path / "ann", "ann", utterances, watched, seed=3)
    token_ids = vocabulary.encode(watched[0].text)
    (scored,) = teachers.load_teacher(tmp_path / "ann").score([load_audio(watched[0].audio_filepath)], [token_ids])
    rows = torch.from_numpy(scored.ctc_log_probs)
    nats = torch.nn.functional.ctc_loss(
        rows, torch.tensor(token_ids), torch.tensor(len(rows)), torch.tensor(len(token_ids)),
        blank=vocabulary.blank_id, reduction="sum",
    )  # fmt: skip
    log = (tmp_path / "ann" / LOG_NAME).read_text().splitlines()
    assert json.loads(log[-1])["valid_loss"] == pytest.approx(float(nats) / len(token_ids), rel=1e-4)


def test_card_names_the_speaker(trained: Path, vocabulary: Vocabulary) -> None:
    card = read_teacher_card(trained)
    assert (card.teacher_id, card.speakers, card.vocabulary_sha256) == ("ann", ("ann",), vocabulary.sha256)


def test_speechbrain_itself_loads_and_transcribes(trained: Path, teacher: Teacher, tmp_path: Path) -> None:
    from speechbrain.inference.ASR import EncoderDecoderASR

    official = EncoderDecoderASR.from_hparams(source=str(trained), savedir=str(tmp_path))
    waveform = tone(800, 0.6)
    texts, _ = official.transcribe_batch(torch.from_numpy(waveform)[None], torch.ones(1))
    ours = teacher.score([waveform], [[5]])[0]
    assert [h.text for h in ours.hypotheses if h.source == "decoder"] == texts


def test_scores_are_the_official_ones(trained: Path, teacher: Teacher, vocabulary: Vocabulary, tmp_path: Path) -> None:
    from speechbrain.inference.ASR import EncoderDecoderASR

    official = EncoderDecoderASR.from_hparams(source=str(trained), savedir=str(tmp_path))
    waveform, token_ids = tone(1500, 0.7), vocabulary.encode("nine")
    encoded = official.encode_batch(torch.from_numpy(waveform)[None], torch.ones(1))
    ctc = official.hparams.ctc_lin(encoded)[0].log_softmax(-1).numpy()
    hidden, _ = official.mods.transformer.decode(torch.tensor([[1, *token_ids]]), encoded)
    decoder = official.hparams.seq_lin(hidden)[0].log_softmax(-1).numpy()

    scores = teacher.score([waveform], [token_ids])[0]
    assert scores.ctc_log_probs is not None
    assert scores.decoder_log_probs is not None
    size = vocabulary.size
    np.testing.assert_allclose(scores.ctc_log_probs[:, 1:size], ctc[:, 1:], atol=1e-5)
    np.testing.assert_allclose(scores.ctc_log_probs[:, size], ctc[:, 0], atol=1e-5)  # the blank
    assert (scores.ctc_log_probs[:, 0] == LOG_ZERO).all()
    assert scores.decoder_log_probs.shape == (len(token_ids) + 1, size + 1)
    np.testing.assert_allclose(scores.decoder_log_probs[:, size], decoder[:, 2], atol=1e-5)  # end of sentence
    np.testing.assert_allclose(scores.decoder_log_probs[:, 3:size], decoder[:, 3:], atol=1e-5)


def test_scores_do_not_depend_on_the_batch(teacher: Teacher) -> None:
    waveforms = [tone(400, 0.3), tone(900, 1.1), tone(1700, 0.62)]
    ids = [[5], [6, 7], [8, 9, 10]]
    together = teacher.score(waveforms, ids)
    for index in range(3):
        alone = teacher.score([waveforms[index]], [ids[index]])[0]
        np.testing.assert_array_equal(alone.ctc_log_probs, together[index].ctc_log_probs)
        np.testing.assert_array_equal(alone.decoder_log_probs, together[index].decoder_log_probs)
        assert alone.hypotheses == together[index].hypotheses


def test_hypotheses_come_best_first(teacher: Teacher) -> None:
    hypotheses = teacher.score([tone(700, 0.5)], [[5]])[0].hypotheses
    assert {h.source for h in hypotheses} == {"ctc", "decoder"}
    assert hypotheses[0].score >= hypotheses[1].score


def test_decoder_score_is_its_paths_log_prob(trained: Path, teacher: Teacher, tmp_path: Path) -> None:
    from speechbrain.inference.ASR import EncoderDecoderASR

    official = EncoderDecoderASR.from_hparams(source=str(trained), savedir=str(tmp_path))
    waveform = tone(700, 0.5)
    _, tokens = official.transcribe_batch(torch.from_numpy(waveform)[None], torch.ones(1))
    scores = teacher.score([waveform], [tokens[0]])[0]
    assert scores.decoder_log_probs is not None
    path = [*tokens[0], teacher.vocabulary.end_id]
    decoder = next(h for h in scores.hypotheses if h.source == "decoder")
    assert decoder.score == pytest.approx(scores.decoder_log_probs[range(len(path)), path].sum(), rel=1e-5)


def test_other_speakers_utterances_are_refused(
    vocabulary: Vocabulary, initial: Path, utterances: list[Utterance], tmp_path: Path
) -> None:
    stranger = replace(utterances[0], speaker="bob")
    with pytest.raises(TeacherError, match="bob"):
        teachers.train_teacher(CONFIG, vocabulary, initial, tmp_path / "t", "ann", [*utterances, stranger], [], seed=3)
    assert not (tmp_path / "t").exists()


def test_nothing_to_train_on_is_refused_and_nothing_to_watch_is_not(
    vocabulary: Vocabulary, initial: Path, utterances: list[Utterance], tmp_path: Path
) -> None:
    with pytest.raises(TeacherError, match="no utterances of split `train`"):
        teachers.train_teacher(CONFIG, vocabulary, initial, tmp_path / "ann", "ann", [], utterances, seed=3)
    assert not (tmp_path / "ann").exists()
    teachers.train_teacher(CONFIG, vocabulary, initial, tmp_path / "ann", "ann", utterances, [], seed=3)
    assert read_teacher_card(tmp_path / "ann").teacher_id == "ann"


def test_other_architecture_than_the_initial_is_refused(
    vocabulary: Vocabulary, initial: Path, utterances: list[Utterance], tmp_path: Path
) -> None:
    wider = CONFIG.model_copy(update={"d_model": 32})
    with pytest.raises(TeacherError, match="another architecture"):
        teachers.train_teacher(wider, vocabulary, initial, tmp_path / "t", "ann", utterances, [], seed=3)


def test_recording_too_short_for_its_transcript_is_named(vocabulary: Vocabulary, tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, tone(500, 0.03), SAMPLE_RATE)
    short = Utterance("ann_short", str(path), 0.03, "seven", "ann", "train")
    with pytest.raises(TeacherError, match=r"ann_short .* needs"):
        load_examples("ann", [short], vocabulary, subsampling=4)


def test_infinite_loss_names_the_utterances(
    vocabulary: Vocabulary, initial: Path, utterances: list[Utterance], tmp_path: Path
) -> None:
    wild = CONFIG.model_copy(update={"learning_rate": 1e30, "epochs": 3})
    with pytest.raises(TeacherError, match="the loss is nan on ann_"):
        teachers.train_teacher(wild, vocabulary, initial, tmp_path / "t", "ann", utterances, [], seed=3)


def test_speeds_are_copies_of_other_lengths(vocabulary: Vocabulary, utterances: list[Utterance]) -> None:
    example = load_examples("ann", utterances[:1], vocabulary, 4, speeds=(0.5, 1.0, 2.0))[0]
    lengths = [len(waveform) for waveform in example.waveforms]
    assert lengths == pytest.approx([16_000, 8_000, 4_000], abs=2)


def test_changed_weights_are_noticed(trained: Path, initial: Path) -> None:
    card = read_teacher_card(trained)
    write_teacher_card(trained, replace(card, checkpoint_sha256="0" * 64))
    try:
        with pytest.raises(TeacherError, match="the files were changed"):
            teachers.load_teacher(trained)
    finally:
        write_teacher_card(trained, card)


def test_validation_utterances_decide_nothing(
    vocabulary: Vocabulary, initial: Path, trained: Path, utterances: list[Utterance]
) -> None:
    other = initial.parent / "unwatched"
    teachers.train_teacher(CONFIG, vocabulary, initial, other, "ann", utterances, [], seed=3)
    assert read_teacher_card(other).checkpoint_sha256 == read_teacher_card(trained).checkpoint_sha256
