"""Measures of recordings, against signals whose measures are known."""

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kdspeech.corpora.measuring import LOWEST_DBFS, FileState, Measured, measure
from kdspeech.files import sha256_of_file


def _measured(path: Path) -> Measured:
    return measure(str(path), FileState.of(str(path)))


def _write(path: Path, samples: np.ndarray, rate: int = 16_000, subtype: str = "PCM_16") -> Path:
    soundfile.write(path, samples, rate, subtype=subtype)
    return path


def _sine(amplitude: float, duration_s: float = 1.0, rate: int = 16_000) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * 200 * np.arange(round(duration_s * rate)) / rate)


@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
def test_level_and_peak_of_a_sine(tmp_path: Path, rate: int) -> None:
    row = _measured(_write(tmp_path / "a.wav", _sine(0.5, rate=rate), rate))
    assert row.level_dbfs == pytest.approx(20 * math.log10(0.5 / math.sqrt(2)), abs=0.01)
    assert row.peak_dbfs == pytest.approx(20 * math.log10(0.5), abs=0.05)
    assert (row.clipped_share, row.silent_share) == (0.0, 0.0)
    assert (row.rate, row.channels, row.duration_s, row.fault) == (rate, 1, 1.0, "")
    assert row.audio_sha256 == sha256_of_file(tmp_path / "a.wav")


def test_the_level_is_of_the_mean_of_the_channels_and_the_peak_of_any(tmp_path: Path) -> None:
    row = _measured(_write(tmp_path / "a.wav", np.stack([_sine(0.5), np.zeros(16_000)], axis=1)))
    assert row.channels == 2
    assert row.level_dbfs == pytest.approx(20 * math.log10(0.25 / math.sqrt(2)), abs=0.01)
    assert row.peak_dbfs == pytest.approx(20 * math.log10(0.5), abs=0.05)


@pytest.mark.parametrize(("subtype", "largest"), [("PCM_16", 32_767 / 32_768), ("PCM_U8", 127 / 128), ("FLOAT", 1.0)])
def test_a_tenth_of_the_samples_at_full_scale(tmp_path: Path, subtype: str, largest: float) -> None:
    samples = np.full(1_000, 0.25)
    samples[:60], samples[60:100] = largest, -1.0
    row = _measured(_write(tmp_path / "a.wav", samples, subtype=subtype))
    assert row.clipped_share == pytest.approx(0.1)
    samples[:100] = 0.9
    assert _measured(_write(tmp_path / "b.wav", samples, subtype=subtype)).clipped_share == 0.0


@pytest.mark.parametrize("rest", [0.0, 10 ** (-41 / 20)])
def test_frames_far_below_the_loudest_are_silent(tmp_path: Path, rest: float) -> None:
    """Three quarters at -41 dB, or nothing, after one quarter of a square wave."""
    samples = np.full(16_000, 0.5 * rest)
    samples[:4_000] = 0.5
    assert _measured(_write(tmp_path / "a.wav", samples, subtype="FLOAT")).silent_share == 0.75


def test_frames_not_so_far_below_the_loudest_are_not(tmp_path: Path) -> None:
    samples = np.full(16_000, 0.5 * 10 ** (-39 / 20))
    samples[:4_000] = 0.5
    assert _measured(_write(tmp_path / "a.wav", samples, subtype="FLOAT")).silent_share == 0.0


def test_digital_silence_has_a_level_that_json_can_hold(tmp_path: Path) -> None:
    row = _measured(_write(tmp_path / "a.wav", np.zeros(1_600)))
    assert (row.level_dbfs, row.peak_dbfs, row.silent_share) == (LOWEST_DBFS, LOWEST_DBFS, 1.0)


def test_a_recording_shorter_than_a_frame_has_one(tmp_path: Path) -> None:
    row = _measured(_write(tmp_path / "a.wav", np.full(7, 0.5)))
    assert (row.num_samples, row.silent_share) == (7, 0.0)


def test_what_cannot_be_opened_is_tried_again_the_next_time(tmp_path: Path) -> None:
    gone = _measured(tmp_path / "gone.wav")
    (tmp_path / "folder.wav").mkdir()
    folder = _measured(tmp_path / "folder.wav")
    assert (gone.fault_kind, folder.fault_kind) == ("missing", "unreadable")
    assert "gone.wav: the audio file does not exist" in gone.fault
    assert gone.size == folder.size == -1
