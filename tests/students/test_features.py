"""Features without their band means: the channel is gone, the contrast between bands stays."""

from pathlib import Path

import pytest
import torch

from kdspeech import students
from kdspeech.config import StudentConfig
from kdspeech.errors import ConfigError
from kdspeech.students.nemo_import import quiet_nemo
from kdspeech.vocabulary import Vocabulary

pytestmark = pytest.mark.slow  # NeMo takes ten seconds to import


def normalised(features: torch.Tensor, num_frames: list[int]) -> torch.Tensor:
    with quiet_nemo():
        from kdspeech.students.features import subtract_band_means

    return subtract_band_means(features, torch.tensor(num_frames))


def test_each_band_has_mean_zero_and_the_utterance_one_scale() -> None:
    features = torch.tensor([[[1.0, 3.0, 99.0], [10.0, 18.0, -7.0]]])  # the third frame is padding
    # Deviations from the band means 2 and 14 are 1 and 4: their mean square is (1 + 16) / 2.
    scale = (17 / 2) ** 0.5
    expected = torch.tensor([[[-1.0, 1.0, 0.0], [-4.0, 4.0, 0.0]]]) / scale
    torch.testing.assert_close(normalised(features, [2]), expected, atol=1e-4, rtol=0)


def test_a_channel_and_a_level_change_nothing() -> None:
    features = torch.randn(1, 5, 20, generator=torch.Generator().manual_seed(0))
    channel = torch.tensor([3.0, -2.0, 0.5, 7.0, -4.0])[None, :, None]
    torch.testing.assert_close(normalised(features + channel, [20]), normalised(features, [20]))


def test_silence_stays_finite_and_padding_changes_nothing() -> None:
    assert normalised(torch.full((1, 3, 4), -16.0), [4]).abs().max() == 0
    features = torch.randn(2, 3, 6, generator=torch.Generator().manual_seed(1))
    alone = normalised(features[:1, :, :4], [4])
    torch.testing.assert_close(normalised(features, [4, 6])[:1, :, :4], alone)


def test_the_recipe_s_setting_chooses_these_features(tiny_config: StudentConfig, vocabulary: Vocabulary) -> None:
    waveforms = torch.randn(1, 8000, generator=torch.Generator().manual_seed(2)) * 0.1
    lengths = torch.tensor([8000])
    plain = students.build_student(tiny_config, vocabulary, seed=0)
    student = students.build_student(
        tiny_config.model_copy(update={"preprocessor_config": {"normalize": "mean"}}), vocabulary, seed=0
    )
    features, num_frames = student.encoder.preprocessor(input_signal=waveforms, length=lengths)
    variances = features[0, :, : num_frames[0]].var(dim=1, unbiased=False)
    assert features[0, :, : num_frames[0]].mean(dim=1).abs().max() < 1e-4
    assert variances.mean() == pytest.approx(1.0, abs=1e-3)
    assert variances.max() - variances.min() > 0.01  # NeMo's own makes all of them 1
    assert type(plain.encoder.preprocessor) is not type(student.encoder.preprocessor)
    assert student.num_frames(lengths).tolist() == plain.num_frames(lengths).tolist()


def test_it_cannot_be_exported(tiny_config: StudentConfig, vocabulary: Vocabulary, tmp_path: Path) -> None:
    from kdspeech.students.nemo_export import nemo_config

    config = tiny_config.model_copy(update={"preprocessor_config": {"normalize": "mean"}})
    with pytest.raises(ConfigError, match="NeMo cannot restore"):
        nemo_config(config, vocabulary, tmp_path, 32)
