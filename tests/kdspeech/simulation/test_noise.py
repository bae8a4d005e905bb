"""Breath, room and microphone have the asked levels."""

import numpy as np
import pytest

from kdspeech.audio import SAMPLE_RATE
from kdspeech.simulation.noise import add_background, add_breath, equalise


def _tone(hertz: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(SAMPLE_RATE) / SAMPLE_RATE)).astype(np.float32)


@pytest.mark.parametrize("add", [add_breath, add_background])
@pytest.mark.parametrize("ratio_db", [5.0, 30.0])
def test_noise_is_as_far_below_the_voice_as_asked(add: type, ratio_db: float) -> None:
    waveform = _tone(200)
    added = add(waveform, ratio_db, np.random.default_rng(0)) - waveform
    assert 10 * np.log10((waveform**2).sum() / (added**2).sum()) == pytest.approx(ratio_db, abs=0.05)


def test_breath_is_high_and_falls_silent_with_the_voice() -> None:
    waveform = _tone(200)
    waveform[SAMPLE_RATE // 2 :] = 0
    breath = add_breath(waveform, 10.0, np.random.default_rng(0)) - waveform
    assert (breath[: SAMPLE_RATE // 2] ** 2).sum() > 1000 * (breath[-SAMPLE_RATE // 4 :] ** 2).sum()
    power = np.abs(np.fft.rfft(breath)) ** 2
    assert power[1500:].sum() > 10 * power[:1500].sum()


def test_the_room_is_low_and_steady() -> None:
    room = add_background(_tone(200), 30.0, np.random.default_rng(0)) - _tone(200)
    power = np.abs(np.fft.rfft(room)) ** 2
    assert power[:2000].sum() > 2 * power[2000:].sum()
    halves = np.split(room, 2)
    assert (halves[0] ** 2).sum() == pytest.approx((halves[1] ** 2).sum(), rel=0.2)


def test_silence_stays_silent() -> None:
    assert not add_breath(np.zeros(100, np.float32), 10.0, np.random.default_rng(0)).any()


@pytest.mark.parametrize(("hertz", "gain_db"), [(300.0, 6.0), (3000.0, -6.0)])
def test_a_channel_has_the_asked_gains_and_no_delay(hertz: float, gain_db: float) -> None:
    tone = _tone(hertz)
    heard = equalise(tone, np.array([300.0, 1000.0, 3000.0]), np.array([6.0, 0.0, -6.0]))
    middle = slice(1000, -1000)
    np.testing.assert_allclose(heard[middle], tone[middle] * 10 ** (gain_db / 20), atol=0.02)
