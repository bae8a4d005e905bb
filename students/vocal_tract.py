"""Other vocal tracts: a spectrogram's frequencies, stretched.

Jaitly & Hinton, "Vocal tract length perturbation improves speech recognition", ICML workshop on deep learning 2013.

Shapes: B batch, F mel bands, T feature frames, N frequencies.
"""

import math

import torch

from kdspeech.audio import SAMPLE_RATE
from kdspeech.config import Range

_NYQUIST_HZ = SAMPLE_RATE / 2
_FORMANTS_HZ = 4800.0  # below it frequencies are multiplied by the factor; above, they go straight to Nyquist's


def draw_factors(count: int, bounds: Range) -> torch.Tensor:
    """float32 [count], evenly over their logarithm; drawn on the CPU, so that every device hears the same."""
    low, high = (math.log(bound) for bound in bounds)
    return torch.empty(count).uniform_(low, high).exp()


def warped_hz(frequencies_hz: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """Where sounds at these frequencies [N] go in vocal tracts that multiply them by `factors` [B]: float32 [B, N].

    Section 3 of the paper: f a as far as 4,800 Hz min(a, 1) / a, from there in a straight line to Nyquist's frequency,
    which stays. The way back is that of 1 / a.
    """
    factors = factors[:, None]  # [B, 1]
    reached = _FORMANTS_HZ * factors.clamp(max=1.0)  # where the first line ends, [B, 1]
    bend = reached / factors
    beyond = _NYQUIST_HZ - (_NYQUIST_HZ - reached) / (_NYQUIST_HZ - bend) * (_NYQUIST_HZ - frequencies_hz)
    return torch.where(frequencies_hz <= bend, frequencies_hz * factors, beyond)


def band_centres_hz(filterbank: torch.Tensor) -> torch.Tensor:
    """filterbank [1, F, N] over 0 Hz to Nyquist's -> the centre of gravity of each band, float32 [F], rising."""
    weights = filterbank[0]
    frequencies = torch.linspace(0, _NYQUIST_HZ, weights.shape[1], device=weights.device)
    centres: torch.Tensor = (weights @ frequencies) / weights.sum(dim=1)
    return centres


def warp_bands(features: torch.Tensor, centres_hz: torch.Tensor, factors: torch.Tensor) -> torch.Tensor:
    """The features of speakers whose vocal tracts multiply all frequencies by `factors`.

    Args:
        features: log-mel [B, F, T], of any normalisation that keeps a band a band.
        centres_hz: [F], rising.
        factors: [B]; 1.1 is a shorter vocal tract.

    Returns:
        [B, F, T]: each band is what the place it comes from holds, between two bands by their distance.
    """
    wanted_hz = warped_hz(centres_hz, 1 / factors).clamp(centres_hz[0], centres_hz[-1])  # [B, F], where it comes from
    above = torch.searchsorted(centres_hz, wanted_hz.contiguous()).clamp(1, len(centres_hz) - 1)  # [B, F]
    low_hz, high_hz = centres_hz[above - 1], centres_hz[above]
    share = ((wanted_hz - low_hz) / (high_hz - low_hz))[..., None]  # [B, F, 1], of the upper one
    places = above[..., None].expand(-1, -1, features.shape[2])  # [B, F, T]
    return (1 - share) * features.gather(1, places - 1) + share * features.gather(1, places)
