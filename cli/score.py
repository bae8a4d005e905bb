"""`kdspeech score`."""

from pathlib import Path

import click

from kdspeech.cli.options import choices_callback, quiet_option, speakers_option
from kdspeech.scoring.formats.registry import FORMATS
from kdspeech.scoring.normalise import RULE_NAMES

FILE = click.Path(path_type=Path)

hypothesis_format_option = click.option(
    "--format", "hypothesis_format", type=click.Choice(tuple(FORMATS)), help="Form of HYP.  [default: found out]"
)
reference_format_option = click.option(
    "--ref-format", "reference_format", type=click.Choice(tuple(FORMATS)), help="Form of REF.  [default: found out]"
)
rules_option = click.option(
    "--rules",
    callback=choices_callback((*RULE_NAMES, "none")),
    metavar="A,B,...|none",
    help=f"Normalisation rules, in order.  [default: {','.join(RULE_NAMES)}]",
)
homophones_option = click.option(
    "--homophones",
    metavar="FILE|english",
    help="Count words that sound alike as one: a workspace's lexicon.json, a text file with one group a line, or the "
    "built-in English groups.",
)


def check_reference_format(reference: Path | None, reference_format: str | None) -> None:
    """Raises click.UsageError for a form of references where no file of references is named."""
    if reference is None and reference_format is not None:
        raise click.UsageError("--ref-format needs --ref; --format names the form of files that hold both.")


strict_option = click.option("--strict", is_flag=True, help="Refuse missing and extra ids instead of counting them.")
out_option = click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="JSON file for all of it.")


@click.command("score")
@click.argument("reference", metavar="REF", type=FILE)
@click.argument("hypotheses", metavar="[HYP]...", type=FILE, nargs=-1)
@speakers_option(required=False, help="Score these speakers of REF only.  [default: all]")
@hypothesis_format_option
@reference_format_option
@rules_option
@homophones_option
@strict_option
@out_option
@quiet_option
def command(
    reference: Path,
    hypotheses: tuple[Path, ...],
    speakers: list[str] | None,
    hypothesis_format: str | None,
    reference_format: str | None,
    rules: tuple[str, ...] | None,
    homophones: str | None,
    strict: bool,
    out: Path | None,
) -> None:
    """Score any system's output: WRA, WER with S/D/I, CER, with their counts.

    REF and HYP are JSON Lines (this project's and NeMo's manifests too), CSV, utt_id<TAB>text, Kaldi's and ESPnet's
    text, sclite's trn, SpeechBrain's wer_*.txt or this project's results-*.json. A file that holds both, as the last
    two do, can stand alone. Several HYP are folds of one system. Speaker, band, word type, block, production and
    microphone come from REF, if it is a manifest of `kdspeech prepare`. A missing hypothesis counts as wrong; extra
    ones are listed.

    \b
    kdspeech score workspace/manifests/manifest.jsonl hypotheses.trn
    kdspeech score wer_test.txt --homophones english --out scores.json
    """
    if hypothesis_format is not None and not hypotheses:
        raise click.UsageError("--format is HYP's, and there is none; --ref-format names the form of REF.")

    from kdspeech import console
    from kdspeech.scoring.homophone_files import read_homophones
    from kdspeech.scoring.normalise import choose_rules
    from kdspeech.scoring.score_files import score

    report = score(
        reference,
        hypotheses,
        speakers=None if speakers == ["all"] else speakers,
        rules=choose_rules(rules),
        homophones=read_homophones(homophones),
        reference_format=reference_format,
        hypothesis_format=hypothesis_format,
        strict=strict,
        out=out,
    )
    report.print()
    if out is not None:
        console.result(f"With all counts: {out}")
