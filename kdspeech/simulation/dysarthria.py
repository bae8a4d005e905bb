"""One severity and what it does to a voice: the model's knobs, and the way from a word to a waveform."""

from dataclasses import asdict, dataclass, replace

import numpy as np

from kdspeech.audio import SAMPLE_RATE
from kdspeech.simulation import noise, timing
from kdspeech.simulation.articulation import substitution_table
from kdspeech.simulation.draws import generator, uniform
from kdspeech.simulation.formants import NEUTRAL_HZ, FormantChange, reshape_formants
from kdspeech.simulation.speakers import SimulatedSpeaker
from kdspeech.simulation.synthesiser import Voice, synthesiser

_LOUDNESS = 0.05  # root mean square of an average word
_MAX_PEAK = 0.99
_CHANNEL_HZ = np.array([100.0, 300.0, 1000.0, 3000.0, 6000.0])
_PITCH_SPREAD = 4.0  # of espeak's 0-100 scale: one production against the next


@dataclass(frozen=True)
class Condition:
    """The signs of dysarthria in one speaker."""

    tempo: float  # of the voice's own; 0.4-0.9 is what is heard in dysarthria
    pauses: float  # mean number inside a word
    pause_s: float  # mean length of one
    tract_warp: float  # formants are scaled by 1 - this to 1 + this; the speaker's name decides
    centralisation: float  # of the first four formants: 0 leaves the vowels, 1 makes all of them neutral
    widening: float  # of the formants' bandwidths, a factor
    flattening: float  # of the pitch range: 0 leaves the melody, 1 makes a monotone
    jitter: float  # mean difference between neighbouring periods of the voice, as a share
    shimmer_db: float  # mean difference between their levels
    breath_db: float  # voice over breath
    substitution: float  # strength of the speaker's own table of wrong sounds
    slip: float  # share of the sounds that come out otherwise than usual, this time
    variability: float  # spread of tempo, pauses, centralisation, widening and breath over productions, as a share
    # Severity does not change what follows: STEADY.
    channel_db: float = 3.0  # spread of the gains of speaker and microphone
    background_db: float = 35.0  # voice over the room's noise
    level_db: float = 2.0  # spread of loudness over productions
    silence_s: float = 0.12  # mean silence before a word, and after it


STEADY = ("channel_db", "background_db", "level_db", "silence_s")  # the same at every severity


@dataclass(frozen=True)
class SeverityModel:
    """The knobs: each sign goes straight from `mild` at severity 0 to `severe` at severity 1. Calibrated as a whole."""

    mild: Condition = Condition(
        tempo=1.0,
        pauses=0.0,
        pause_s=0.06,
        tract_warp=0.02,
        centralisation=0.0,
        widening=1.0,
        flattening=0.0,
        jitter=0.005,
        shimmer_db=0.2,
        breath_db=35.0,
        substitution=0.0,
        slip=0.0,
        variability=0.03,
    )
    severe: Condition = Condition(
        tempo=0.4,
        pauses=2.0,
        pause_s=0.25,
        tract_warp=0.12,
        centralisation=0.8,
        widening=2.3,
        flattening=1.0,
        jitter=0.05,
        shimmer_db=2.0,
        breath_db=3.0,
        substitution=1.0,
        slip=0.4,
        variability=0.3,
    )

    def at(self, severity: float) -> Condition:
        """The signs at a severity between 0 and 1."""
        mild, severe = asdict(self.mild), asdict(self.severe)
        return Condition(**{sign: mild[sign] + (severe[sign] - mild[sign]) * severity for sign in mild})


@dataclass(frozen=True)
class Production:
    """One act of speaking: its name decides all that is random in it."""

    speaker: SimulatedSpeaker
    block: str  # B1, B2 or B3
    key: str  # of the word, as in UASpeech
    text: str


