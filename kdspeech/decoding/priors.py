"""How likely each word of a task is before anything was heard."""

import math
from collections.abc import Mapping
from pathlib import Path

from kdspeech.errors import ConfigError
from kdspeech.files import read_text
from kdspeech.lexicon import Lexicon


def load_priors(path: Path, lexicon: Lexicon) -> Mapping[str, float]:
    """Reads `word<TAB>weight` lines, where a weight is a count or a probability, and normalises them.

    Raises:
        ConfigError: the file is missing or of another form, or its words are not exactly the lexicon's.
    """
    if not path.exists():
        raise ConfigError(f"{path} does not exist; expected word priors, `word<TAB>weight` lines.")
    weights: dict[str, float] = {}
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        word, _, text = line.rpartition("\t")
        weight = _number(text)
        if not word or not 0 < weight < math.inf:
            raise ConfigError(
                f"{path}, line {number}: expected `word<TAB>weight` with a weight above 0, found {line!r}."
            )
        if word in weights:
            raise ConfigError(f"{path}, line {number}: {word!r} stands twice.")
        weights[word] = weight
    missing = [word for word in lexicon.words if word not in weights]
    strangers = [word for word in weights if word not in set(lexicon.words)]
    if missing or strangers:
        raise ConfigError(
            f"{path} and the lexicon differ: without weight {', '.join(missing[:5]) or 'none'} ({len(missing)}), not "
            f"in the lexicon {', '.join(strangers[:5]) or 'none'} ({len(strangers)}). Give every word a weight above "
            "0, a small one if it is rare."
        )
    total = sum(weights.values())
    return {word: weights[word] / total for word in lexicon.words}


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
