"""`kdspeech train-teachers`."""

from pathlib import Path

import click

from kdspeech.choices import BACKENDS, Backend
from kdspeech.cli.options import (
    common_options,
    force_option,
    jobs_option,
    recipe_options,
    resolve_recipe,
    seed_option,
    speakers_option,
)


def _pairs(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for value in values:
        speaker, equals, source = (part.strip() for part in value.partition("="))
        if not (speaker and equals and source):
            raise click.BadParameter(f"expected SPEAKER=PATH_OR_NAME, found {value!r}")
        if speaker in pairs:
            raise click.BadParameter(f"{speaker} is given twice")
        pairs[speaker] = source
    return pairs


@click.command("train-teachers")
@speakers_option(required=False, help="Train a teacher for each of these speakers.")
@click.option(
    "--teacher",
    "external",
    multiple=True,
    callback=_pairs,
    metavar="SPEAKER=PATH_OR_NAME",
    help="Bring your own instead: a SpeechBrain folder, a .nemo file or a published name. May be repeated.",
)
@click.option(
    "--backend",
    type=click.Choice(BACKENDS),
    help="`nemo` trains the recipe's student on one speaker, from the student's own start.  [default: the recipe's]",
)
@recipe_options
@seed_option
@jobs_option
@force_option
@common_options
def command(
    speakers: list[str] | None,
    external: dict[str, str],
    backend: Backend | None,
    recipe: str | None,
    overrides: tuple[str, ...],
    seed: int,
    jobs: int | None,
    force: bool,
    workspace: Path,
) -> None:
    """Train one teacher per speaker, each on its own speaker only, or bring your own.

    All start from one common initial checkpoint. Finished teachers are skipped.
    """
    if not speakers and not external:
        raise click.UsageError("give --speakers A,B,... (or all), or --teacher SPEAKER=PATH_OR_NAME")
    from kdspeech import students, teachers
    from kdspeech.teaching.train_teachers import train_teachers
    from kdspeech.workspace import Workspace

    place = Workspace(workspace)
    if backend is not None:
        overrides = (*overrides, f"teacher.backend={backend}")
    train_teachers(
        place,
        speakers or [],
        recipe=resolve_recipe(place, recipe, overrides),
        teachers=teachers,
        students=students,
        external=external,
        seed=seed,
        jobs=jobs,
        force=force,
    )
