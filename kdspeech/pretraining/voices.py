"""Draws synthetic voices: an accent of English, a speaker, a pitch, a liveliness and a rate."""

import numpy as np

from kdspeech.config import VoicesConfig
from kdspeech.simulation.draws import draw_logarithmically
from kdspeech.simulation.speakers import taken_variants
from kdspeech.simulation.synthesiser import Synthesiser, Voice

# espeak-ng's accents of English: General American, New York, British, Received Pronunciation, Scotland, Lancashire,
# West Midlands and the Caribbean.
ACCENTS = (
    "en-us",
    "en-us-nyc",
    "en",
    "en-gb-x-rp",
    "en-gb-scotland",
    "en-gb-x-gbclan",
    "en-gb-x-gbcwmd",
    "en-029",
)
# Variants that no person sounds like, by the start of their names.
_UNNATURAL = ("robo", "UniRobot", "anikaRobot", "Demonic", "croak", "whisper")
_CRASHING = "rob"  # at low pitches it kills espeak-ng 1.52, and the process, without an error


def natural_variants(synthesiser: Synthesiser) -> tuple[str, ...]:
    """The synthesiser's speakers, without robots, demons, whispers and the simulated corpus'; "" is the plain one."""
    left_out = taken_variants() | {_CRASHING}
    names = (name for name in synthesiser.variants() if name not in left_out)
    return ("", *(name for name in names if not name.startswith(_UNNATURAL)))


def draw_voice(config: VoicesConfig, variants: tuple[str, ...], rng: np.random.Generator) -> Voice:
    """A voice whose every property is drawn by itself, evenly over its range; the rate evenly over its logarithm."""
    return Voice(
        language=str(rng.choice(ACCENTS)),
        variant=str(rng.choice(variants)),
        pitch=round(rng.uniform(*config.pitch)),
        pitch_range=round(rng.uniform(*config.pitch_range)),
        rate=round(draw_logarithmically(config.rate, rng)),
    )
