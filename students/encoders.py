"""NeMo encoders: built from a recipe, or taken from a .nemo file or a published model.

Shapes: B batch, N samples, T encoder frames, D model size, V vocabulary.
"""

import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig, OmegaConf
from torch import nn

from kdspeech import console
from kdspeech.audio import SAMPLE_RATE, WINDOW_SIZE_S, WINDOW_STRIDE_S
from kdspeech.config import Range, StudentConfig
from kdspeech.errors import ConfigError, KdspeechError, VocabularyError
from kdspeech.protocols import Encoded
from kdspeech.students.nemo_import import quiet_nemo
from kdspeech.students.vocal_tract import band_centres_hz, draw_factors, warp_bands
from kdspeech.vocabulary import Vocabulary

MEAN_NORMALIZED = "mean"  # as `normalize` in a preprocessor's settings, beside NeMo's own values
_COUNTABLE_SUBSAMPLINGS = ("striding", "dw_striding")


class MelEncoder(nn.Module):
    """Log-mel features (normalised per utterance), varied while training, and a NeMo Conformer.

    Padding never changes an output: samples after an utterance's length are set to zero first.
    """

    preprocessor: Any  # NeMo's AudioToMelSpectrogramPreprocessor
    encoder: Any  # NeMo's ConformerEncoder

    def __init__(
        self,
        preprocessor: nn.Module,
        spec_augment: nn.Module | None,
        encoder: nn.Module,
        intermediate_layer: int | None = None,
        vocal_tract: Range | None = None,
    ) -> None:
        """Puts the parts together.

        Args:
            intermediate_layer: (from 1) whose states come out beside the last one's.
            vocal_tract: smallest and largest factor on an utterance's frequencies while training.
        """
        super().__init__()
        self._vocal_tract = vocal_tract
        self._intermediate_layer = intermediate_layer
        self.preprocessor, self.encoder, self.spec_augment = preprocessor, encoder, spec_augment
        featurizer = self.preprocessor.featurizer
        featurizer.dither = 0.0  # NeMo adds dither to the caller's waveform in place
        featurizer.pad_to = 0  # the batch is padded to its longest utterance and no further
        self.size: int = self.encoder.d_model
        self.frame_shift_s: float = featurizer.hop_length * self.encoder.subsampling_factor / SAMPLE_RATE
        self._check_subsampling()
        num_layers = len(self.encoder.layers)
        if intermediate_layer is not None and intermediate_layer >= num_layers:
            raise ConfigError(
                f"student.intermediate_layer is {intermediate_layer}; the encoder has {num_layers} layers, expected "
                "one before the last."
            )

    def _check_subsampling(self) -> None:
        kind = getattr(self.encoder.pre_encode, "_subsampling", type(self.encoder.pre_encode).__name__)
        reduced = self.encoder.reduction_position is not None
        if reduced or kind not in _COUNTABLE_SUBSAMPLINGS:
            raise ConfigError(
                f"the encoder subsamples by {kind}{' and a later reduction' if reduced else ''}: its frame count would "
                f"depend on padding, or cannot be foretold. Expected {' or '.join(_COUNTABLE_SUBSAMPLINGS)} alone."
            )

    def forward(self, waveforms: torch.Tensor, lengths: torch.Tensor) -> Encoded:
        """waveforms [B, N], lengths int64 [B] -> states [B, T, D]; states after an utterance's end are zero."""
        inside = torch.arange(waveforms.shape[1], device=waveforms.device) < lengths[:, None]  # [B, N]
        features, num_features = self.preprocessor(input_signal=waveforms.masked_fill(~inside, 0.0), length=lengths)
        if self.training and self._vocal_tract is not None:
            factors = draw_factors(len(features), self._vocal_tract).to(features.device)
            features = warp_bands(features, band_centres_hz(self.preprocessor.featurizer.fb), factors)
        if self.training and self.spec_augment is not None:
            features = self.spec_augment(input_spec=features, length=num_features)
        with self._captured() as captured:
            states, num_frames = self.encoder(audio_signal=features, length=num_features)  # [B, D, T]
        states = states.transpose(1, 2)  # [B, T, D]
        valid = torch.arange(states.shape[1], device=states.device) < num_frames[:, None]  # [B, T]
        intermediate = captured[0].masked_fill(~valid[..., None], 0.0) if captured else None
        return Encoded(states.masked_fill(~valid[..., None], 0.0), num_frames.to(torch.int64), intermediate)

    @contextmanager
    def _captured(self) -> Iterator[list[torch.Tensor]]:
        """Collects what the intermediate layer gives, [B, T, D]."""
        found: list[torch.Tensor] = []
        if self._intermediate_layer is None:
            yield found
            return
        layer = self.encoder.layers[self._intermediate_layer - 1]
        hook = layer.register_forward_hook(lambda module, inputs, states: found.append(states))
        try:
            yield found
        finally:
            hook.remove()

    def num_frames(self, lengths: torch.Tensor) -> torch.Tensor:
        """Encoder frames of utterances of `lengths` samples, without running the encoder; int64 [B]."""
        with quiet_nemo():
            from nemo.collections.asr.parts.submodules.subsampling import calc_length
        pre_encode = self.encoder.pre_encode
        frames = calc_length(
            self.preprocessor.featurizer.get_seq_len(lengths),
            all_paddings=pre_encode._left_padding + pre_encode._right_padding,
            kernel_size=pre_encode._kernel_size,
            stride=pre_encode._stride,
            ceil_mode=pre_encode._ceil_mode,
            repeat_num=pre_encode._sampling_num,
        )
        return frames.to(torch.int64)


