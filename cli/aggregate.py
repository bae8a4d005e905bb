"""`kdspeech aggregate`."""

from pathlib import Path

import click

from kdspeech.cli.options import common_options, force_option, recipe_options, resolve_recipe, speakers_option


@click.command("aggregate")
@click.option("--held-out", required=True, metavar="SPEAKER", help="The speaker that must stay unheard.")
@speakers_option("--teachers", required=False, help="Teachers to pool.  [default: all but the held-out speaker's]")
@recipe_options
@force_option
@common_options
def command(
    workspace: Path,
    held_out: str,
    teachers: list[str] | None,
    recipe: str | None,
    overrides: tuple[str, ...],
    force: bool,
) -> None:
    """Pool the teachers' scores into one target per utterance and print the teachers' ceiling.

    `kdspeech train` does this by itself; run it to see what the teachers can teach before training.

    \b
    kdspeech aggregate --held-out M08 --set targets.temperature=4
    """
    from kdspeech.targets.aggregate import aggregate
    from kdspeech.workspace import Workspace

    place = Workspace(workspace)
    names = None if teachers is None else place.check_speakers(teachers)
    aggregate(place, held_out, resolve_recipe(place, recipe, overrides), names, force=force)
