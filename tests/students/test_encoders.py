"""Encoders from NeMo checkpoints: grafting, the vocabulary they came with, and clear refusals."""

from pathlib import Path
from typing import Any

import pytest
import torch

from kdspeech import students
from kdspeech.config import StudentConfig
from kdspeech.errors import ConfigError, KdspeechError
from kdspeech.students.encoders import build_encoder
from kdspeech.students.nemo_import import quiet_nemo
from kdspeech.vocabulary import Vocabulary

pytestmark = pytest.mark.slow  # NeMo takes ten seconds to import

FEATURES = {
    "sample_rate": 16_000,
    "normalize": "per_feature",
    "window_size": 0.025,
    "window_stride": 0.01,
    "features": 20,
}


def nemo_config(vocabulary_dir: Path, num_pieces: int, encoder: dict[str, Any]) -> dict[str, Any]:
    """Config of a tiny EncDecCTCModelBPE, dither and padding as published models have them."""
    return {
        "sample_rate": 16_000,
        "tokenizer": {"dir": str(vocabulary_dir), "type": "bpe"},
        "preprocessor": {
            "_target_": "nemo.collections.asr.modules.AudioToMelSpectrogramPreprocessor",
            **FEATURES,
            "dither": 1e-5,
            "pad_to": 16,
        },
        "encoder": {"_target_": "nemo.collections.asr.modules.ConformerEncoder", "feat_in": 20, **encoder},
        "decoder": {
            "_target_": "nemo.collections.asr.modules.ConvASRDecoder",
            "feat_in": encoder["d_model"],
            "num_classes": num_pieces,
        },
        "optim": {"name": "adamw", "lr": 1e-3},
    }


@pytest.fixture(scope="module")
def nemo_file(
    tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary, tiny_config: StudentConfig
) -> tuple[Path, Any]:
    """A tiny CTC model as a .nemo file, and the model itself."""
    folder = tmp_path_factory.mktemp("nemo")
    vocabulary.save(folder / "vocabulary")
    with quiet_nemo():
        from nemo.collections.asr.models import EncDecCTCModelBPE
        from omegaconf import OmegaConf

        config = nemo_config(folder / "vocabulary", vocabulary.size, tiny_config.encoder_config or {})
        torch.manual_seed(0)
        model = EncDecCTCModelBPE(cfg=OmegaConf.create(config)).eval()
        model.save_to(str(folder / "tiny.nemo"))
    return folder / "tiny.nemo", model


def from_file(config: StudentConfig, path: Path | str) -> StudentConfig:
    return config.model_copy(update={"encoder": str(path), "encoder_config": None})


def test_same_vocabulary_keeps_the_ctc_head(
    nemo_file: tuple[Path, Any], tiny_config: StudentConfig, vocabulary: Vocabulary
) -> None:
    path, model = nemo_file
    student = students.build_student(from_file(tiny_config, path), vocabulary, seed=0).eval()
    waveforms, lengths = 0.1 * torch.randn(2, 16_000), torch.tensor([16_000, 9_000])
    waveforms[1, 9_000:] = 0
    with torch.inference_mode():
        theirs, their_frames, _ = model(input_signal=waveforms, input_signal_length=lengths)
        ours = student(waveforms, lengths)
    assert ours.num_frames.tolist() == their_frames.tolist()
    for row, num_frames in enumerate(their_frames.tolist()):
        torch.testing.assert_close(ours.ctc_log_probs[row, :num_frames], theirs[row, :num_frames], rtol=0, atol=1e-4)


def test_features_that_a_checkpoint_does_not_have_are_named(
    nemo_file: tuple[Path, Any], tiny_config: StudentConfig, vocabulary: Vocabulary, capsys: pytest.CaptureFixture[str]
) -> None:
    config = from_file(tiny_config, nemo_file[0])
    build_encoder(config, vocabulary)
    assert "brings its own features" not in capsys.readouterr().err
    build_encoder(config.model_copy(update={"preprocessor_config": {"normalize": "mean"}}), vocabulary)
    assert "the recipe's are not used: normalize=per_feature, not mean." in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["EncDecHybridRNNTCTCBPEModel", "EncDecRNNTBPEModel"])
def test_transducers_give_their_encoder_and_a_ctc_head_if_they_have_one(
    tmp_path: Path, tiny_config: StudentConfig, vocabulary: Vocabulary, kind: str
) -> None:
    vocabulary.save(tmp_path / "vocabulary")
    config = nemo_config(tmp_path / "vocabulary", vocabulary.size, tiny_config.encoder_config or {})
    head = {**config["decoder"], "vocabulary": []}
    config |= transducer_parts(head) if "Hybrid" in kind else {**transducer_parts(head), "aux_ctc": None}
    with quiet_nemo():
        from nemo.collections.asr import models
        from omegaconf import OmegaConf

        model = getattr(models, kind)(cfg=OmegaConf.create(config)).eval()
        model.save_to(str(tmp_path / "transducer.nemo"))
    student = students.build_student(from_file(tiny_config, tmp_path / "transducer.nemo"), vocabulary, seed=0)
    for key, value in model.encoder.state_dict().items():
        assert torch.equal(student.encoder.encoder.state_dict()[key], value)
    if "Hybrid" in kind:
        assert torch.equal(student.ctc_head.weight, model.ctc_decoder.decoder_layers[0].weight.squeeze(-1))