@dataclass(frozen=True)
class StartingPoint:
    """An encoder, and the CTC head that came with it if it shares the student's vocabulary."""

    encoder: MelEncoder
    config: StudentConfig  # rebuilds the same architecture without any checkpoint
    ctc_weight: torch.Tensor | None = None  # [V+1, D], blank last
    ctc_bias: torch.Tensor | None = None  # [V+1]


def build_encoder(config: StudentConfig, vocabulary: Vocabulary) -> StartingPoint:
    """The encoder that a recipe names.

    Raises:
        ConfigError: settings that NeMo's ConformerEncoder or SpectrogramAugmentation refuse.
        KdspeechError: a checkpoint that is missing, unreachable or of another kind.
    """
    with quiet_nemo():
        if config.encoder is not None:
            return _from_checkpoint(config, vocabulary)
        from nemo.collections.asr.modules import ConformerEncoder

        features = preprocessor_settings(config)
        preprocessor = _construct("student.preprocessor_config", preprocessor_class(features), features)
        settings = {"feat_in": features["features"], **(config.encoder_config or {})}
        encoder = _construct("student.encoder_config", ConformerEncoder, settings)
        mel_encoder = _mel_encoder(preprocessor, encoder, config)
        return StartingPoint(mel_encoder, config)


def _mel_encoder(preprocessor: nn.Module, encoder: nn.Module, config: StudentConfig) -> MelEncoder:
    """With what the recipe does to features while training."""
    return MelEncoder(preprocessor, _spec_augment(config), encoder, config.intermediate_layer, config.vocal_tract)


def preprocessor_settings(config: StudentConfig) -> dict[str, Any]:
    """Keyword arguments of `preprocessor_class`."""
    return {
        "sample_rate": SAMPLE_RATE,
        "window_size": WINDOW_SIZE_S,
        "window_stride": WINDOW_STRIDE_S,
        "n_fft": 512,
        "features": config.num_mels,
        **(config.preprocessor_config or {}),
    }


def preprocessor_class(settings: Mapping[str, Any]) -> type[nn.Module]:
    """NeMo's own preprocessor, or the one of `normalize: mean`, which NeMo does not have."""
    from nemo.collections.asr.modules import AudioToMelSpectrogramPreprocessor

    from kdspeech.students.features import MeanNormalizedMel

    return MeanNormalizedMel if settings.get("normalize") == MEAN_NORMALIZED else AudioToMelSpectrogramPreprocessor


def _construct(key: str, factory: Callable[..., nn.Module], settings: dict[str, Any]) -> nn.Module:
    try:
        return factory(**settings)
    except (TypeError, ValueError, AssertionError) as error:  # NeMo asserts on settings
        raise ConfigError(f"{key}: NeMo refuses these settings ({error}). Correct the recipe.") from error


def _spec_augment(config: StudentConfig) -> nn.Module | None:
    from nemo.collections.asr.modules import SpectrogramAugmentation

    if not config.spec_augment:
        return None
    settings = config.spec_augment
    if settings.get("rect_masks") or not settings.get("use_vectorized_spec_augment", True):
        raise ConfigError(
            "student.spec_augment: NeMo draws rect_masks, and masks that are not vectorised, from a generator that no "
            "seed reaches, so that no run could be made again. Leave out rect_masks and use_vectorized_spec_augment."
        )
    return _construct("student.spec_augment", SpectrogramAugmentation, config.spec_augment)


