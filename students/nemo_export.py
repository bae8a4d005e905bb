"""Writes a student's encoder and CTC head as a .nemo file that NeMo itself restores."""

import tempfile
from pathlib import Path
from typing import Any

import torch

from kdspeech.audio import SAMPLE_RATE
from kdspeech.config import StudentConfig
from kdspeech.errors import ConfigError
from kdspeech.files import atomic_path
from kdspeech.students.encoders import MEAN_NORMALIZED, preprocessor_settings
from kdspeech.students.hybrid import HybridStudent
from kdspeech.students.nemo_import import quiet_nemo
from kdspeech.vocabulary import Vocabulary

_MODULES = "nemo.collections.asr.modules"


def write_nemo(student: HybridStudent, path: Path) -> None:
    """Saves an EncDecCTCModelBPE of the student's features, encoder, CTC head and SentencePiece model.

    Its log-probs are the student's own; the student's decoder has no place in a .nemo file and is left out.
    """
    with tempfile.TemporaryDirectory() as folder, quiet_nemo():
        from nemo.collections.asr.models import EncDecCTCModelBPE
        from omegaconf import OmegaConf

        student.vocabulary.save(Path(folder))
        config = nemo_config(student.config, student.vocabulary, Path(folder), student.encoder.size)
        with torch.random.fork_rng(devices=[]):
            model = EncDecCTCModelBPE(cfg=OmegaConf.create(config)).eval()
        model.encoder.load_state_dict(student.encoder.encoder.state_dict())
        model.preprocessor.load_state_dict(student.encoder.preprocessor.state_dict())
        head = model.decoder.decoder_layers[0]  # a convolution of width 1
        with torch.no_grad():
            head.weight.copy_(student.ctc_head.weight[..., None])
            head.bias.copy_(student.ctc_head.bias)
        with atomic_path(path) as temporary:
            model.save_to(str(temporary))


def nemo_config(config: StudentConfig, vocabulary: Vocabulary, tokenizer: Path, encoder_size: int) -> dict[str, Any]:
    """A NeMo CTC model's config, as its own recipes write it.

    Raises:
        ConfigError: the student's settings name a checkpoint instead of an architecture, or features that NeMo lacks.
    """
    if config.encoder_config is None:
        raise ConfigError(f"student.encoder={config.encoder}: only an encoder that is described can be exported.")
    features = preprocessor_settings(config)
    if features.get("normalize") == MEAN_NORMALIZED:
        raise ConfigError(
            f"student.preprocessor_config.normalize={MEAN_NORMALIZED}: NeMo cannot restore a model of these features. "
            "Pretrain with normalize=per_feature."
        )
    return {
        "sample_rate": SAMPLE_RATE,
        "log_prediction": False,
        "tokenizer": {"dir": str(tokenizer), "type": "bpe"},
        "preprocessor": {
            "_target_": f"{_MODULES}.AudioToMelSpectrogramPreprocessor",
            **features,
            "dither": 0.0,
            "pad_to": 0,
        },
        "encoder": {
            "_target_": f"{_MODULES}.ConformerEncoder",
            "feat_in": features["features"],
            **config.encoder_config,
        },
        "decoder": {
            "_target_": f"{_MODULES}.ConvASRDecoder",
            "feat_in": encoder_size,
            "num_classes": vocabulary.size,
            "vocabulary": list(vocabulary.pieces),
        },
        "optim": {"name": "adamw", "lr": 1e-3},
    }
