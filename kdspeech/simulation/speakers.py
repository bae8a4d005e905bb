"""The simulated speakers: UASpeech's fifteen, each with an espeak-ng voice and one severity."""

from dataclasses import dataclass

from kdspeech.corpora.uaspeech_speakers import DYSARTHRIC, SPEAKERS
from kdspeech.errors import KdspeechError
from kdspeech.simulation.draws import uniform
from kdspeech.simulation.synthesiser import Voice

# Speaker -> espeak-ng variant and severity of the dysarthria (0 none, 1 the most). The severities are calibrated by how
# well recognisers of other speakers understand each speaker of the real corpus: experiments/calibrate_simulated.py.
_CAST: dict[str, tuple[str, float]] = {
    "M04": ("m8", 1.0),
    "F03": ("f1", 0.95),
    "M12": ("david", 0.97),
    "M01": ("m2", 1.0),
    "M07": ("m4", 0.75),
    "F02": ("f2", 0.83),
    "M16": ("m5", 0.55),
    "M05": ("m6", 0.57),
    "F04": ("f3", 0.38),
    "M11": ("m7", 0.56),
    "M09": ("m1", 0.07),
    "M14": ("m3", 0.17),
    "M08": ("benjamin", 0.05),
    "M10": ("adam", 0.0),
    "F05": ("f4", 0.02),
}
# Of every band, M08 among them: enough to show what teachers of other speakers can do.
SMALL_CAST = ("M01", "F02", "M05", "F04", "M08", "F05")

_FEMALE_SCALE = 1.15  # formants of women over those of men, about (Peterson & Barney 1952)
# Of the voices without dysarthria; each speaker has a place in these ranges.
_PITCH, _RANGE, _RATE = (30, 70), (30, 70), (145, 185)
_PERIOD_S = {"F": 1 / 190, "M": 1 / 95}  # of an average voice


@dataclass(frozen=True)
class SimulatedSpeaker:
    """One speaker: a voice, and how severe the dysarthria is."""

    name: str  # as in UASpeech
    voice: Voice  # without dysarthria
    severity: float  # 0-1

    @property
    def band(self) -> str:
        """The real speaker's intelligibility band."""
        return SPEAKERS[self.name].band

    @property
    def formant_scale(self) -> float:
        """Of the neutral vowel's formants, against a man's."""
        return _FEMALE_SCALE if SPEAKERS[self.name].sex == "F" else 1.0

    @property
    def period_s(self) -> float:
        """Of the voice, in seconds, about."""
        return _PERIOD_S[SPEAKERS[self.name].sex]


def simulated_speaker(name: str) -> SimulatedSpeaker:
    """The speaker of that name.

    Raises:
        KdspeechError: there is none.
    """
    if name not in _CAST:
        raise KdspeechError(f"there is no simulated speaker {name!r}. Known: {', '.join(all_names())}.")
    variant, severity = _CAST[name]
    pitch, pitch_range, rate = (
        round(low + (high - low) * uniform(name, what))
        for what, (low, high) in (("pitch", _PITCH), ("pitch range", _RANGE), ("rate", _RATE))
    )
    return SimulatedSpeaker(name, Voice("en-us", variant, pitch, pitch_range, rate), severity)


def taken_variants() -> frozenset[str]:
    """The synthesiser's variants that these speakers have for a voice: whoever is to be unheard must not use them."""
    return frozenset(variant for variant, _ in _CAST.values())


def all_names() -> tuple[str, ...]:
    """The fifteen speakers, in the order of UASpeech's table: least understood first."""
    return tuple(speaker.name for speaker in DYSARTHRIC)
