"""One way in for audio: mono, 16 kHz, and every broken file refused by name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kdspeech.audio import SAMPLE_RATE, SAMPLES_PER_FEATURE_FRAME, WINDOW_STRIDE_S, load_audio, read_recording
from kdspeech.errors import AudioError


def _sine(frequency: float, duration_s: float, rate: int) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency * np.arange(round(duration_s * rate)) / rate)


def test_constants_agree() -> None:
    assert SAMPLES_PER_FEATURE_FRAME == SAMPLE_RATE * WINDOW_STRIDE_S


def test_sixteen_kilohertz_mono_comes_back_as_written(tmp_path: Path) -> None:
    samples = _sine(440, 0.5, SAMPLE_RATE).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", samples, SAMPLE_RATE, subtype="FLOAT")
    waveform = load_audio(tmp_path / "a.wav")
    assert waveform.dtype == np.float32
    np.testing.assert_array_equal(waveform, samples)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100])
def test_other_rates_are_resampled_to_the_same_signal(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", _sine(440, 1.0, rate), rate, subtype="FLOAT")
    waveform = load_audio(tmp_path / "a.wav")
    assert len(waveform) == SAMPLE_RATE
    inner = slice(1000, -1000)  # the resampler's edges aside
    np.testing.assert_allclose(waveform[inner], _sine(440, 1.0, SAMPLE_RATE)[inner], atol=1e-3)


def test_channels_are_averaged(tmp_path: Path) -> None:
    left, right = np.full(800, 0.5), np.full(800, -0.25)
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), SAMPLE_RATE, subtype="FLOAT")
    np.testing.assert_allclose(load_audio(tmp_path / "a.wav"), 0.125)


def test_flac_is_read(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.flac", _sine(440, 0.1, SAMPLE_RATE), SAMPLE_RATE)
    assert len(load_audio(tmp_path / "a.flac")) == 1600


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match=r"gone\.wav: the audio file does not exist"):
        load_audio(tmp_path / "gone.wav")


def test_a_file_that_is_not_audio_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("no audio")
    with pytest.raises(AudioError, match=r"a\.wav: not a readable audio file"):
        load_audio(tmp_path / "a.wav")


def test_a_file_of_no_bytes_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    with pytest.raises(AudioError, match=r"a\.wav"):
        load_audio(tmp_path / "a.wav")


def test_a_recording_without_samples_is_refused(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0), SAMPLE_RATE)
    with pytest.raises(AudioError, match=r"a\.wav: the recording is empty"):
        load_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_recording_cut_short_is_refused(tmp_path: Path, write_wav: Callable[..., Path], suffix: str) -> None:
    path = write_wav(tmp_path / f"a.{suffix}")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(AudioError, match=rf"a\.{suffix}: "):
        load_audio(path)


@pytest.mark.parametrize("length", [0x7FFFF000, 0x80000000, 0xFFFFFFFF])
def test_a_wave_file_whose_length_was_never_written_is_read(
    tmp_path: Path, write_wav: Callable[..., Path], length: int
) -> None:
    """Recorders that write to a pipe do not know how long the data will be, and each has its own number for that."""
    path = write_wav(tmp_path / "a.wav", duration_s=0.5)
    content = bytearray(path.read_bytes())
    start = content.index(b"data") + 4
    content[start : start + 4] = length.to_bytes(4, "little")
    path.write_bytes(content)
    assert len(load_audio(path)) == 8_000


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    samples = _sine(440, 0.1, SAMPLE_RATE)
    samples[7] = value
    soundfile.write(tmp_path / "a.wav", samples, SAMPLE_RATE, subtype="FLOAT")
    with pytest.raises(AudioError, match=r"a\.wav: the recording holds NaN or infinite"):
        load_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("rate", [8_000, 11_025, 15_999, 22_050, 32_000, 44_100, 48_000])
def test_the_length_is_known_without_resampling(tmp_path: Path, rate: int) -> None:
    for length in (1, 2, 3, 441, 1_001, 12_345):
        soundfile.write(tmp_path / "a.wav", np.full(length, 0.1), rate)
        assert read_recording(tmp_path / "a.wav").num_samples == len(load_audio(tmp_path / "a.wav"))
