"""`kdspeech compare`."""

from pathlib import Path

import click

from kdspeech.cli.options import quiet_option
from kdspeech.cli.score import (
    FILE,
    check_reference_format,
    homophones_option,
    hypothesis_format_option,
    out_option,
    reference_format_option,
    rules_option,
    strict_option,
)


@click.command("compare")
@click.argument("a", metavar="A")
@click.argument("b", metavar="B")
@click.option("--ref", "reference", type=FILE, help="References.  [default: those that A and B hold themselves]")
@hypothesis_format_option
@reference_format_option
@rules_option
@homophones_option
@strict_option
@click.option("--replicates", type=click.IntRange(min=100), default=10_000, show_default=True, help="Of the bootstrap.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the bootstrap.")
@out_option
@quiet_option
def command(
    a: str,
    b: str,
    reference: Path | None,
    hypothesis_format: str | None,
    reference_format: str | None,
    rules: tuple[str, ...] | None,
    homophones: str | None,
    strict: bool,
    replicates: int,
    seed: int,
    out: Path | None,
) -> None:
    """Tell whether B is better than A: difference in WRA with a 95 % interval, and exact permutation p-values.

    A and B are each a file of any form that `kdspeech score` reads, several with commas between, or a quoted pattern.
    Files with the same utterances are seeds and pooled; files with others are folds. The interval is a bootstrap over
    speakers and their productions. The p-value over speakers (six or more) speaks for other speakers too.

    \b
    kdspeech compare a.trn b.trn --ref workspace/manifests/manifest.jsonl
    cd workspace/runs/RECIPE && kdspeech compare '*/labels/*/results-ctc.json' '*/ctc-kd/*/results-ctc.json'
    """
    check_reference_format(reference, reference_format)

    from kdspeech import console
    from kdspeech.comparison.compare import compare
    from kdspeech.comparison.systems import find_files
    from kdspeech.scoring.homophone_files import read_homophones
    from kdspeech.scoring.normalise import choose_rules

    found = compare(
        find_files(a),
        find_files(b),
        reference=reference,
        rules=choose_rules(rules),
        homophones=read_homophones(homophones),
        hypothesis_format=hypothesis_format,
        reference_format=reference_format,
        strict=strict,
        num_replicates=replicates,
        seed=seed,
        out=out,
    )
    found.print()
    if out is not None:
        console.result(f"With all counts: {out}")
