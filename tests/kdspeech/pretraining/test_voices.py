"""Voices are drawn inside their ranges, and from people."""

import numpy as np
import pytest

from kdspeech.config import VoicesConfig
from kdspeech.pretraining.voices import ACCENTS, draw_voice, natural_variants
from kdspeech.simulation.draws import draw_logarithmically
from kdspeech.simulation.speakers import all_names, simulated_speaker
from kdspeech.simulation.synthesiser import Voice, synthesiser


def test_every_property_varies_within_its_range() -> None:
    rng = np.random.default_rng(0)
    config = VoicesConfig(pitch=(20, 40), pitch_range=(10, 90), rate=(120, 300))
    drawn = [draw_voice(config, ("", "f2", "m3"), rng) for _ in range(300)]
    assert {voice.variant for voice in drawn} == {"", "f2", "m3"}
    assert {voice.language for voice in drawn} == set(ACCENTS)
    for name, (low, high) in (("pitch", (20, 40)), ("pitch_range", (10, 90)), ("rate", (120, 300))):
        values = [getattr(voice, name) for voice in drawn]
        assert low <= min(values) < max(values) <= high
        assert max(values) - min(values) > 0.8 * (high - low)


def test_rates_are_even_over_their_logarithm() -> None:
    rng = np.random.default_rng(0)
    rates = [draw_logarithmically((100, 400), rng) for _ in range(4000)]
    assert np.mean(np.array(rates) < 200) == pytest.approx(0.5, abs=0.03)


def test_every_accent_is_spoken_and_no_robot_is_drawn() -> None:
    pytest.importorskip("espeakng_loader")
    speaker = synthesiser()
    variants = natural_variants(speaker)
    assert {"", "f5", "Andy"} <= set(variants)
    assert not {simulated_speaker(name).voice.variant for name in all_names()} & set(variants)
    assert not any("obot" in name or "robo" in name or "whisper" in name for name in variants)
    spoken = [speaker.speak("seven", Voice(language=accent)) for accent in ACCENTS]
    assert all(len(waveform) > 3000 for waveform in spoken)
