"""The flags of the decode modes, for every command that decodes."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from kdspeech.choices import DecodeMode
from kdspeech.decoding.options import DecodeOptions, resolve
from kdspeech.errors import ConfigError

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OPTIONS = (
    click.option(
        "--beam", type=int, help="Texts kept by a search.  [default: 8 of ctc-beam and joint, 1 (greedy) of decoder]"
    ),
    click.option(
        "--length-norm",
        type=float,
        metavar="ALPHA",
        help="decoder, joint: divide scores by ((5 + length) / 6)^ALPHA, so that long texts can win.  [default: 0]",
    ),
    click.option(
        "--repetition-penalty",
        type=float,
        metavar="FACTOR",
        help="decoder, joint: multiply log-probs of tokens that were said already, above 1.  [default: 1]",
    ),
    click.option(
        "--end-threshold",
        type=float,
        metavar="FACTOR",
        help="decoder, joint: end only if log p(end) > FACTOR * log p(likeliest token); try 1.5.  [default: 0, none]",
    ),
    click.option("--ctc-weight", type=float, help="joint: weight of CTC, 0 to 1, beside attention's.  [default: 0.3]"),
    click.option("--lm", type=_FILE, help="ctc-beam: ARPA language model over token ids, as NeMo's scripts write it."),
    click.option("--lm-weight", type=float, help="ctc-beam: weight of the language model's log-probs.  [default: 0.5]"),
    click.option("--priors", type=_FILE, help="lexicon: word<TAB>count or probability, a line for every word."),
    click.option("--nbest", type=int, help="Keep so many hypotheses of each utterance, with confidence.  [default: 1]"),
)


def decoding_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the flags; the command takes them as keywords and gives them to `chosen_options`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def chosen_options(mode: DecodeMode, values: Mapping[str, Any]) -> DecodeOptions:
    """What was typed, checked against the mode.

    Raises:
        click.UsageError: an option that the mode does not use, or a value out of range.
    """
    options = DecodeOptions(**values)
    try:
        resolve(mode, options)
    except ConfigError as error:
        raise click.UsageError(str(error)) from error
    return options
