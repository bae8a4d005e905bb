"""Other vocal tracts: where frequencies go, and that the bands go with them."""

import pytest
import torch

from kdspeech import students
from kdspeech.config import StudentConfig
from kdspeech.students.vocal_tract import band_centres_hz, draw_factors, warp_bands, warped_hz
from kdspeech.vocabulary import Vocabulary

LINEAR_HZ = torch.arange(0.0, 8001.0, 100.0)  # [81]


def test_frequencies_by_hand() -> None:
    # Jaitly & Hinton: below 4800 min(a, 1) / a times a; above in a straight line to 8000, which stays.
    frequencies = torch.tensor([0.0, 1000.0, 4000.0, 4800.0, 6400.0, 8000.0])
    longer, same, shorter = warped_hz(frequencies, torch.tensor([0.8, 1.0, 1.2]))
    assert longer.tolist() == pytest.approx([0, 800, 3200, 3840, 8000 - 1600 * 4160 / 3200, 8000])
    assert same.tolist() == pytest.approx(frequencies.tolist())
    assert shorter.tolist() == pytest.approx([0, 1200, 4800, 8000 - 3200 * 0.8, 8000 - 1600 * 0.8, 8000])


@pytest.mark.parametrize("factor", [0.8, 0.9, 1.1, 1.25])
def test_one_over_the_factor_leads_back(factor: float) -> None:
    there = warped_hz(LINEAR_HZ, torch.tensor([factor]))[0]
    back = warped_hz(there, torch.tensor([1 / factor]))[0]
    torch.testing.assert_close(back, LINEAR_HZ, atol=0.01, rtol=0)
    assert (there.diff() > 0).all()


def test_a_resonance_moves_by_its_speaker_s_factor() -> None:
    centres = LINEAR_HZ[1:-1]  # bands at 100, 200, ... 7900 Hz
    ridge = torch.exp(-(((centres - 2000) / 150) ** 2))[None, :, None].expand(3, -1, 4)  # a formant at 2 kHz
    heard = warp_bands(ridge, centres, torch.tensor([0.9, 1.0, 1.1]))
    assert heard.shape == (3, len(centres), 4)
    assert centres[heard[:, :, 0].argmax(dim=1)].tolist() == [1800.0, 2000.0, 2200.0]
    torch.testing.assert_close(heard[1], ridge[1])


def test_factors_stay_within_their_bounds_on_both_sides_of_one() -> None:
    torch.manual_seed(0)
    factors = draw_factors(1000, (0.8, 1.25))
    assert 0.8 <= float(factors.min()) < 0.82
    assert 1.2 < float(factors.max()) <= 1.25
    assert float(factors.log().mean()) == pytest.approx(0.0, abs=0.01)
    assert draw_factors(2, (1.1, 1.1)).tolist() == pytest.approx([1.1, 1.1])


@pytest.mark.slow  # NeMo takes ten seconds to import
def test_a_student_hears_other_tracts_while_it_learns_alone(tiny_config: StudentConfig, vocabulary: Vocabulary) -> None:
    config = tiny_config.model_copy(update={"vocal_tract": (1.2, 1.2), "spec_augment": None})
    student = students.build_student(config, vocabulary, seed=0)
    plain = students.build_student(config.model_copy(update={"vocal_tract": None}), vocabulary, seed=0)
    centres = band_centres_hz(student.encoder.preprocessor.featurizer.fb)
    assert torch.isfinite(centres).all()
    assert (centres.diff() > 0).all()
    heard: list[torch.Tensor] = []
    for model in (student, plain):
        model.encoder.encoder.register_forward_pre_hook(
            lambda module, args, kwargs: heard.append(kwargs["audio_signal"]), with_kwargs=True
        )
    waveforms, lengths = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0)), torch.tensor([8000, 8000])
    for model, learns in ((student, True), (plain, True), (student, False)):
        model.train(learns).encode(waveforms, lengths)
    learning, unchanged, listening = heard
    torch.testing.assert_close(learning, warp_bands(unchanged, centres, torch.tensor([1.2, 1.2])))
    torch.testing.assert_close(listening, unchanged)
    assert (learning - unchanged).abs().max() > 0.1
