"""`kdspeech report`."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from kdspeech.choices import Mode
from kdspeech.cli.options import common_options
from kdspeech.cli.run_options import chosen_run, fitting_run_options

if TYPE_CHECKING:
    from kdspeech.supervision import Supervision


@click.command("report")
@click.argument("runs", nargs=-1, metavar="[RUN]...", type=click.Path(file_okay=False, path_type=Path))
@fitting_run_options
@click.option("--decode-mode", metavar="NAME", help="How single answers are decoded.  [default: the first evaluated]")
@click.option("--no-audio", is_flag=True, help="Leave the recordings out of the page.")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="The page.  [default: in the workspace's reports]"
)
@common_options
def command(
    workspace: Path,
    runs: tuple[Path, ...],
    recipe: str | None,
    held_out: str | None,
    mode: Mode | None,
    supervision: "Supervision",
    seed: int | None,
    decode_mode: str | None,
    no_audio: bool,
    out: Path | None,
) -> None:
    """Write one HTML page about a run, or about several side by side; it needs no network and no other file.

    Rates with intervals beside the teachers', confusions, learning curves, reliability, alignments to look at and
    recordings to listen to, and where the run comes from. What is missing is left out, and the page says why.

    Run folders of the same recipe, mode and settings count as one system, on several speakers or with several seeds.

    \b
    kdspeech report --held-out M08 --mode decoder-kd
    kdspeech report workspace/runs/*/*/labels/seed0 workspace/runs/*/*/decoder-kd/seed0
    """
    from kdspeech import students
    from kdspeech.run_report.report import print_report, write_report
    from kdspeech.supervision import ALL_LABELS
    from kdspeech.workspace import Workspace

    place = Workspace(workspace)
    if runs and (recipe or held_out or mode or seed is not None or supervision != ALL_LABELS):
        raise click.UsageError(
            "Name run folders, or say by --held-out, --mode, --seed and --recipe which one; not both."
        )
    if not runs:
        runs = (chosen_run(place, None, recipe, held_out, mode, supervision, seed, unfinished=True),)
    path = write_report(place, runs, students=students, out=out, decode_mode=decode_mode, audio=not no_audio)
    print_report(path)
