"""NeMo models as teachers: tiny random ones, saved as .nemo files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdspeech import teachers
from kdspeech.errors import TeacherError
from kdspeech.model_folders.teacher_folder import read_teacher_card
from kdspeech.protocols import Teacher
from kdspeech.vocabulary import Vocabulary

pytestmark = pytest.mark.slow

PREPROCESSOR = {
    "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
    "sample_rate": 16_000, "normalize": "per_feature", "window_size": 0.025, "window_stride": 0.01,
    "features": 40, "n_fft": 512, "pad_to": 0,
}  # fmt: skip
ENCODER = {
    "_target_": "nemo.collections.asr.modules.ConformerEncoder",
    "feat_in": 40, "n_layers": 1, "d_model": 16, "n_heads": 2, "ff_expansion_factor": 2, "conv_kernel_size": 5,
    "subsampling": "striding", "subsampling_factor": 4, "subsampling_conv_channels": 8,
}  # fmt: skip
CTC_HEAD = {
    "_target_": "nemo.collections.asr.modules.ConvASRDecoder",
    "feat_in": 16, "num_classes": -1, "vocabulary": [],
}  # fmt: skip
TRANSDUCER = {
    "model_defaults": {"enc_hidden": 16, "pred_hidden": 16, "joint_hidden": 16},
    "decoder": {
        "_target_": "nemo.collections.asr.modules.RNNTDecoder",
        "prednet": {"pred_hidden": 16, "pred_rnn_layers": 1, "t_max": None, "dropout": 0.0},
    },
    "joint": {
        "_target_": "nemo.collections.asr.modules.RNNTJoint", "log_softmax": None, "fuse_loss_wer": False,
        "jointnet": {"joint_hidden": 16, "activation": "relu", "dropout": 0.0},
    },
    "decoding": {"strategy": "greedy", "greedy": {"max_symbols": 5}},
    "loss": {"loss_name": "default"},
}  # fmt: skip
AUXILIARY = {
    "aux_ctc": {
        "ctc_loss_weight": 0.3, "use_cer": False, "ctc_reduction": "mean_batch",
        "decoder": CTC_HEAD, "decoding": {"strategy": "greedy"},
    }
}  # fmt: skip


@pytest.fixture(scope="module")
def models(vocabulary: Vocabulary, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Any, Path]]:
    """ctc, hybrid, transducer -> the model and its .nemo file."""
    from omegaconf import OmegaConf

    from kdspeech.teachers.toolkits import import_nemo_asr

    nemo_models = import_nemo_asr().models
    folder = tmp_path_factory.mktemp("nemo")
    vocabulary.save(folder / "tokenizer")
    shared = {
        "sample_rate": 16_000,
        "tokenizer": {"dir": str(folder / "tokenizer"), "type": "bpe"},
        "preprocessor": PREPROCESSOR,
        "encoder": ENCODER,
        "optim": {"name": "adamw"},
    }
    kinds: dict[str, tuple[Any, dict[str, Any]]] = {
        "ctc": (nemo_models.EncDecCTCModelBPE, {"decoder": CTC_HEAD}),
        "hybrid": (nemo_models.EncDecHybridRNNTCTCBPEModel, {**TRANSDUCER, **AUXILIARY}),
        "transducer": (nemo_models.EncDecRNNTBPEModel, TRANSDUCER),
    }
    made = {}
    for name, (kind, own) in kinds.items():
        torch.manual_seed(1)
        model = kind(cfg=OmegaConf.create({**shared, **own})).eval()
        model.save_to(str(folder / f"{name}.nemo"))
        made[name] = (model, folder / f"{name}.nemo")
    return made


def registered(speaker: str, source: Path, folder: Path) -> Teacher:
    teachers.register_teacher(speaker, str(source), folder)
    return teachers.load_teacher(folder)


def noise(seconds: float, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, int(16_000 * seconds)).astype(np.float32)


def forward(model: Any, waveform: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    signal = torch.from_numpy(waveform.copy())[None]
    with torch.inference_mode():
        outputs = model.forward(input_signal=signal, input_signal_length=torch.tensor([signal.shape[1]]))
    return outputs[0], outputs[1]


def test_ctc_log_probs_are_the_models_own(models: dict[str, Any], vocabulary: Vocabulary, tmp_path: Path) -> None:
    model, file = models["ctc"]
    teacher = registered("ann", file, tmp_path)
    waveform = noise(0.83)
    log_probs, num_frames = forward(model, waveform)
    scores = teacher.score([waveform], [vocabulary.encode("one")])[0]
    assert scores.decoder_log_probs is None
    assert scores.ctc_log_probs is not None
    assert scores.ctc_log_probs.shape == (int(num_frames[0]), vocabulary.num_columns)
    np.testing.assert_allclose(scores.ctc_log_probs, log_probs[0, : num_frames[0]].numpy(), atol=1e-5)
    assert teacher.frame_shift_s == pytest.approx(0.04)
    assert teacher.vocabulary.sha256 == vocabulary.sha256


def test_card_of_a_users_own_says_that_its_speakers_are_unknown(models: dict[str, Any], tmp_path: Path) -> None:
    registered("ann", models["ctc"][1], tmp_path)
    card = read_teacher_card(tmp_path)
    assert (card.teacher_id, card.backend, card.speakers) == ("ann", "nemo", None)
    assert card.source == str(models["ctc"][1])


def test_hybrid_teaches_by_its_ctc_head(models: dict[str, Any], vocabulary: Vocabulary, tmp_path: Path) -> None:
    model, file = models["hybrid"]
    waveform = noise(0.5)
    encoded, num_frames = forward(model, waveform)
    with torch.inference_mode():
        expected = model.ctc_decoder(encoder_output=encoded)[0, : num_frames[0]].numpy()
    scores = registered("ann", file, tmp_path).score([waveform], [vocabulary.encode("one")])[0]
    assert scores.ctc_log_probs is not None
    np.testing.assert_allclose(scores.ctc_log_probs, expected, atol=1e-5)


def test_pure_transducer_is_refused(models: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match="pure transducer"):
        teachers.register_teacher("ann", str(models["transducer"][1]), tmp_path)
    assert not list(tmp_path.iterdir())


def test_padding_changes_nothing(models: dict[str, Any], tmp_path: Path) -> None:
    teacher = registered("ann", models["ctc"][1], tmp_path)
    waveforms = [noise(0.31, 1), noise(1.7, 2), noise(0.9, 3)]
    together = teacher.score(waveforms, [[], [], []])
    for waveform, scores in zip(waveforms, together, strict=True):
        alone = teacher.score([waveform], [[]])[0]
        assert scores.ctc_log_probs is not None
        assert alone.ctc_log_probs is not None
        np.testing.assert_allclose(scores.ctc_log_probs, alone.ctc_log_probs, atol=1e-4)
        assert [h.text for h in scores.hypotheses] == [h.text for h in alone.hypotheses]


def test_file_that_is_no_nemo_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "broken.nemo").write_bytes(b"no archive")
    with pytest.raises(TeacherError, match=r"broken\.nemo.* cannot be loaded"):
        teachers.register_teacher("ann", str(tmp_path / "broken.nemo"), tmp_path / "ann")
