"""`kdspeech combine`."""

from pathlib import Path

import click

from kdspeech.choices import COMBINATION_METHODS, CombinationMethod
from kdspeech.cli.options import quiet_option
from kdspeech.cli.score import (
    FILE,
    check_reference_format,
    homophones_option,
    hypothesis_format_option,
    out_option,
    reference_format_option,
    rules_option,
)
from kdspeech.scoring.formats.registry import WRITABLE


@click.command("combine")
@click.argument("hypotheses", metavar="HYP...", type=FILE, nargs=-1, required=True)
@click.option(
    "--method", type=click.Choice(COMBINATION_METHODS), default="vote", show_default=True, help="What to write."
)
@click.option("--ref", "reference", type=FILE, help="References.  [default: those that all HYP hold themselves]")
@click.option("--write", "hypotheses_out", type=FILE, metavar="FILE", help="Write the combined hypotheses here.")
@click.option("--write-format", type=click.Choice(WRITABLE), help="Its form.  [default: by its suffix, else jsonl]")
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1),
    default=1.0,
    show_default=True,
    help="ROVER's weight of frequency against confidence.",
)
@click.option(
    "--null-confidence",
    type=click.FloatRange(0, 1),
    help="ROVER's of saying nothing, with --alpha below 1.  [default: 0.5]",
)
@hypothesis_format_option
@reference_format_option
@rules_option
@homophones_option
@out_option
@quiet_option
def command(
    hypotheses: tuple[Path, ...],
    method: CombinationMethod,
    reference: Path | None,
    hypotheses_out: Path | None,
    write_format: str | None,
    alpha: float,
    null_confidence: float | None,
    hypothesis_format: str | None,
    reference_format: str | None,
    rules: tuple[str, ...] | None,
    homophones: str | None,
    out: Path | None,
) -> None:
    """Combine several systems' output: a vote over whole utterances, and ROVER word by word.

    HYP are files of any form that `kdspeech score` reads. With references it prints every system, their mean, the best
    (an oracle: known only afterwards), both combinations, and how often any system is right (an oracle, too).

    \b
    kdspeech combine a.trn b.trn c.trn --ref workspace/manifests/manifest.jsonl --write combined.trn
    """
    check_reference_format(reference, reference_format)
    if len(hypotheses) < 2:
        raise click.UsageError(f"expected two or more files, found {hypotheses[0]} alone.")
    if write_format is not None and hypotheses_out is None:
        raise click.UsageError("--write-format needs --write FILE.")
    if null_confidence is not None and alpha == 1:
        raise click.UsageError("--null-confidence has no meaning with --alpha 1, which weighs by frequency alone.")

    from kdspeech import console
    from kdspeech.combination.combine import combine
    from kdspeech.combination.rover import RoverOptions
    from kdspeech.scoring.homophone_files import read_homophones
    from kdspeech.scoring.normalise import choose_rules

    found = combine(
        hypotheses,
        method=method,
        reference=reference,
        hypotheses_out=hypotheses_out,
        format_out=write_format,
        rover_options=RoverOptions(alpha) if null_confidence is None else RoverOptions(alpha, null_confidence),
        rules=choose_rules(rules),
        homophones=read_homophones(homophones),
        hypothesis_format=hypothesis_format,
        reference_format=reference_format,
        out=out,
    )
    found.print()
    if hypotheses_out is not None:
        console.result(f"{len(found.combined)} combined hypotheses ({method}): {hypotheses_out}")
    if out is not None:
        console.result(f"With all counts: {out}")
