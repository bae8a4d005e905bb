"""`kdspeech eval`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdspeech.choices import Checkpoint, DecodeMode, Mode
from kdspeech.cli.decoding_options import chosen_options, decoding_options
from kdspeech.cli.options import common_options, force_option
from kdspeech.cli.run_options import chosen_run, decode_mode_option, run_options

if TYPE_CHECKING:
    from kdspeech.supervision import Supervision


@click.command("eval")
@decode_mode_option()
@decoding_options
@run_options
@force_option
@common_options
def command(
    workspace: Path,
    recipe: str | None,
    held_out: str | None,
    mode: Mode | None,
    supervision: "Supervision",
    seed: int | None,
    run: Path | None,
    decode_mode: DecodeMode,
    checkpoint: Checkpoint,
    force: bool,
    **options: Any,
) -> None:
    """Score a student on the speaker it never heard: WRA and WER with their counts.

    Every utterance goes into results-<decode mode>.json in the run folder, with a confidence that is calibrated on the
    training speakers' validation utterances. An option that the decode mode does not use is refused.

    --labels, --all-audio and --adapt-unlabelled name a run of `kdspeech train` with the same; they need --mode.

    \b
    kdspeech eval --held-out M08 --decode-mode ctc
    kdspeech eval --held-out M08 --decode-mode lexicon --nbest 5
    """
    from kdspeech import console, students
    from kdspeech.evaluation.evaluate import evaluate, results_path
    from kdspeech.evaluation.results import print_result
    from kdspeech.workspace import Workspace

    chosen = chosen_options(decode_mode, options)
    place = Workspace(workspace)
    run = chosen_run(place, run, recipe, held_out, mode, supervision, seed)
    result = evaluate(place, run, decode_mode, students=students, options=chosen, checkpoint=checkpoint, force=force)
    print_result(result)
    console.result(f"Every utterance: {results_path(run, decode_mode, checkpoint, chosen)}")
