"""Tiny students and NeMo models."""

from typing import Any

import pytest

from kdspeech.config import StudentConfig

TINY_ENCODER: dict[str, Any] = {
    "n_layers": 2,
    "d_model": 32,
    "n_heads": 2,
    "ff_expansion_factor": 2,
    "conv_kernel_size": 5,
    "subsampling": "striding",
    "subsampling_factor": 4,
    "subsampling_conv_channels": 8,
}


@pytest.fixture(scope="session")
def tiny_config() -> StudentConfig:
    """A Conformer of two layers, with SpecAugment."""
    return StudentConfig(
        encoder_config=TINY_ENCODER,
        num_mels=20,
        decoder_layers=2,
        decoder_heads=2,
        decoder_feed_forward=48,
        spec_augment={"freq_masks": 1, "freq_width": 5, "time_masks": 1, "time_width": 0.1},
    )
