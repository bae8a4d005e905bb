"""Settings of the decode modes: what each mode uses, what is refused, and how a setting shows in a file's name.

Imports nothing heavy: the command line checks its flags here.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from kdspeech.choices import DecodeMode
from kdspeech.errors import ConfigError
from kdspeech.files import sha256_of_file


@dataclass(frozen=True)
class DecodeOptions:
    """None: not given, the mode's own default holds."""

    beam: int | None = None  # unfinished texts kept; 1 is greedy search
    length_norm: float | None = None  # alpha of Wu et al. 2016; 0 ranks by probability alone
    repetition_penalty: float | None = None  # on log-probs of tokens said before; 1 is none
    end_threshold: float | None = None  # on log p(end) / max log p(other token); 0 is none
    ctc_weight: float | None = None  # lambda of joint decoding, 0 to 1
    lm: Path | None = None  # ARPA language model over token ids, or NeMo's own .nemo
    lm_weight: float | None = None  # alpha, on the language model's log-probs
    priors: Path | None = None  # word<TAB>weight
    nbest: int | None = None  # hypotheses listed for each utterance


DEFAULT_OPTIONS = DecodeOptions()

_SEARCH: Mapping[str, Any] = {"length_norm": 0.0, "repetition_penalty": 1.0, "end_threshold": 0.0, "nbest": 1}
# What each mode uses, with its defaults. Greedy search is the default of `decoder`: published tables are made with it.
DEFAULTS: Mapping[DecodeMode, Mapping[str, Any]] = {
    "ctc": {},
    "ctc-beam": {"beam": 8, "lm": None, "lm_weight": 0.5, "nbest": 1},
    "decoder": {"beam": 1, **_SEARCH},
    "joint": {"beam": 8, **_SEARCH, "ctc_weight": 0.3},
    "lexicon": {"priors": None, "nbest": 1},
}
_RANGES: Mapping[str, tuple[float, float]] = {
    "beam": (1, 1000),
    "length_norm": (0, 2),
    "repetition_penalty": (1, 10),
    "end_threshold": (0, 10),
    "ctc_weight": (0, 1),
    "lm_weight": (0, 10),
    "nbest": (1, 100_000),
}


def resolve(mode: DecodeMode, options: DecodeOptions) -> DecodeOptions:
    """The mode's defaults, overridden by what was given.

    Raises:
        ConfigError: an option that the mode, or this setting of it, does not use, or a value out of range.
    """
    given = {name: value for name, value in asdict(options).items() if value is not None}
    defaults = DEFAULTS[mode]
    unused = [name for name in given if name not in defaults]
    if unused:
        users = [other for other in DEFAULTS if unused[0] in DEFAULTS[other]]
        raise ConfigError(
            f"decode mode {mode} does not use {flag(unused[0])}; it is for {', '.join(users)}. Leave it out, or choose "
            "another --decode-mode."
        )
    for name, value in given.items():
        low, high = _RANGES.get(name, (None, None))
        if low is not None and high is not None and not low <= value <= high:
            raise ConfigError(f"{flag(name)} must lie between {low:g} and {high:g}, found {value:g}.")
    merged = DecodeOptions(**{**defaults, **given})
    _check_together(mode, merged, given)
    return merged


def _check_together(mode: DecodeMode, options: DecodeOptions, given: Mapping[str, Any]) -> None:
    if options.beam == 1 and "length_norm" in given:
        raise ConfigError(
            "--length-norm ranks the texts of a beam; greedy search has one. Add --beam 8, or leave it out."
        )
    if options.lm is None and "lm_weight" in given:
        raise ConfigError("--lm-weight weighs a language model; name one with --lm FILE.")
    if options.beam is not None and options.nbest is not None and options.nbest > options.beam:
        raise ConfigError(f"--nbest {options.nbest} wants more texts than the beam holds ({options.beam}). Add --beam.")
    if mode in ("ctc-beam", "joint") and options.beam == 1:
        raise ConfigError(f"decode mode {mode} needs a --beam of at least 2.")


def settings_of(mode: DecodeMode, options: DecodeOptions) -> dict[str, Any]:
    """What results keep of resolved options: what differs from the mode's defaults, files by their sha256.

    Raises:
        ConfigError: a file that does not exist.
    """
    changed = {name: getattr(options, name) for name in _names() if getattr(options, name) != DEFAULTS[mode].get(name)}
    return {name: _fingerprint(name, value) if isinstance(value, Path) else value for name, value in changed.items()}


def slug(settings: Mapping[str, Any]) -> str:
    """`-beam8-length-norm0.6`, for a file's name; empty for the defaults."""
    texts = {k: v[:8] if isinstance(v, str) else f"{v:g}" for k, v in settings.items()}
    return "".join(f"-{name.replace('_', '-')}{text}" for name, text in texts.items())


def flag(name: str) -> str:
    """The option as it is typed."""
    return f"--{name.replace('_', '-')}"


def _names() -> tuple[str, ...]:
    return tuple(field.name for field in fields(DecodeOptions))


def _fingerprint(name: str, path: Path) -> str:
    if not path.is_file():
        raise ConfigError(f"{flag(name)} {path} does not exist.")
    return sha256_of_file(path)
