"""`kdspeech transcribe`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kdspeech.choices import Checkpoint, DecodeMode, Mode
from kdspeech.cli.decoding_options import chosen_options, decoding_options
from kdspeech.cli.options import common_options
from kdspeech.cli.run_options import chosen_run, decode_mode_option, max_duration_option, run_options, trim_option

if TYPE_CHECKING:
    from kdspeech.supervision import Supervision


@click.command("transcribe")
@click.argument(
    "audio",
    nargs=-1,
    required=True,
    metavar="FILE|DIR|-...",
    type=click.Path(path_type=Path, allow_dash=True),
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON Lines instead of a table.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write JSON Lines to this file.")
@max_duration_option(60.0, "Put longer recordings aside: a student hears one utterance at a time.")
@trim_option
@decode_mode_option()
@decoding_options
@run_options
@common_options
def command(
    workspace: Path,
    audio: tuple[Path, ...],
    as_json: bool,
    out: Path | None,
    max_duration: float,
    trim: bool,
    run: Path | None,
    recipe: str | None,
    held_out: str | None,
    mode: Mode | None,
    supervision: "Supervision",
    seed: int | None,
    checkpoint: Checkpoint,
    decode_mode: DecodeMode,
    **options: Any,
) -> None:
    """Write down what is said in recordings, with confidence, by a trained student.

    Any format that libsndfile reads (WAV, FLAC, MP3, OGG, ...), at any rate, mono or stereo; of a folder all that lies
    in it; `-` reads a recording's bytes from standard input. A broken file is named with its reason and the others are
    transcribed; the exit code is then 1.

    Long silence around an utterance is left out, since students of single words hear words in it; --no-trim hears it,
    as `kdspeech eval` does. Use it where a corpus' own recordings have long silence.

    A run folder is enough: `--run DIR` needs no workspace, but --decode-mode lexicon takes its words from one.
    Confidences are calibrated if `kdspeech eval` has decoded this run in the same mode.

    \b
    kdspeech transcribe word.wav --decode-mode lexicon --nbest 5
    kdspeech transcribe recordings/ --out heard.jsonl
    """
    if sum(str(path) == "-" for path in audio) > 1:
        raise click.UsageError("Standard input holds one recording; name `-` once.")

    from kdspeech import console, students
    from kdspeech.files import check_writable
    from kdspeech.transcription.sources import Source, find_sources
    from kdspeech.transcription.transcribe import transcribe
    from kdspeech.transcription.transcriber import Transcriber, warn_if_uncalibrated
    from kdspeech.workspace import Workspace

    chosen = chosen_options(decode_mode, options)
    place = Workspace(workspace)
    run = chosen_run(place, run, recipe, held_out, mode, supervision, seed)
    sources: list[Source] = []
    for path in audio:
        if str(path) == "-":
            sources.append(Source("standard input", data=sys.stdin.buffer.read()))
        else:
            sources += find_sources([path])
    if out is not None:
        check_writable(out.parent)
    transcriber = Transcriber(
        run,
        decode_mode,
        students=students,
        lexicon=lambda: place.lexicon,
        options=chosen,
        checkpoint=checkpoint,
        trim=trim,
    )
    warn_if_uncalibrated(transcriber)
    found = transcribe(transcriber, sources, max_duration)
    if out is not None:
        found.save(out)
    if as_json:
        click.echo(found.to_json_lines(), nl=False)
    elif found.transcripts:
        found.print()
    for fault in found.unheard:
        console.warn(fault.reason)
    if out is not None:
        say = console.remark if as_json else console.result  # standard output holds JSON Lines alone
        say(f"{len(found.transcripts)} recordings: {out}")
    if found.unheard:
        console.warn(f"{len(found.unheard)} of {len(sources)} recordings could not be transcribed.")
        click.get_current_context().exit(1)
