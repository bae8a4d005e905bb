"""`kdspeech diagnose`."""

from pathlib import Path

import click

from kdspeech.choices import MODES, Mode
from kdspeech.cli.options import common_options


@click.command("diagnose")
@click.option("--held-out", metavar="SPEAKER", help="The speaker that the student never heard.")
@click.option("--mode", type=click.Choice(MODES), help="Training mode of the run.  [default: the newest run's]")
@click.option("--seed", type=int, help="Seed of the run.  [default: the newest run's]")
@click.option(
    "--run",
    type=click.Path(file_okay=False, path_type=Path),
    help="Run folder; without it the newest run that fits is taken, finished or not.",
)
@click.option("--quick", is_flag=True, help="Leave out the check that trains a student on one batch.")
@common_options
def command(
    workspace: Path, held_out: str | None, mode: Mode | None, seed: int | None, run: Path | None, quick: bool
) -> None:
    """Find out why a run fails: nine checks in order, and the first cause with its evidence.

    Everything that was measured goes into diagnosis.json in the run folder. Exit code 0 if no check fails, 1 if one
    does.

    \b
    kdspeech diagnose --held-out M08 --mode decoder-kd
    """
    from kdspeech import console, students
    from kdspeech.diagnosis.diagnose import REPORT_NAME, diagnose, print_diagnosis
    from kdspeech.runs import find_run
    from kdspeech.workspace import Workspace

    if run is not None and (held_out or mode or seed is not None):
        raise click.UsageError("--run names one run; leave out --held-out, --mode and --seed.")
    place = Workspace(workspace)
    if held_out is not None:
        place.check_speakers([held_out])
    if run is None:
        run = find_run(place, held_out=held_out, mode=mode, seed=seed, unfinished=True)
        console.remark(f"Taking {run}, the newest run that fits.")
    diagnosis = diagnose(place, run, students=students, quick=quick)
    print_diagnosis(diagnosis)
    console.result(f"All that was measured: {run / REPORT_NAME}")
    if diagnosis.failed:
        click.get_current_context().exit(1)
