"""`kdspeech serve`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdspeech.choices import Checkpoint, DecodeMode, Mode
from kdspeech.cli.decoding_options import chosen_options, decoding_options
from kdspeech.cli.options import common_options
from kdspeech.cli.run_options import chosen_run, decode_mode_option, max_duration_option, run_options, trim_option

if TYPE_CHECKING:
    from kdspeech.supervision import Supervision

_NUM_ANSWERS = 5  # shown where the decode mode has several


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; the default is private.")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes a free one.")
@max_duration_option(15.0, "Refuse longer recordings.")
@click.option(
    "--max-size",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="MB",
    help="Refuse larger uploads.",
)
@trim_option
@decode_mode_option(None, "lexicon where the workspace has a word list, else ctc-beam")
@decoding_options
@run_options
@common_options
def command(
    workspace: Path,
    host: str,
    port: int,
    max_duration: float,
    max_size: float,
    trim: bool,
    run: Path | None,
    recipe: str | None,
    held_out: str | None,
    mode: Mode | None,
    supervision: "Supervision",
    seed: int | None,
    checkpoint: Checkpoint,
    decode_mode: DecodeMode | None,
    **options: Any,
) -> None:
    """Open a page on this computer where a person speaks a word and sees the ranked answers.

    Files can be sent, too. One recording is heard at a time; none is kept, and nothing leaves the computer.
    Needs pip install 'kdspeech[serve]'.

    \b
    kdspeech serve --held-out M08 --mode decoder-kd
    """
    from kdspeech import students
    from kdspeech.serving.serve import Limits, serve
    from kdspeech.transcription.transcriber import Transcriber, warn_if_uncalibrated
    from kdspeech.workspace import Workspace

    place = Workspace(workspace)
    chosen_mode: DecodeMode = decode_mode or ("lexicon" if place.has_lexicon else "ctc-beam")
    if options["nbest"] is None and chosen_mode in ("lexicon", "ctc-beam", "joint"):
        options["nbest"] = min(_NUM_ANSWERS, options["beam"] or _NUM_ANSWERS)
    chosen = chosen_options(chosen_mode, options)
    run = chosen_run(place, run, recipe, held_out, mode, supervision, seed)
    transcriber = Transcriber(
        run,
        chosen_mode,
        students=students,
        lexicon=lambda: place.lexicon,
        options=chosen,
        checkpoint=checkpoint,
        trim=trim,
    )
    warn_if_uncalibrated(transcriber)
    serve(transcriber, host, port, Limits(max_bytes=round(max_size * 2**20), max_duration_s=max_duration))
