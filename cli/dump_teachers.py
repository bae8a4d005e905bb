"""`kdspeech dump-teachers`."""

from pathlib import Path

import click

from kdspeech.choices import KINDS, Kind
from kdspeech.cli.options import (
    choices_callback,
    common_options,
    force_option,
    jobs_option,
    recipe_options,
    resolve_recipe,
    speakers_option,
)


@click.command("dump-teachers")
@speakers_option(help="Whose teachers score.")
@speakers_option("--on", required=False, help="Whose recordings are scored.  [default: those of --speakers]")
@click.option(
    "--kinds",
    callback=choices_callback(KINDS),
    metavar="KIND,...",
    help=f"What to store: {', '.join(KINDS)}.  [default: the recipe's dump.kinds]",
)
@recipe_options
@jobs_option
@force_option
@common_options
def command(
    workspace: Path,
    speakers: list[str],
    on: list[str] | None,
    kinds: tuple[Kind, ...] | None,
    recipe: str | None,
    overrides: tuple[str, ...],
    jobs: int | None,
    force: bool,
) -> None:
    """Let the teachers score every utterance of the speakers, and store their log-probabilities.

    What is stored is decoded again: the table shows how well each teacher understands each speaker, and a teacher that
    fails on its own speaker is reported. Shards that are already there are skipped.

    \b
    kdspeech dump-teachers --speakers F02,F03
    """
    from kdspeech import students, teachers
    from kdspeech.dumps.dump_teachers import dump_teachers
    from kdspeech.teaching.all_teachers import AllTeachers
    from kdspeech.workspace import Workspace

    place = Workspace(workspace)
    dump_teachers(
        place,
        speakers,
        recipe=resolve_recipe(place, recipe, overrides),
        teachers=AllTeachers(teachers, students),
        on=on,
        kinds=kinds,
        jobs=jobs,
        force=force,
    )
