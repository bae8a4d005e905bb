"""Articulation: which sounds a speaker says instead of others, always the same ones. Phonemes are espeak-ng's.

Errors of dysarthric speakers are systematic by speaker and by manner: fricatives and affricates fail most, clusters and
final consonants are cut, vowels lose their extremes (Platt, Andrews & Howie, J. Speech Hear. Res. 23, 1980; Kent,
Weismer, Kent & Rosenbek, J. Speech Hear. Disord. 54, 1989, whose contrasts are named below; Kim, Martin,
Hasegawa-Johnson & Perlman, Clin. Linguist. Phon. 24, 2010, on UASpeech).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kdspeech.simulation.draws import uniform

_STRESS = "',"

# Phoneme -> what it may become, each with its share of the speakers who change it.
CONFUSIONS: Mapping[str, tuple[tuple[str, float], ...]] = {
    # stop for fricative, and other manners of it
    "f": (("p", 0.7), ("h", 0.3)),
    "v": (("b", 0.6), ("f", 0.2), ("w", 0.2)),
    "T": (("t", 0.6), ("f", 0.4)),
    "D": (("d", 0.8), ("v", 0.2)),
    "s": (("t", 0.5), ("S", 0.2), ("T", 0.3)),
    "z": (("d", 0.5), ("s", 0.5)),
    "S": (("s", 0.4), ("t", 0.3), ("tS", 0.3)),
    "Z": (("dZ", 0.3), ("d", 0.3), ("S", 0.4)),
    # fricative or stop for affricate
    "tS": (("S", 0.6), ("t", 0.4)),
    "dZ": (("Z", 0.3), ("d", 0.4), ("tS", 0.3)),
    # glides for liquids
    "r": (("w", 1.0),),
    "l": (("w", 0.6), ("j", 0.2), ("n", 0.2)),
    # voicing, place and nasality of stops
    "b": (("p", 0.4), ("m", 0.4), ("v", 0.2)),
    "d": (("t", 0.4), ("n", 0.4), ("g", 0.2)),
    "g": (("k", 0.4), ("d", 0.4), ("h", 0.2)),
    "p": (("b", 0.5), ("f", 0.2), ("h", 0.3)),
    "t": (("d", 0.5), ("k", 0.2), ("h", 0.3)),
    "k": (("t", 0.4), ("g", 0.4), ("h", 0.2)),
    "t#": (("d", 0.4), ("n", 0.3), ("l", 0.3)),
    "m": (("b", 0.6), ("n", 0.4)),
    "n": (("d", 0.5), ("m", 0.5)),
    "N": (("n", 0.7), ("g", 0.3)),
    # glottal null
    "h": (("", 1.0),),
    "j": (("", 0.5), ("w", 0.5)),
    "w": (("", 0.5), ("v", 0.5)),
    # high-low and front-back of vowels: towards the middle
    "i:": (("I", 0.7), ("E", 0.3)),
    "I": (("E", 0.4), ("@", 0.6)),
    "E": (("V", 0.5), ("@", 0.5)),
    "a": (("E", 0.5), ("V", 0.5)),
    "aa": (("V", 0.6), ("a", 0.4)),
    "A:": (("V", 1.0),),
    "0": (("V", 1.0),),
    "O:": (("V", 0.5), ("oU", 0.5)),
    "oU": (("V", 0.5), ("U", 0.5)),
    "u:": (("U", 0.6), ("@", 0.4)),
    "U": (("@", 1.0),),
    "V": (("@", 1.0),),
    "3:": (("@", 0.6), ("V", 0.4)),
    "eI": (("E", 0.7), ("I", 0.3)),
    "aI": (("a", 0.6), ("V", 0.4)),
    "aU": (("a", 0.6), ("V", 0.4)),
    "OI": (("O:", 0.6), ("I", 0.4)),
}
_FRAGILITY = {  # how soon a phoneme is lost, as severity rises; 1 at once
    **dict.fromkeys(("f", "v", "T", "D", "s", "z", "S", "Z", "tS", "dZ"), 1.0),
    **dict.fromkeys(("r", "l"), 0.9),
    **dict.fromkeys(("b", "d", "g", "p", "t", "k", "t#", "h"), 0.6),
    **dict.fromkeys(("m", "n", "N", "j", "w"), 0.4),
}
_VOWEL_FRAGILITY = 0.5
_CLUSTER_FRAGILITY = 0.9
_FINAL_FRAGILITY = 0.5
_CONSONANTS = frozenset(_FRAGILITY)
_LIQUIDS = frozenset({"l", "r", "w", "j"})


@dataclass(frozen=True)
class SubstitutionTable:
    """What one speaker does to the sounds of every word."""

    substitutes: Mapping[str, str]  # phoneme -> what is said instead; "" drops it
    dropped_finals: frozenset[str]  # consonants that are left out at the end of a word
    drops_s: bool  # `stop` becomes `top`
    drops_liquids: bool  # `blue` becomes `boo`

    def apply(
        self, phonemes: Sequence[str], slip: float = 0.0, random: np.random.Generator | None = None
    ) -> tuple[str, ...]:
        """What the speaker says for a word.

        Args:
            phonemes: of one word, as `Synthesiser.phonemes` gives them.
            slip: share of the phonemes that are, this time, said in another way than usual.
            random: for slips; needed where `slip` is above 0.
        """
        said = []
        for phoneme in self._final_dropped(self._clusters_reduced(list(phonemes))):
            stress, sound = _parts(phoneme)
            usual = self.substitutes.get(sound, sound)
            if random is not None and random.random() < slip:
                options = [name for name in (sound, *(name for name, _ in CONFUSIONS.get(sound, ()))) if name != usual]
                usual = options[int(random.integers(len(options)))] if options else usual
            said.append(stress + usual if usual else "")
        return tuple(phoneme for phoneme in said if phoneme)

    def _clusters_reduced(self, phonemes: list[str]) -> list[str]:
        sounds = [_parts(phoneme)[1] for phoneme in phonemes]
        kept = []
        for index, phoneme in enumerate(phonemes):
            before = sounds[index - 1] if index > 0 else ""
            after = sounds[index + 1] if index + 1 < len(sounds) else ""
            s_lost = self.drops_s and sounds[index] == "s" and after in _CONSONANTS
            liquid_lost = self.drops_liquids and sounds[index] in _LIQUIDS and before in _CONSONANTS - _LIQUIDS
            if not (s_lost or liquid_lost):
                kept.append(phoneme)
        return kept

    def _final_dropped(self, phonemes: list[str]) -> list[str]:
        lost = len(phonemes) > 1 and _parts(phonemes[-1])[1] in self.dropped_finals
        return phonemes[:-1] if lost else phonemes


def substitution_table(speaker: str, strength: float, seed: int) -> SubstitutionTable:
    """The table of a speaker.

    Each phoneme has one draw and one substitute for each speaker, so that a stronger table keeps all that a weaker one
    of the same speaker has, and adds to it.

    Args:
        speaker: the name decides the draws.
        strength: 0 changes nothing; at 1 every fricative and affricate is changed, and about half of the vowels.
        seed: of the corpus.
    """

    def lost(what: str, fragility: float) -> bool:
        return uniform(seed, speaker, "lost", what) < strength * fragility

    return SubstitutionTable(
        substitutes={
            phoneme: _chosen(options, uniform(seed, speaker, "substitute", phoneme))
            for phoneme, options in CONFUSIONS.items()
            if lost(phoneme, _FRAGILITY.get(phoneme, _VOWEL_FRAGILITY))
        },
        dropped_finals=frozenset(c for c in sorted(_CONSONANTS) if lost(f"final {c}", _FINAL_FRAGILITY)),
        drops_s=lost("s in clusters", _CLUSTER_FRAGILITY),
        drops_liquids=lost("liquids in clusters", _CLUSTER_FRAGILITY),
    )


def _chosen(options: Sequence[tuple[str, float]], draw: float) -> str:
    reached = 0.0
    for name, share in options:
        reached += share
        if draw < reached:
            return name
    return options[-1][0]


def _parts(phoneme: str) -> tuple[str, str]:
    """Stress marks and the sound."""
    sound = phoneme.lstrip(_STRESS)
    return phoneme[: len(phoneme) - len(sound)], sound
