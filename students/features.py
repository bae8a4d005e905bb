"""Log-mel features whose bands lose their mean, and keep their contrast.

NeMo's own `per_feature` normalisation also scales each mel band to variance 1 over the utterance. A recording of one
word is too short for that: the scale says which sounds the word has, and bands without speech become as loud as others.

Shapes: B batch, N samples, F mel bands, T feature frames.
"""

from typing import Any

import torch
from nemo.collections.asr.modules import AudioToMelSpectrogramPreprocessor

_TINY = 1e-5


class MeanNormalizedMel(AudioToMelSpectrogramPreprocessor):
    """NeMo's preprocessor with another normalisation. No .nemo file can hold it: NeMo restores its own classes only."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "normalize": "none"})

    def get_features(self, input_signal: torch.Tensor, length: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """waveforms [B, N], lengths int64 [B] in samples -> features [B, F, T], number of frames int64 [B]."""
        features, num_frames = super().get_features(input_signal, length)
        return subtract_band_means(features, num_frames), num_frames


def subtract_band_means(features: torch.Tensor, num_frames: torch.Tensor) -> torch.Tensor:
    """Takes each band's mean over an utterance from it, and divides the whole utterance by one standard deviation.

    The mean holds the channel, which is a factor on the spectrum (cepstral mean subtraction: Atal 1974, Furui 1981).
    One scale for all bands keeps the contrast between them.

    Args:
        features: log-mel [B, F, T]; frames after an utterance's end may hold anything.
        num_frames: int64 [B].

    Returns:
        [B, F, T], zeros after each utterance's end.
    """
    inside = (torch.arange(features.shape[2], device=features.device) < num_frames[:, None])[:, None]  # [B, 1, T]
    count = num_frames.clamp(min=1)[:, None, None]  # [B, 1, 1]
    mean = features.masked_fill(~inside, 0.0).sum(2, keepdim=True) / count  # [B, F, 1]
    centred = (features - mean).masked_fill(~inside, 0.0)
    variance = centred.square().mean(1, keepdim=True).sum(2, keepdim=True) / count  # [B, 1, 1]
    return centred / (variance.sqrt() + _TINY)
