"""`kdspeech loso`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kdspeech.cli.options import (
    common_options,
    force_option,
    jobs_option,
    recipe_options,
    resolve_recipe,
    seed_option,
    speakers_option,
)

if TYPE_CHECKING:
    from kdspeech.config import Mode

_MODES = ("labels", "ctc-kd", "decoder-kd")


def _modes(_ctx: click.Context, _param: click.Parameter, value: str) -> list[str]:
    names = [name.strip() for name in value.split(",") if name.strip()]
    unknown = [name for name in names if name not in _MODES]
    if unknown or not names:
        raise click.BadParameter(f"expected some of {', '.join(_MODES)}, found {', '.join(unknown) or 'none'}")
    return names


@click.command("loso")
@speakers_option(required=False, help="Speakers to hold out, one after another; the others teach.  [default: all]")
@click.option(
    "--modes", callback=_modes, default=",".join(_MODES), show_default=True, help="Training modes, separated by commas."
)
@jobs_option
@seed_option
@recipe_options
@force_option
@common_options
def command(
    workspace: Path,
    speakers: list[str] | None,
    modes: "list[Mode]",
    jobs: int | None,
    seed: int,
    recipe: str | None,
    overrides: tuple[str, ...],
    force: bool,
) -> None:
    """Hold every speaker out in turn and print one table.

    Trains and dumps the teachers that are missing, trains and evaluates the students of every fold. What is done is
    skipped and a killed run continues where it stopped; --force trains the students again, not the teachers. The table
    is also in reports/loso.md and reports/loso.json.

    \b
    kdspeech loso
    kdspeech loso --speakers M08,F02 --modes labels
    """
    from kdspeech import console, students, teachers
    from kdspeech.evaluation.loso import loso
    from kdspeech.workspace import Workspace

    place = Workspace(workspace)
    table = loso(
        place,
        recipe=resolve_recipe(place, recipe, overrides),
        teachers=teachers,
        students=students,
        speakers=speakers,
        modes=modes,
        seed=seed,
        jobs=jobs,
        force=force,
    )
    table.print()
    console.result(f"With WER and all counts: {place.reports_dir / 'loso.md'} and loso.json")
