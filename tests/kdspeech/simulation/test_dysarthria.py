"""One severity drives every sign, each production is its own, and the same names give the same bytes."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from kdspeech.audio import SAMPLE_RATE
from kdspeech.simulation.dysarthria import STEADY, Production, SeverityModel, produce, record
from kdspeech.simulation.speakers import SimulatedSpeaker, all_names, simulated_speaker

pytest.importorskip("espeakng_loader")

MODEL = SeverityModel()
# Signs that fall as severity rises; the other ones rise, but for those that stay.
_FALLING = {"tempo", "breath_db"}


def _produced(speaker: SimulatedSpeaker, block: str = "B1", model: SeverityModel = MODEL, seed: int = 0) -> np.ndarray:
    return produce(Production(speaker, block, "C1", "command"), model, seed)


def _only(**signs: float) -> SeverityModel:
    """A model of which only these signs are there, at every severity, and nothing varies."""
    healthy = replace(MODEL.mild, jitter=0.0, shimmer_db=0.0, breath_db=80.0, tract_warp=0.0, variability=0.0)
    condition = replace(healthy, **signs)
    return SeverityModel(mild=condition, severe=condition)


def _pitches_hz(waveform: np.ndarray) -> np.ndarray:
    """Pitch of the loud frames of 60 ms, by autocorrelation."""
    found = []
    for start in range(0, len(waveform) - 960, 160):
        frame = waveform[start : start + 960] - waveform[start : start + 960].mean()
        if (frame**2).mean() < 0.3 * (waveform**2).mean():
            continue
        correlation = np.correlate(frame, frame, "full")[959:]
        lag = 40 + int(correlation[40:270].argmax())
        if correlation[lag] > 0.6 * correlation[0]:
            found.append(SAMPLE_RATE / lag)
    return np.array(found)


def test_every_sign_moves_one_way_with_severity() -> None:
    steps = [asdict(MODEL.at(severity)) for severity in (0.0, 0.25, 0.5, 0.75, 1.0)]
    for sign in steps[0]:
        differences = np.diff([step[sign] for step in steps])
        if sign in STEADY:
            assert not differences.any(), sign
        else:
            assert (differences < 0).all() if sign in _FALLING else (differences > 0).all(), sign


def test_the_ends_of_the_model_are_what_it_says() -> None:
    assert MODEL.at(0.0) == MODEL.mild
    assert asdict(MODEL.at(1.0)) == pytest.approx(asdict(MODEL.severe))
    half = SeverityModel(replace(MODEL.mild, tempo=1.0), replace(MODEL.severe, tempo=0.4)).at(0.5)
    assert half.tempo == pytest.approx(0.7)


def test_tempo_changes_the_duration_by_its_factor() -> None:
    speaker = simulated_speaker("M08")
    whole, slow = (len(_produced(speaker, model=_only(tempo=tempo))) for tempo in (1.0, 0.5))
    assert slow == pytest.approx(2 * whole, rel=0.01)


def test_flattening_narrows_the_range_of_pitch() -> None:
    speaker = simulated_speaker("M08")
    ranges = []
    for flattening in (0.0, 0.5, 1.0):
        pitches = _pitches_hz(_produced(speaker, model=_only(flattening=flattening)))
        assert len(pitches) > 10
        ranges.append(np.percentile(pitches, 90) / np.percentile(pitches, 10))
    assert ranges[0] > ranges[1] > ranges[2]
    assert ranges[2] < 1.06 < 1.1 < ranges[0]


def test_more_severe_speakers_take_longer_for_the_same_word() -> None:
    speaker = simulated_speaker("M04")
    lengths = [
        np.mean([len(_produced(replace(speaker, severity=severity), block)) for block in ("B1", "B2", "B3")])
        for severity in (0.0, 0.5, 1.0)
    ]
    assert lengths[0] < lengths[1] < lengths[2]


def test_the_same_names_give_the_same_samples_in_any_order() -> None:
    speaker = simulated_speaker("F03")
    first = _produced(speaker)
    _produced(simulated_speaker("M04"), "B2")
    np.testing.assert_array_equal(_produced(speaker), first)


def test_another_block_speaker_or_seed_is_another_production() -> None:
    speaker = simulated_speaker("F03")
    first = _produced(speaker)
    for other in (_produced(speaker, "B2"), _produced(simulated_speaker("F02")), _produced(speaker, seed=1)):
        assert len(other) != len(first) or not np.array_equal(other, first)


def test_productions_of_one_word_vary_more_with_severity() -> None:
    def spread(severity: float) -> float:
        speaker = replace(simulated_speaker("M01"), severity=severity)
        keys = [(block, key) for block in ("B1", "B2", "B3") for key in ("C1", "C2", "C3")]
        lengths = [len(produce(Production(speaker, block, key, "command"), MODEL, 0)) for block, key in keys]
        return float(np.std(lengths) / np.mean(lengths))

    assert spread(0.0) < spread(0.5) < spread(1.0)


def test_a_microphone_hears_its_own_channel_of_the_same_production() -> None:
    production = Production(simulated_speaker("M08"), "B1", "C1", "command")
    waveform = produce(production, MODEL, 0)
    heard = {name: record(waveform, production, name, MODEL, 0) for name in ("M5", "M6")}
    for samples in heard.values():
        assert samples.dtype == np.float32
        assert len(waveform) + 0.12 * SAMPLE_RATE < len(samples) < len(waveform) + 0.36 * SAMPLE_RATE
        assert 0.05 < np.abs(samples).max() <= 0.99
    spectra = [np.abs(np.fft.rfft(samples, 1 << 15)) for samples in heard.values()]
    gains_db = 20 * np.log10(spectra[0] / spectra[1])
    assert np.ptp([np.median(gains_db[low : low + 2000]) for low in range(0, 14000, 2000)]) > 2.0


def test_a_speaker_is_the_same_voice_everywhere() -> None:
    assert simulated_speaker("M08") == simulated_speaker("M08")
    voices = [simulated_speaker(name).voice for name in all_names()]
    assert len(set(voices)) == len({voice.variant for voice in voices}) == 15