def transducer_parts(ctc_head: dict[str, Any]) -> dict[str, Any]:
    """What a tiny RNN transducer has instead of a CTC decoder, with a CTC head beside it."""
    modules = "nemo.collections.asr.modules"
    return {
        "model_defaults": {"enc_hidden": 32, "pred_hidden": 16, "joint_hidden": 16},
        "decoder": {
            "_target_": f"{modules}.RNNTDecoder",
            "normalization_mode": None,
            "random_state_sampling": False,
            "blank_as_pad": True,
            "prednet": {"pred_hidden": 16, "pred_rnn_layers": 1},
        },
        "joint": {
            "_target_": f"{modules}.RNNTJoint",
            "log_softmax": None,
            "preserve_memory": False,
            "jointnet": {"joint_hidden": 16, "activation": "relu", "dropout": 0.0},
        },
        "decoding": {"strategy": "greedy_batch", "greedy": {"max_symbols": 5}},
        "loss": {"loss_name": "pytorch"},
        "aux_ctc": {"ctc_loss_weight": 0.3, "decoder": ctc_head, "decoding": {"strategy": "greedy"}},
    }


def test_another_vocabulary_keeps_the_encoder_and_a_new_head(
    nemo_file: tuple[Path, Any], tiny_config: StudentConfig
) -> None:
    path, model = nemo_file
    other = Vocabulary.train(("cat", "dog", "bird"), size=30, model_type="bpe")
    student = students.build_student(from_file(tiny_config, path), other, seed=0)
    assert student.ctc_head.out_features == other.num_columns
    for key, value in model.encoder.state_dict().items():
        assert torch.equal(student.encoder.encoder.state_dict()[key], value)


def test_a_trained_student_needs_no_checkpoint_to_be_rebuilt(
    nemo_file: tuple[Path, Any], tiny_config: StudentConfig, vocabulary: Vocabulary
) -> None:
    student = students.build_student(from_file(tiny_config, nemo_file[0]), vocabulary, seed=0).eval()
    assert student.config.encoder is None
    stored = StudentConfig.model_validate_json(student.config.model_dump_json())
    rebuilt = students.build_student(stored, vocabulary, seed=1).eval()
    rebuilt.load_state_dict(student.state_dict())
    waveforms, lengths = 0.1 * torch.randn(1, 8_000), torch.tensor([8_000])
    with torch.inference_mode():
        assert torch.equal(student(waveforms, lengths).ctc_log_probs, rebuilt(waveforms, lengths).ctc_log_probs)


def test_checkpoints_that_cannot_be_had(tmp_path: Path, tiny_config: StudentConfig, vocabulary: Vocabulary) -> None:
    def refused(source: Path | str) -> str:
        with pytest.raises(KdspeechError) as error:
            students.build_student(from_file(tiny_config, source), vocabulary, seed=0)
        return str(error.value)

    assert "missing.nemo does not exist" in refused(tmp_path / "missing.nemo")
    (tmp_path / "broken.nemo").write_bytes(b"not an archive")
    assert "broken.nemo is not a NeMo ASR model" in refused(tmp_path / "broken.nemo")
    unreachable = refused("nvidia/no_such_model")
    assert "cannot fetch the published NeMo model 'nvidia/no_such_model'" in unreachable
    assert "student.encoder=FILE.nemo" in unreachable


def test_settings_that_nemo_refuses(tiny_config: StudentConfig, vocabulary: Vocabulary) -> None:
    def refused(key: str, **settings: Any) -> str:
        config = tiny_config.model_copy(update={key: {**(getattr(tiny_config, key) or {}), **settings}})
        with pytest.raises(ConfigError) as error:
            students.build_student(config, vocabulary, seed=0)
        return str(error.value)

    assert "student.encoder_config: NeMo refuses" in refused("encoder_config", no_such_setting=1)
    assert "student.spec_augment: NeMo refuses" in refused("spec_augment", no_such_setting=1)
    assert "a generator that no seed reaches" in refused("spec_augment", rect_masks=3)
    assert "a generator that no seed reaches" in refused("spec_augment", use_vectorized_spec_augment=False)
    assert "would depend on padding" in refused("encoder_config", subsampling="stacking")


def test_nemo_is_quiet(
    nemo_file: tuple[Path, Any], tiny_config: StudentConfig, vocabulary: Vocabulary, capfd: pytest.CaptureFixture[str]
) -> None:
    students.build_student(from_file(tiny_config, nemo_file[0]), vocabulary, seed=0)
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
