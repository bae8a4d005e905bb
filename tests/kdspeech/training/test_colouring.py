"""Each colour by itself, on signals whose result can be written down."""

import numpy as np
import pytest

from kdspeech.audio import SAMPLE_RATE
from kdspeech.config import ChannelConfig, ColouringConfig
from kdspeech.training.colouring import colour, coloured_noise, echo, transmit

PLAIN: dict[str, object] = {
    "speed": (1.0, 1.0),
    "silence_s": (0.0, 0.0),
    "reverb_share": 0.0,
    "equaliser_db": 0.0,
    "telephone_share": 0.0,
    "snr_db": (200.0, 200.0),
    "level_db": (-6.0, -6.0),
}


def plain_but(**changes: object) -> ColouringConfig:
    return ColouringConfig.model_validate({**PLAIN, **changes})


def white(seconds: float = 0.5) -> np.ndarray:
    return (0.1 * np.random.default_rng(0).standard_normal(int(seconds * SAMPLE_RATE))).astype(np.float32)


def coloured(waveform: np.ndarray, config: ColouringConfig, seed: int = 0, min_samples: int = 0) -> np.ndarray:
    return colour(waveform, config, np.random.default_rng(seed), min_samples)


def band_energy(waveform: np.ndarray, low_hz: float, high_hz: float) -> float:
    frequencies = np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE)
    inside = (frequencies >= low_hz) & (frequencies < high_hz)
    return float(np.mean(np.abs(np.fft.rfft(waveform))[inside] ** 2))


def test_without_colours_only_the_level_changes() -> None:
    waveform = white()
    expected = waveform / np.abs(waveform).max() * 10 ** (-6 / 20)
    np.testing.assert_allclose(coloured(waveform, plain_but()), expected, atol=1e-5)


