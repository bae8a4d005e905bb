"""SpeechBrain models that were not trained here: CTC only, other vocabularies, broken ones."""

from pathlib import Path

import numpy as np
import pytest
import sentencepiece
import torch

from kdspeech import teachers
from kdspeech.errors import TeacherError, VocabularyError
from kdspeech.model_folders.teacher_folder import read_teacher_card
from kdspeech.teachers.toolkits import import_speechbrain
from kdspeech.vocabulary import MODEL_NAME, Vocabulary

# An EncoderASR of one linear layer over 20 ms features. {columns}, {blank} and {last} vary.
ENCODER_ASR = """
sample_rate: 16000
blank_index: {blank}
compute_features: !new:speechbrain.lobes.features.Fbank
    n_mels: 20
    hop_length: 20
linear: !new:speechbrain.nnet.linear.Linear
    input_size: 20
    n_neurons: {columns}
last: !new:{last}
encoder: !new:speechbrain.nnet.containers.LengthsCapableSequential
    compute_features: !ref <compute_features>
    linear: !ref <linear>
    last: !ref <last>
tokenizer: !new:sentencepiece.SentencePieceProcessor
decoding_function: !name:speechbrain.decoders.ctc_greedy_decode
    blank_id: !ref <blank_index>
modules:
    encoder: !ref <encoder>
pretrainer: !new:speechbrain.utils.parameter_transfer.Pretrainer
    loadables:
        linear: !ref <linear>
        tokenizer: !ref <tokenizer>
"""
LOG_SOFTMAX = "speechbrain.nnet.activations.Softmax\n    apply_log: True"


def write_model(
    folder: Path,
    vocabulary: Vocabulary,
    columns: int,
    blank: int = 0,
    last: str = LOG_SOFTMAX,
    sure_of: int | None = None,
) -> Path:
    """An EncoderASR folder; `sure_of` is the column that it always prefers."""
    folder.mkdir()
    (folder / "hyperparams.yaml").write_text(ENCODER_ASR.format(columns=columns, blank=blank, last=last))
    weight, bias = 0.01 * torch.randn(columns, 20), torch.zeros(columns)
    if sure_of is not None:
        weight, bias[sure_of] = torch.zeros(columns, 20), 5.0
    torch.save({"w.weight": weight, "w.bias": bias}, folder / "linear.ckpt")
    vocabulary.save(folder / "saved")
    (folder / "saved" / MODEL_NAME).rename(folder / "tokenizer.ckpt")
    return folder


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(0).normal(0, 0.1, int(16_000 * seconds)).astype(np.float32)


def test_encoder_only_model_gives_ctc(vocabulary: Vocabulary, tmp_path: Path) -> None:
    import_speechbrain()
    from speechbrain.inference.ASR import EncoderASR

    source = write_model(tmp_path / "model", vocabulary, vocabulary.size)
    teachers.register_teacher("ann", str(source), tmp_path / "ann")
    teacher = teachers.load_teacher(tmp_path / "ann")
    waveform = noise(0.5)
    official = EncoderASR.from_hparams(source=str(source), savedir=str(tmp_path / "saved"))
    expected = official.encode_batch(torch.from_numpy(waveform)[None], torch.ones(1))[0].numpy()

    scores = teacher.score([waveform], [vocabulary.encode("one")])[0]
    assert teacher.frame_shift_s == pytest.approx(0.02)
    assert scores.decoder_log_probs is None
    assert scores.ctc_log_probs is not None
    np.testing.assert_allclose(scores.ctc_log_probs[:, -1], expected[:, 0], atol=1e-5)
    np.testing.assert_allclose(scores.ctc_log_probs[:, 1:-1], expected[:, 1:], atol=1e-5)
    assert [h.source for h in scores.hypotheses] == ["ctc"]
    assert read_teacher_card(tmp_path / "ann").speakers is None


