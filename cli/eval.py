"""`kdspeech eval`."""

from pathlib import Path
from typing import Any

import click

from kdspeech.choices import CHECKPOINTS, DECODE_MODES, DEFAULT_CHECKPOINT, MODES, Checkpoint, DecodeMode, Mode
from kdspeech.cli.decoding_options import chosen_options, decoding_options
from kdspeech.cli.options import adapt_option, common_options, force_option, labels_option


@click.command("eval")
@click.option("--held-out", metavar="SPEAKER", help="The speaker that the student never heard.")
@click.option("--mode", type=click.Choice(MODES), help="Training mode of the run.  [default: the newest run's]")
@labels_option
@adapt_option
@click.option("--seed", type=int, help="Seed of the run.  [default: the newest run's]")
@click.option(
    "--run",
    type=click.Path(file_okay=False, path_type=Path),
    help="Run folder; without it the newest finished run that fits is taken.",
)
@click.option(
    "--decode-mode",
    type=click.Choice(DECODE_MODES),
    default="ctc",
    show_default=True,
    help="ctc: greedy; ctc-beam: NeMo's beam search; decoder: the attention decoder, greedy unless --beam is given; "
    "joint: CTC and attention rescore the decoder's beam; lexicon: the likeliest word of the closed list by CTC.",
)
@decoding_options
@click.option(
    "--checkpoint",
    type=click.Choice(CHECKPOINTS),
    default=DEFAULT_CHECKPOINT,
    show_default=True,
    help="The last epoch's, or the best on the training speakers' held-back productions.",
)
@force_option
@common_options
def command(
    workspace: Path,
    held_out: str | None,
    mode: Mode | None,
    labels: float,
    adapt_unlabelled: bool,
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

    --labels and --adapt-unlabelled name a run of `kdspeech train` with the same; they need --mode.

    \b
    kdspeech eval --held-out M08 --decode-mode ctc
    kdspeech eval --held-out M08 --decode-mode lexicon --nbest 5
    """
    from kdspeech import console, students
    from kdspeech.evaluation.evaluate import evaluate, results_path
    from kdspeech.evaluation.results import print_result
    from kdspeech.runs import find_run
    from kdspeech.supervision import Supervision
    from kdspeech.workspace import Workspace

    chosen = chosen_options(decode_mode, options)
    supervision = Supervision(labels, adapt_unlabelled)
    if mode is None and supervision != Supervision():
        raise click.UsageError("--labels and --adapt-unlabelled need the run's --mode.")
    if run is not None and (held_out or mode or seed is not None):
        raise click.UsageError("--run names one run; leave out --held-out, --mode and --seed.")
    place = Workspace(workspace)
    if held_out is not None:
        place.check_speakers([held_out])
    if run is None:
        variant = None if mode is None else supervision.variant(mode)
        run = find_run(place, held_out=held_out, mode=variant, seed=seed)
        console.remark(f"Taking {run}, the newest finished run that fits.")
    result = evaluate(place, run, decode_mode, students=students, options=chosen, checkpoint=checkpoint, force=force)
    print_result(result)
    console.result(f"Every utterance: {results_path(run, decode_mode, checkpoint, chosen)}")
