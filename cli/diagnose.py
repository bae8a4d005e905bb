"""`kdspeech diagnose`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kdspeech.choices import Mode
from kdspeech.cli.options import common_options
from kdspeech.cli.run_options import chosen_run, fitting_run_options

if TYPE_CHECKING:
    from kdspeech.supervision import Supervision


@click.command("diagnose")
@fitting_run_options
@click.option(
    "--run",
    type=click.Path(file_okay=False, path_type=Path),
    help="Run folder; without it the newest run that fits is taken, finished or not.",
)
@click.option("--quick", is_flag=True, help="Leave out the check that trains a student on one batch.")
@common_options
def command(
    workspace: Path,
    recipe: str | None,
    held_out: str | None,
    mode: Mode | None,
    supervision: "Supervision",
    seed: int | None,
    run: Path | None,
    quick: bool,
) -> None:
    """Find out why a run fails: nine checks in order, and the first cause with its evidence.

    Everything that was measured goes into diagnosis.json in the run folder. Exit code 0 if no check fails, 1 if one
    does.

    \b
    kdspeech diagnose --held-out M08 --mode decoder-kd
    """
    from kdspeech import console, students
    from kdspeech.diagnosis.diagnose import REPORT_NAME, diagnose, print_diagnosis
    from kdspeech.workspace import Workspace

    place = Workspace(workspace)
    run = chosen_run(place, run, recipe, held_out, mode, supervision, seed, unfinished=True)
    diagnosis = diagnose(place, run, students=students, quick=quick)
    print_diagnosis(diagnosis)
    console.result(f"All that was measured: {run / REPORT_NAME}")
    if diagnosis.failed:
        click.get_current_context().exit(1)
