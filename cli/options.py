"""Options that several commands share."""

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from kdspeech.config import Recipe
    from kdspeech.workspace import Workspace

Function = TypeVar("Function", bound=Callable[..., Any])


def _set_quiet(_ctx: click.Context, _param: click.Parameter, quiet: bool) -> bool:
    from kdspeech import console

    console.configure(quiet)
    return quiet


def names_callback(_ctx: click.Context, _param: click.Parameter, value: str | None) -> list[str] | None:
    """Reads a comma-separated list of names."""
    if value is None:
        return None
    names = [name.strip() for name in value.split(",") if name.strip()]
    if not names:
        raise click.BadParameter("expected names separated by commas, for example A,B")
    return names


def choices_callback(choices: Sequence[str]) -> Callable[..., tuple[str, ...] | None]:
    """Reads a comma-separated list of some of `choices`."""

    def read(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
        if value is None:
            return None
        names = tuple(name.strip() for name in value.split(",") if name.strip())
        if not names or not set(names) <= set(choices):
            raise click.BadParameter(f"expected some of {', '.join(choices)}, separated by commas; found {value!r}")
        return names

    return read


def seeds_callback(_ctx: click.Context, _param: click.Parameter, value: str) -> list[int]:
    """Reads a comma-separated list of seeds."""
    try:
        return [int(seed) for seed in value.split(",")]
    except ValueError:
        raise click.BadParameter(f"expected numbers separated by commas, for example 0,1,2; found {value!r}") from None


workspace_option = click.option(
    "--workspace",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="KDSPEECH_WORKSPACE",
    default=Path("workspace"),
    show_default=True,
    show_envvar=True,
    help="Folder of manifests, teachers, dumps, runs and reports.",
)
quiet_option = click.option(
    "--quiet", is_flag=True, callback=_set_quiet, expose_value=False, help="Print results and errors only."
)
force_option = click.option("--force", is_flag=True, help="Redo what is already done.")
recipe_option = click.option(
    "--recipe",
    metavar="NAME|FILE",
    help="Recipe to use instead of the one that `prepare` chose for this workspace.",
)
set_option = click.option(
    "--set",
    "overrides",
    multiple=True,
    metavar="KEY=VALUE",
    help="Override one setting of the recipe, for example --set targets.temperature=4. May be repeated.",
)
encoder_option = click.option(
    "--encoder",
    metavar="FILE|NAME",
    help="Start the student from this .nemo file or published name, or from `pretrained`, the workspace's own.",
)
seed_option = click.option("--seed", type=int, default=0, show_default=True, help="Seed of weights and data order.")
seeds_option = click.option(
    "--seeds", callback=seeds_callback, default="0", show_default=True, metavar="0,1,...", help="One run with each."
)
jobs_option = click.option("--jobs", type=click.IntRange(min=1), help="Processes side by side.  [default: one a core]")


wandb_option = click.option(
    "--wandb",
    is_flag=True,
    help="Show the epochs at Weights & Biases, too; WANDB_MODE=offline keeps them in the run folder.",
)
adapt_option = click.option(
    "--adapt-unlabelled",
    is_flag=True,
    help="Hear the held-out speaker's recordings, too, without their transcripts; teachers and student label them. "
    "Such results are transductive.",
)
labels_option = click.option(
    "--labels",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    metavar="SHARE",
    help="Share of the training transcripts that are read; teachers label the other recordings.",
)
all_audio_option = click.option(
    "--all-audio",
    is_flag=True,
    help="Hear the training speakers' test recordings, too, without transcripts; teachers and student label them.",
)


def supervision_options(command: Function) -> Callable[..., None]:
    """--labels, --all-audio and --adapt-unlabelled; the command gets them as one `supervision`."""

    @wraps(command)
    def wrapped(*, labels: float, all_audio: bool, adapt_unlabelled: bool, **others: Any) -> None:
        from kdspeech.supervision import Supervision

        command(supervision=Supervision(labels, adapt_unlabelled, all_audio), **others)

    return labels_option(all_audio_option(adapt_option(wrapped)))


def speakers_option(flag: str = "--speakers", required: bool = True, help: str = "") -> Callable[[Function], Function]:
    """A comma-separated list of speakers, or `all`."""
    return click.option(flag, required=required, callback=names_callback, metavar="A,B,...|all", help=help)


folds_option = speakers_option("--folds", required=False, help="Speakers to hold out in turn.  [default: all]")


def common_options(function: Function) -> Function:
    """--workspace and --quiet, on every command."""
    return workspace_option(quiet_option(function))


def recipe_options(function: Function) -> Function:
    """--recipe and --set."""
    return recipe_option(set_option(function))


def resolve_recipe(
    workspace: "Workspace", recipe: str | None, overrides: tuple[str, ...] = (), encoder: str | None = None
) -> "Recipe":
    """The recipe that was asked for, or the one that `prepare` chose; `encoder` is another start for its student."""
    from kdspeech.recipe_file import load_recipe

    chosen = load_recipe(recipe or workspace.corpus.recipe, overrides)
    return chosen if encoder is None else chosen.starting_from(encoder)
