"""The flags that choose a run, for every command that decodes with a student or looks at one."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdspeech.choices import CHECKPOINTS, DECODE_MODES, DEFAULT_CHECKPOINT, MODES, DecodeMode, Mode
from kdspeech.cli.options import supervision_options

if TYPE_CHECKING:
    from kdspeech.supervision import Supervision
    from kdspeech.workspace import Workspace

_FITTING = (
    click.option("--held-out", metavar="SPEAKER", help="The speaker that the student never heard."),
    click.option("--mode", type=click.Choice(MODES), help="Training mode of the run.  [default: the newest run's]"),
    supervision_options,
    click.option("--seed", type=int, help="Seed of the run.  [default: the newest run's]"),
    click.option("--recipe", metavar="NAME|FILE", help="Recipe of the run.  [default: the newest run's]"),
)
_FINISHED = (
    click.option(
        "--run",
        type=click.Path(file_okay=False, path_type=Path),
        help="Run folder; without it the newest finished run that fits is taken.",
    ),
    click.option(
        "--checkpoint",
        type=click.Choice(CHECKPOINTS),
        default=DEFAULT_CHECKPOINT,
        show_default=True,
        help="The last epoch's, or the best on the training speakers' held-back productions.",
    ),
)


def fitting_run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Adds the flags that say which runs fit; the command gives them to `chosen_run`."""
    for option in reversed(_FITTING):
        command = option(command)
    return command


def run_options(command: Callable[..., None]) -> Callable[..., None]:
    """Those, and the flags of a finished run; the command gives all but --checkpoint to `chosen_run`."""
    for option in reversed(_FINISHED):
        command = option(command)
    return fitting_run_options(command)


def decode_mode_option(default: DecodeMode | None = "ctc", default_text: str | bool = True) -> Callable[..., Any]:
    """--decode-mode; without a default the command decides, and says how in `default_text`."""
    return click.option(
        "--decode-mode",
        type=click.Choice(DECODE_MODES),
        default=default,
        show_default=default_text,
        help="ctc: greedy; ctc-beam: NeMo's beam search; decoder: the attention decoder, greedy unless --beam is "
        "given; joint: CTC and attention rescore the decoder's beam; lexicon: the likeliest word of the closed list by "
        "CTC.",
    )


trim_option = click.option(
    "--trim/--no-trim",
    default=True,
    show_default=True,
    help="Leave out silence of more than 0.3 s at the ends, but for 0.1 s.",
)


def max_duration_option(default: float, help: str) -> Callable[..., Any]:
    """--max-duration, in seconds, of recordings that come from anywhere."""
    return click.option(
        "--max-duration",
        type=click.FloatRange(min=0, min_open=True),
        default=default,
        show_default=True,
        metavar="SECONDS",
        help=help,
    )


def chosen_run(
    place: "Workspace",
    run: Path | None,
    recipe: str | None,
    held_out: str | None,
    mode: Mode | None,
    supervision: "Supervision",
    seed: int | None,
    unfinished: bool = False,
) -> Path:
    """The run that was named, or the newest that fits: a finished one, unless `unfinished` ones will do.

    Raises:
        click.UsageError: flags that contradict each other.
        KdspeechError: an unknown speaker, or no run that fits.
    """
    from kdspeech import console
    from kdspeech.model_folders.runs import find_run
    from kdspeech.recipe_file import load_recipe
    from kdspeech.supervision import ALL_LABELS

    if mode is None and supervision != ALL_LABELS:
        raise click.UsageError("--labels, --all-audio and --adapt-unlabelled need the run's --mode.")
    if run is not None and (recipe or held_out or mode or seed is not None):
        raise click.UsageError("--run names one run; leave out --recipe, --held-out, --mode and --seed.")
    if held_out is not None:
        place.check_speakers([held_out])
    if run is None:
        if recipe is not None and Path(recipe).is_file():
            recipe = load_recipe(recipe).name
        run = find_run(place, held_out, mode, seed, supervision, unfinished, recipe)
        console.remark(f"Taking {run}, the newest {'' if unfinished else 'finished '}run that fits.")
    return run