def test_foreign_vocabulary_stays_the_teachers_own(vocabulary: Vocabulary, tmp_path: Path) -> None:
    foreign = Vocabulary.train(("north", "south", "east", "west"), size=24, model_type="char")
    source = write_model(tmp_path / "model", foreign, foreign.size, sure_of=foreign.encode("e")[-1])
    teachers.register_teacher("ann", str(source), tmp_path / "ann")
    teacher = teachers.load_teacher(tmp_path / "ann")
    assert teacher.vocabulary.sha256 == foreign.sha256 != vocabulary.sha256
    scores = teacher.score([noise(0.3)], [foreign.encode("west")])[0]
    assert scores.ctc_log_probs is not None
    assert scores.ctc_log_probs.shape[1] == foreign.num_columns
    assert scores.hypotheses[0].text == "e"


def test_off_by_one_head_is_refused(vocabulary: Vocabulary, tmp_path: Path) -> None:
    source = write_model(tmp_path / "model", vocabulary, vocabulary.size - 1)
    teachers.register_teacher("ann", str(source), tmp_path / "ann")
    with pytest.raises(VocabularyError, match=f"{vocabulary.size - 1} columns"):
        teachers.load_teacher(tmp_path / "ann").score([noise(0.3)], [[5]])


def test_blank_first_called_blank_last_is_refused(vocabulary: Vocabulary, tmp_path: Path) -> None:
    columns = vocabulary.size + 1
    source = write_model(tmp_path / "model", vocabulary, columns, blank=vocabulary.size, sure_of=0)
    teachers.register_teacher("ann", str(source), tmp_path / "ann")
    with pytest.raises(TeacherError, match="most in column 0"):
        teachers.load_teacher(tmp_path / "ann").score([noise(0.3)], [[5]])


def test_logits_are_refused(vocabulary: Vocabulary, tmp_path: Path) -> None:
    source = write_model(tmp_path / "model", vocabulary, vocabulary.size, last="torch.nn.Identity", sure_of=3)
    teachers.register_teacher("ann", str(source), tmp_path / "ann")
    with pytest.raises(TeacherError, match="not log-probabilities"):
        teachers.load_teacher(tmp_path / "ann").score([noise(0.3)], [[5]])


def test_broken_folder_is_refused(vocabulary: Vocabulary, tmp_path: Path) -> None:
    source = write_model(tmp_path / "model", vocabulary, vocabulary.size)
    (source / "linear.ckpt").unlink()
    with pytest.raises(TeacherError, match="cannot be loaded as a SpeechBrain model"):
        teachers.register_teacher("ann", str(source), tmp_path / "ann")
    assert not (tmp_path / "ann").exists()


def test_missing_blank_index_is_refused(vocabulary: Vocabulary, tmp_path: Path) -> None:
    source = write_model(tmp_path / "model", vocabulary, vocabulary.size)
    text = (source / "hyperparams.yaml").read_text().replace("blank_index", "blank_column")
    (source / "hyperparams.yaml").write_text(text)
    teachers.register_teacher("ann", str(source), tmp_path / "ann")
    with pytest.raises(TeacherError, match="names no blank_index"):
        teachers.load_teacher(tmp_path / "ann").score([noise(0.3)], [[5]])


def test_tokenizer_is_a_sentencepiece_model(vocabulary: Vocabulary, tmp_path: Path) -> None:
    source = write_model(tmp_path / "model", vocabulary, vocabulary.size)
    loaded = sentencepiece.SentencePieceProcessor(model_file=str(source / "tokenizer.ckpt"))
    assert Vocabulary(loaded).sha256 == vocabulary.sha256
    text = (source / "hyperparams.yaml").read_text()
    text = text.replace("sentencepiece.SentencePieceProcessor", "speechbrain.dataio.encoder.CTCTextEncoder")
    (source / "hyperparams.yaml").write_text(text.replace("        tokenizer: !ref <tokenizer>\n", ""))
    with pytest.raises(TeacherError, match="CTCTextEncoder; expected a SentencePiece model"):
        teachers.register_teacher("ann", str(source), tmp_path / "ann")