def _from_checkpoint(config: StudentConfig, vocabulary: Vocabulary) -> StartingPoint:
    from nemo.collections.asr.modules import AudioToMelSpectrogramPreprocessor, ConformerEncoder

    source = str(config.encoder)
    model = _load_nemo(source)
    encoder, preprocessor = getattr(model, "encoder", None), getattr(model, "preprocessor", None)
    if not isinstance(encoder, ConformerEncoder) or not isinstance(preprocessor, AudioToMelSpectrogramPreprocessor):
        raise KdspeechError(
            f"{source} is a {type(model).__name__} with encoder {type(encoder).__name__}; expected a NeMo ASR model "
            "with a ConformerEncoder on mel spectrograms. Name another model in student.encoder."
        )
    if preprocessor._sample_rate != SAMPLE_RATE:
        raise KdspeechError(f"{source} was made for {preprocessor._sample_rate} Hz; expected {SAMPLE_RATE} Hz.")
    rebuilt = config.model_copy(
        update={
            "encoder": None,
            "encoder_config": _plain(model.cfg.encoder),
            "preprocessor_config": _plain(model.cfg.preprocessor),
        }
    )
    _remark_on_features(config, _plain(model.cfg.preprocessor), source)
    mel_encoder = _mel_encoder(preprocessor, encoder, config)
    head = _ctc_projection(model)
    if head is None or not _same_vocabulary(model, vocabulary):
        return StartingPoint(mel_encoder, rebuilt)
    return StartingPoint(mel_encoder, rebuilt, head.weight.detach().squeeze(-1).clone(), _bias(head))


def _remark_on_features(config: StudentConfig, own: Mapping[str, Any], source: str) -> None:
    """A checkpoint brings its own features: names what the recipe, and so the run's config.json, has otherwise."""
    wanted = {"features": config.num_mels, **(config.preprocessor_config or {})}
    unused = [f"{name}={own.get(name)}, not {value}" for name, value in wanted.items() if own.get(name) != value]
    if unused:
        console.remark(f"{source} brings its own features; the recipe's are not used: {'; '.join(unused)}.")


def _plain(section: DictConfig) -> dict[str, Any]:
    """A section of a NeMo model's config as keyword arguments."""
    values = OmegaConf.to_container(section, resolve=True)
    return {str(k): v for k, v in values.items() if k != "_target_"} if isinstance(values, dict) else {}


def _load_nemo(source: str) -> Any:
    """A NeMo model in memory, on the CPU, from a file that exists or a published name."""
    from nemo.collections.asr.models import ASRModel

    path = Path(source)
    if path.exists():
        try:
            return ASRModel.restore_from(str(path), map_location="cpu")
        except (RuntimeError, OSError, ValueError, KeyError, ImportError, tarfile.TarError) as error:
            raise KdspeechError(f"{path} is not a NeMo ASR model that can be restored: {error}") from error
    if source.endswith(".nemo") or source.startswith((".", "/", "~")):
        raise KdspeechError(f"{path} does not exist. Correct student.encoder, or name a published NeMo model.")
    try:
        return ASRModel.from_pretrained(source, map_location="cpu")
    except (OSError, ValueError, RuntimeError) as error:  # huggingface_hub's own errors derive from these
        raise _unreachable(source) from error
    except ImportError as error:
        raise KdspeechError(f"{source}: NeMo cannot load it ({error}).") from error


def _unreachable(source: str) -> KdspeechError:
    offline = " (HF_HUB_OFFLINE is set)" if os.environ.get("HF_HUB_OFFLINE") == "1" else ""
    return KdspeechError(
        f"cannot fetch the published NeMo model {source!r}{offline}: no such name, or no connection. Download its "
        ".nemo file elsewhere and give --set student.encoder=FILE.nemo."
    )


def _ctc_projection(model: Any) -> nn.Conv1d | None:
    """The 1x1 convolution of a CTC or hybrid model's CTC head; None for a pure transducer."""
    head = getattr(model, "ctc_decoder", None) or getattr(model, "decoder", None)
    layers = getattr(head, "decoder_layers", None)
    return layers[0] if isinstance(layers, nn.Sequential) and isinstance(layers[0], nn.Conv1d) else None


def _same_vocabulary(model: Any, vocabulary: Vocabulary) -> bool:
    processor = getattr(getattr(model, "tokenizer", None), "tokenizer", None)
    try:
        return processor is not None and Vocabulary(processor).sha256 == vocabulary.sha256
    except (AttributeError, VocabularyError):  # a tokenizer that is not SentencePiece
        return False


def _bias(head: nn.Conv1d) -> torch.Tensor:
    if head.bias is None:
        return torch.zeros(head.out_channels)
    return head.bias.detach().clone()
