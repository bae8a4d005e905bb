"""The synthesiser speaks: the right length and pitch, the same sound twice, and clear refusals."""

import sys
import time

import numpy as np
import pytest

from kdspeech.audio import SAMPLE_RATE
from kdspeech.errors import KdspeechError
from kdspeech.simulation.synthesiser import Synthesiser, Voice, synthesiser, trim_silence

pytest.importorskip("espeakng_loader")


def _pitch_hz(waveform: np.ndarray) -> float:
    """Highest autocorrelation peak between 60 and 400 Hz, of the loudest 60 ms."""
    width = round(0.06 * SAMPLE_RATE)
    energy = np.convolve(waveform**2, np.ones(width), mode="valid")
    start = int(energy.argmax())
    frame = waveform[start : start + width]
    correlation = np.correlate(frame, frame, "full")[width - 1 :]
    shortest, longest = SAMPLE_RATE // 400, SAMPLE_RATE // 60
    return SAMPLE_RATE / (shortest + int(correlation[shortest:longest].argmax()))


def test_two_words_are_spoken_in_their_time() -> None:
    short, long = synthesiser().speak("up", Voice()), synthesiser().speak("capability", Voice())
    for waveform in (short, long):
        assert waveform.dtype == np.float32
        assert waveform.ndim == 1
        assert 0.1 < np.abs(waveform).max() < 1
    assert 0.1 < len(short) / SAMPLE_RATE < 0.5
    assert 0.5 < len(long) / SAMPLE_RATE < 1.2


def test_the_ends_are_trimmed() -> None:
    waveform = synthesiser().speak("zero", Voice())
    for end in (waveform[: SAMPLE_RATE // 50], waveform[-SAMPLE_RATE // 50 :]):
        assert np.abs(end).max() >= 0.01 * np.abs(waveform).max()


def test_the_same_call_gives_the_same_samples_whatever_came_before() -> None:
    voices = [Voice(variant=variant) for variant in ("m3", "f2", "whisper", "Reed", "caleb", "victor")]
    first = [synthesiser().speak("thesis", voice) for voice in voices]
    synthesiser().speak("something else", Voice(variant="f4", rate=250, pitch=90))
    time.sleep(1.1)  # left to itself, espeak-ng takes its random numbers from the clock
    for voice, before in zip(voices, first, strict=True):
        np.testing.assert_array_equal(synthesiser().speak("thesis", voice), before)


def test_pitch_rate_and_variant_are_heard() -> None:
    low, high = (synthesiser().speak("hour", Voice(pitch=pitch, pitch_range=0)) for pitch in (10, 90))
    assert _pitch_hz(high) > 1.3 * _pitch_hz(low)
    slow, quick = (synthesiser().speak("hour", Voice(rate=rate)) for rate in (100, 200))
    assert len(slow) > 1.4 * len(quick)
    man, woman = (synthesiser().speak("hour", Voice(variant=variant)) for variant in ("m3", "f2"))
    assert _pitch_hz(woman) > 1.3 * _pitch_hz(man)


def test_phonemes_can_be_read_and_spoken() -> None:
    phonemes = synthesiser().phonemes("strength", Voice())
    assert phonemes == ("s", "t", "r", "'E", "N", "T")
    spelled = synthesiser().speak(f"[[{''.join(phonemes)}]]", Voice())
    written = synthesiser().speak("strength", Voice())
    assert len(spelled) == pytest.approx(len(written), rel=0.05)


def test_unknown_voices_and_silence_are_refused() -> None:
    with pytest.raises(KdspeechError, match=r"unknown voice variant 'f99'.*f2"):
        synthesiser().speak("zero", Voice(variant="f99"))
    with pytest.raises(KdspeechError, match="no voice for language 'klingon-x'"):
        synthesiser().speak("zero", Voice(language="klingon-x"))
    with pytest.raises(KdspeechError, match="nothing to say"):
        synthesiser().speak("", Voice())
    with pytest.raises(KdspeechError, match="pitch must lie in 0-100, found 101"):
        Voice(pitch=101)
    with pytest.raises(KdspeechError, match="rate must lie in 80-450"):
        Voice(rate=20)


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(KdspeechError, match=r"pip install 'kdspeech\[demo\]'"):
        Synthesiser()


def test_trimming_keeps_what_is_loud() -> None:
    waveform = np.concatenate([np.full(1000, 0.001), np.ones(500), np.full(1000, 0.001)]).astype(np.float32)
    assert len(trim_silence(waveform)) == 500 + 2 * SAMPLE_RATE // 200
    assert len(trim_silence(np.zeros(10, np.float32))) == 10
