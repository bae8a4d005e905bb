"""`kdspeech loso`."""

from pathlib import Path

import click

from kdspeech.choices import MODES, Mode
from kdspeech.cli.options import (
    adapt_option,
    all_audio_option,
    choices_callback,
    common_options,
    encoder_option,
    force_option,
    jobs_option,
    recipe_options,
    resolve_recipe,
    seed_option,
    speakers_option,
    wandb_option,
)


@click.command("loso")
@speakers_option(required=False, help="Speakers to hold out, one after another; the others teach.  [default: all]")
@click.option(
    "--modes",
    callback=choices_callback(MODES),
    default=",".join(MODES),
    show_default=True,
    help="Training modes, separated by commas.",
)
@all_audio_option
@adapt_option
@jobs_option
@seed_option
@encoder_option
@recipe_options
@wandb_option
@force_option
@common_options
def command(
    workspace: Path,
    speakers: list[str] | None,
    modes: tuple[Mode, ...],
    all_audio: bool,
    adapt_unlabelled: bool,
    jobs: int | None,
    seed: int,
    encoder: str | None,
    recipe: str | None,
    overrides: tuple[str, ...],
    force: bool,
    wandb: bool,
) -> None:
    """Hold every speaker out in turn and print one table.

    Trains and dumps the teachers that are missing, trains and evaluates the students of every fold. What is done is
    skipped and a killed run continues where it stopped; --force trains the students again, not the teachers. The table
    is also in reports/loso.html, loso.md and loso.json.

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
        recipe=resolve_recipe(place, recipe, overrides, encoder),
        teachers=teachers,
        students=students,
        speakers=speakers,
        modes=modes,
        adapt=adapt_unlabelled,
        all_audio=all_audio,
        seed=seed,
        jobs=jobs,
        force=force,
        wandb=wandb,
    )
    table.print()
    console.result(f"With WER and all counts: {place.reports_dir / 'loso.html'}, loso.md and loso.json")