def produce(production: Production, model: SeverityModel, seed: int) -> np.ndarray:
    """What leaves the speaker's mouth.

    Returns:
        float32 waveform [N] at 16 kHz, without silence around it.
    """
    speaker = production.speaker
    usual = model.at(speaker.severity)
    random = generator(seed, speaker.name, production.block, production.key)
    now = _varied(usual, random)
    waveform = synthesiser().speak(_said(production, usual, seed, random), _voice(speaker.voice, usual, random))
    waveform = reshape_formants(waveform, _formant_change(speaker, now, seed))
    waveform = timing.stretch(waveform, now.tempo)
    waveform = timing.perturb_periods(waveform, speaker.period_s, now.jitter, now.shimmer_db, random)
    waveform = noise.add_breath(waveform, now.breath_db, random)
    count = random.poisson(now.pauses)
    times_s = random.uniform(0.15, 0.85, count) * len(waveform) / SAMPLE_RATE
    return timing.insert_pauses(waveform, times_s, random.gamma(4, now.pause_s / 4, count))


def record(
    waveform: np.ndarray, production: Production, microphone: str, model: SeverityModel, seed: int
) -> np.ndarray:
    """What a microphone hears of a production: its channel, which is the speaker's in every block, and the room.

    Args:
        waveform: float32 [N] of `produce`.

    Returns:
        float32 [N + silence], below full scale.
    """
    name = production.speaker.name
    usual = model.at(production.speaker.severity)
    random = generator(seed, name, production.block, production.key, microphone)
    response_db = usual.channel_db * generator(seed, name, microphone, "channel").standard_normal(len(_CHANNEL_HZ))
    before, after = (round(s * SAMPLE_RATE) for s in usual.silence_s * random.uniform(0.5, 1.5, 2))
    heard = noise.equalise(np.pad(waveform, (before, after)), _CHANNEL_HZ, response_db)
    heard = noise.add_background(heard, usual.background_db, random)
    level = _LOUDNESS * 10 ** (usual.level_db * random.standard_normal() / 20) / np.sqrt((heard**2).mean())
    return (heard * min(level, _MAX_PEAK / np.abs(heard).max())).astype(np.float32)


def _varied(usual: Condition, random: np.random.Generator) -> Condition:
    """The condition of this one production."""
    factors = np.exp(usual.variability * random.standard_normal(5))
    return replace(
        usual,
        tempo=usual.tempo * factors[0],
        pauses=usual.pauses * factors[1],
        centralisation=min(0.95, usual.centralisation * factors[2]),
        widening=max(1.0, usual.widening * factors[3]),
        breath_db=usual.breath_db - 8.7 * np.log(factors[4]),
    )


def _said(production: Production, usual: Condition, seed: int, random: np.random.Generator) -> str:
    """The speaker's phonemes for the word, as espeak reads them."""
    speaker = production.speaker
    table = substitution_table(speaker.name, usual.substitution, seed)
    said = table.apply(synthesiser().phonemes(production.text, speaker.voice), usual.slip, random)
    return f"[[{''.join(said)}]]"


def _voice(voice: Voice, usual: Condition, random: np.random.Generator) -> Voice:
    pitch = voice.pitch + _PITCH_SPREAD * random.standard_normal()
    return replace(
        voice,
        pitch=int(np.clip(round(pitch), 0, 100)),
        pitch_range=round(voice.pitch_range * (1 - usual.flattening)),
        rate=int(np.clip(round(voice.rate * np.exp(usual.variability * random.standard_normal())), 80, 450)),
    )


def _formant_change(speaker: SimulatedSpeaker, now: Condition, seed: int) -> FormantChange:
    direction = 2 * uniform(seed, speaker.name, "vocal tract") - 1
    return FormantChange(
        scale=1 + now.tract_warp * direction,
        centralisation=now.centralisation,
        widening=now.widening,
        neutral_hz=tuple(hertz * speaker.formant_scale for hertz in NEUTRAL_HZ),
    )