def test_the_random_numbers_decide_everything() -> None:
    config = ColouringConfig(reverb_share=1.0, telephone_share=1.0)
    first, again, other = (coloured(white(), config, seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert first.shape != other.shape or not np.allclose(first, other)


def test_speed_shortens_and_silence_lengthens() -> None:
    assert len(coloured(white(), plain_but(speed=(1.25, 1.25)))) == pytest.approx(0.4 * SAMPLE_RATE, abs=2)
    longer = coloured(white(), plain_but(silence_s=(0.1, 0.1)))
    assert len(longer) == pytest.approx(0.7 * SAMPLE_RATE, abs=2)
    assert np.abs(longer[: int(0.09 * SAMPLE_RATE)]).max() < 1e-4 < np.abs(longer[int(0.1 * SAMPLE_RATE) :]).max()


def test_a_short_utterance_is_filled_up_with_silence_on_both_sides() -> None:
    waveform = white(0.1)
    filled = coloured(waveform, plain_but(), min_samples=2 * len(waveform))
    assert len(filled) == 2 * len(waveform)
    start = len(waveform) // 2
    expected = waveform / np.abs(waveform).max() * 10 ** (-6 / 20)
    np.testing.assert_allclose(filled[start : start + len(waveform)], expected, atol=1e-5)


def test_a_telephone_leaves_its_band_alone() -> None:
    line = plain_but(telephone_share=1.0, low_cut_hz=(200, 200), high_cut_hz=(3400, 3400))
    heard = coloured(white(), line)
    inside = band_energy(heard, 400, 3000)
    assert band_energy(heard, 3800, 8000) == pytest.approx(inside * 1e-6, rel=0.5)  # 60 dB down
    assert band_energy(heard, 200, 3400) == pytest.approx(inside, rel=0.1)
    assert band_energy(heard, 0, 100) < 0.1 * inside


def test_an_equaliser_stays_within_its_gain() -> None:
    plain, shaped = coloured(white(), plain_but()), coloured(white(), plain_but(equaliser_db=6.0))
    bands = [(low, low + 500) for low in range(0, 8000, 500)]
    gains = [10 * np.log10(band_energy(shaped, *band) / band_energy(plain, *band)) for band in bands]
    assert max(gains) - min(gains) > 1.0
    assert max(gains) - min(gains) < 12.0


@pytest.mark.parametrize("snr_db", [0.0, 20.0])
def test_noise_lies_below_the_speech_by_the_ratio(snr_db: float) -> None:
    tone = np.sin(2 * np.pi * 1000 * np.arange(SAMPLE_RATE) / SAMPLE_RATE).astype(np.float32)
    heard = coloured(tone, plain_but(snr_db=(snr_db, snr_db))).astype(np.float64)
    scale = heard @ tone / (tone @ tone)  # of the tone inside the mixture
    noise = heard - scale * tone
    assert 10 * np.log10(np.sum((scale * tone) ** 2) / np.sum(noise**2)) == pytest.approx(snr_db, abs=0.5)


@pytest.mark.parametrize(("slope", "ratio_db"), [(0.0, 0.0), (1.0, 3.0), (2.0, 6.0)])
def test_noise_falls_by_its_slope(slope: float, ratio_db: float) -> None:
    noise = coloured_noise(SAMPLE_RATE * 4, slope, np.random.default_rng(0))
    assert np.mean(noise**2) == pytest.approx(1.0)
    octave = 10 * np.log10(band_energy(noise, 990, 1010) / band_energy(noise, 1980, 2020))
    assert octave == pytest.approx(ratio_db, abs=1.5)


def test_an_echo_comes_after_the_sound_and_has_its_share() -> None:
    click = np.zeros(4000)
    click[1000] = 1.0
    heard = echo(click, decay_s=0.1, share=0.5, rng=np.random.default_rng(0))
    np.testing.assert_allclose(heard[:1000], 0, atol=1e-9)
    assert heard[1000] == pytest.approx(1.0)
    assert np.sqrt(np.sum(heard[1001:] ** 2)) == pytest.approx(0.5, rel=0.05)
    np.testing.assert_allclose(heard[2600:], 0, atol=1e-9)
    assert np.sum(heard[1001:1400] ** 2) > 100 * np.sum(heard[2200:2600] ** 2)


@pytest.mark.parametrize("num_samples", [4000, 3989])  # 3989 is prime: transformed at another length than its own
def test_an_echo_is_the_convolution_with_the_room(num_samples: int) -> None:
    signal = white()[:num_samples].astype(np.float64)
    click = np.zeros(num_samples)
    click[0] = 1.0
    room = echo(click, decay_s=0.1, share=0.5, rng=np.random.default_rng(3))
    heard = echo(signal, decay_s=0.1, share=0.5, rng=np.random.default_rng(3))
    np.testing.assert_allclose(heard, np.convolve(signal, room)[:num_samples], atol=1e-9)


@pytest.mark.parametrize("num_samples", [2, 3989, 4000])
def test_a_channel_leaves_every_length_as_it_is(num_samples: int) -> None:
    config = ChannelConfig(reverb_share=1.0, telephone_share=1.0)
    heard = transmit(white()[:num_samples], num_samples, config, np.random.default_rng(0))
    assert heard.shape == (num_samples,)
    assert np.isfinite(heard).all()


def test_noise_of_any_length_is_as_loud_from_end_to_end() -> None:
    rows = np.stack([coloured_noise(3989, 1.0, np.random.default_rng(seed)) for seed in range(300)])
    power = np.mean(rows**2, axis=0)  # at each sample, over the draws
    ends = np.concatenate([power[:50], power[-50:]])
    assert np.mean(ends) == pytest.approx(np.mean(power[1000:-1000]), rel=0.1)


def test_a_channel_moves_nothing_in_time() -> None:
    """Teachers' frames stay where they are: click for click, whatever the room, the equaliser and the telephone do."""
    clicks = np.zeros(SAMPLE_RATE // 2, dtype=np.float32)
    clicks[[1_000, 4_000, 7_000]] = 1.0
    config = ChannelConfig(reverb_share=1.0, telephone_share=1.0, snr_db=(60, 60))
    heard = transmit(clicks, len(clicks), config, np.random.default_rng(0))
    assert len(heard) == len(clicks)
    for place in (1_000, 4_000, 7_000):
        nearby = np.abs(heard[place - 900 : place + 2_000])
        assert int(nearby.argmax()) == 900


def test_to_colour_without_speed_and_silence_is_to_transmit() -> None:
    waveform = white()
    channel = ChannelConfig(reverb_share=1.0, telephone_share=1.0)
    config = ColouringConfig(**channel.model_dump(), speed=(1.0, 1.0), silence_s=(0.0, 0.0))
    rng = np.random.default_rng(5)
    rng.uniform(size=3)  # the speed and two silences
    np.testing.assert_array_equal(transmit(waveform, len(waveform), channel, rng), coloured(waveform, config, seed=5))
