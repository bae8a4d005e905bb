"""What lies between a mouth and a recogniser: tempo and vocal tract, silence, a room, a channel, noise, a level.

An encoder that has heard one synthesiser through one channel knows nothing of real recordings; varied like this,
simulated speech transfers (Peddinti et al. 2015 on simulated rooms and volumes; Ko et al. 2015 on speeds).

Shapes: N samples, F frequencies.
"""

import numpy as np
from scipy.fft import next_fast_len

from kdspeech.audio import SAMPLE_RATE, resample_to_speed
from kdspeech.config import ChannelConfig, ColouringConfig
from kdspeech.simulation.draws import draw_logarithmically

_EQUALISER_HZ = (0, 150, 300, 600, 1200, 2400, 4000, 8000)  # where gains are drawn; between them they glide
_LOG_OFFSET_HZ = 60  # bends the frequency axis like hearing: even below it, logarithmic above
_ROLL_OFF_HZ = 400  # above a telephone's high cut, down to _STOP_DB
_STOP_DB = 60
_LOW_STOP_DB = 24  # at 0 Hz, below a telephone's low cut
_ECHO_SHARE = (0.1, 0.7)  # amplitude of a room's echo, against the direct sound
_NOISE_SLOPES = (0.0, 2.0)  # power falls as 1/f^slope: white to brown
_TINY = 1e-9


def colour(waveform: np.ndarray, config: ColouringConfig, rng: np.random.Generator, min_samples: int = 0) -> np.ndarray:
    """One utterance, somewhere, through something.

    Args:
        waveform: float32 [N] at 16 kHz, without silence around it.
        min_samples: of the result; more silence makes up for a shorter one.

    Returns:
        float32 [M].
    """
    speech = resample_to_speed(waveform, draw_logarithmically(config.speed, rng)).astype(np.float64)
    return transmit(surround(speech, config, rng, min_samples), len(speech), config, rng)


def transmit(signal: np.ndarray, num_speech: int, config: ChannelConfig, rng: np.random.Generator) -> np.ndarray:
    """A recording in a room, through a channel, with noise, at some level: as long as before, nothing moved in time.

    Args:
        signal: [N] at 16 kHz.
        num_speech: of its samples that are speech, not silence around it: noise is measured against their power.

    Returns:
        float32 [N].
    """
    signal = signal.astype(np.float64)
    if rng.random() < config.reverb_share:
        signal = echo(signal, rng.uniform(*config.reverb_s), rng.uniform(*_ECHO_SHARE), rng)
    signal = filter_by_gain(signal, channel_gain_db(fast_length(len(signal)), config, rng))
    power = np.sum(signal**2) / num_speech  # what the channel left of it
    noise = coloured_noise(len(signal), rng.uniform(*_NOISE_SLOPES), rng)
    signal = signal + noise * np.sqrt(power) * 10 ** (-rng.uniform(*config.snr_db) / 20)
    peak = np.abs(signal).max() + _TINY
    return (signal / peak * 10 ** (rng.uniform(*config.level_db) / 20)).astype(np.float32)


def surround(speech: np.ndarray, config: ColouringConfig, rng: np.random.Generator, min_samples: int) -> np.ndarray:
    """Puts silence in front and behind."""
    before, after = (int(seconds * SAMPLE_RATE) for seconds in rng.uniform(*config.silence_s, size=2))
    missing = max(0, min_samples - before - len(speech) - after)
    return np.pad(speech, (before + missing // 2, after + missing - missing // 2))


def echo(signal: np.ndarray, decay_s: float, share: float, rng: np.random.Generator) -> np.ndarray:
    """A room of noise that decays by 60 dB in `decay_s` (Polack's model); the result is cut to the signal's length."""
    num_taps = max(2, int(decay_s * SAMPLE_RATE))
    tail = rng.standard_normal(num_taps) * 10 ** (-3 * np.arange(num_taps) / num_taps)
    response = share * tail / np.sqrt(np.sum(tail**2))
    response[0] = 1.0  # the direct sound
    size = fast_length(len(signal) + num_taps)
    return np.fft.irfft(np.fft.rfft(signal, size) * np.fft.rfft(response, size), size)[: len(signal)]


def channel_gain_db(num_samples: int, config: ChannelConfig, rng: np.random.Generator) -> np.ndarray:
    """A microphone's and a line's gain in dB [F] at the frequencies of a spectrum of `num_samples` samples."""
    frequencies = np.fft.rfftfreq(num_samples, 1 / SAMPLE_RATE)  # Hz [F]
    points = np.log(np.array(_EQUALISER_HZ) + _LOG_OFFSET_HZ)
    gains = rng.uniform(-config.equaliser_db, config.equaliser_db, size=len(points))
    gain_db = np.interp(np.log(frequencies + _LOG_OFFSET_HZ), points, gains)
    if rng.random() < config.telephone_share:
        low, high = rng.uniform(*config.low_cut_hz), rng.uniform(*config.high_cut_hz)
        gain_db = gain_db - _LOW_STOP_DB * np.clip((low - frequencies) / low, 0, 1)
        gain_db = gain_db - _STOP_DB * np.clip((frequencies - high) / _ROLL_OFF_HZ, 0, 1)
    return np.asarray(gain_db)


def filter_by_gain(signal: np.ndarray, gain_db: np.ndarray) -> np.ndarray:
    """signal [N], gain_db [F] of a spectrum of `fast_length(N)` samples -> [N]; linear phase: nothing is delayed."""
    size = fast_length(len(signal))
    return np.fft.irfft(np.fft.rfft(signal, size) * 10 ** (gain_db / 20), size)[: len(signal)]


def fast_length(num_samples: int) -> int:
    """The next number of samples whose Fourier transform is fast; large prime factors make it eight times as slow."""
    length: int = next_fast_len(num_samples, real=True)
    return length


def coloured_noise(num_samples: int, slope: float, rng: np.random.Generator) -> np.ndarray:
    """Noise [N] of power 1 whose spectrum falls as 1/f^slope."""
    size = fast_length(num_samples)
    frequencies = np.fft.rfftfreq(size, 1 / SAMPLE_RATE)
    frequencies[0] = frequencies[min(1, len(frequencies) - 1)]  # no division by 0 Hz
    spectrum = np.fft.rfft(rng.standard_normal(size)) * frequencies ** (-slope / 2)
    noise = np.fft.irfft(spectrum, size)[:num_samples]
    return np.asarray(noise / (np.sqrt(np.mean(noise**2)) + _TINY))
