"""`kdspeech train`: one student, one speaker held out."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kdspeech.choices import MODES, Mode
from kdspeech.cli.options import (
    common_options,
    encoder_option,
    force_option,
    recipe_options,
    resolve_recipe,
    seed_option,
    speakers_option,
    supervision_options,
    wandb_option,
)

if TYPE_CHECKING:
    from kdspeech.supervision import Supervision


@click.command("train")
@click.option("--held-out", required=True, metavar="SPEAKER", help="Speaker that the student never meets.")
@click.option(
    "--mode",
    type=click.Choice(MODES),
    default="decoder-kd",
    show_default=True,
    help="Learn from transcripts alone, or also from the teachers' pooled CTC or decoder scores.",
)
@speakers_option("--teachers", required=False, help="Teachers to pool.  [default: all but the held-out speaker's]")
@supervision_options
@encoder_option
@recipe_options
@seed_option
@wandb_option
@force_option
@common_options
def command(
    held_out: str,
    mode: Mode,
    teachers: list[str] | None,
    supervision: "Supervision",
    encoder: str | None,
    recipe: str | None,
    overrides: tuple[str, ...],
    seed: int,
    force: bool,
    wandb: bool,
    workspace: Path,
) -> None:
    """Train a student with one speaker held out.

    A finished run is skipped; a killed one goes on after its last epoch.
    """
    if teachers is not None and mode == "labels":
        raise click.UsageError("--teachers has no meaning with --mode labels, which uses none.")

    from kdspeech import console, students
    from kdspeech.training.train import train
    from kdspeech.workspace import Workspace

    place = Workspace(workspace)
    run = train(
        place,
        held_out,
        mode,
        recipe=resolve_recipe(place, recipe, overrides, encoder),
        students=students,
        teachers=None if teachers is None else place.check_speakers(teachers),
        supervision=supervision,
        seed=seed,
        force=force,
        wandb=wandb,
    )
    console.result(str(run))
