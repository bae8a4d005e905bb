"""The headline: every system's WRA with its interval, differences between students, and bars by speaker and band."""

from collections.abc import Mapping, Sequence

from kdspeech.comparison.compare import weigh
from kdspeech.report.bar_chart import Bar, BarChart, BarGroup
from kdspeech.report.table import Table
from kdspeech.run_report.contenders import STUDENT, Contender, Field
from kdspeech.run_report.subject import title_of
from kdspeech.scoring.bootstrap import NUM_REPLICATES

_COLUMNS = ("system", "decoded by", "WRA %", "95 % interval", "right", "WER %", "CER %", "speakers")


def headline(field: Field) -> Table:
    """A row for each system and decode mode."""
    rows = []
    for contender in (contender for decoding in field.decodings for contender in field.of(decoding)):
        found, scores = field.wra(contender, contender.shares, NUM_REPLICATES), contender.scores
        speakers = {field.speaker_of[utt_id] for utt_id in contender.shares}
        rows.append(
            (
                contender.name,
                title_of(contender.decoding),
                f"{found.value:.1f}",
                str(found.interval),
                f"{scores.correct} of {scores.utterances}",
                f"{scores.wer:.1f}",
                f"{scores.cer:.1f}",
                str(len(speakers)),
            )
        )
    return Table("Word recognition accuracy (WRA) on held-out speakers, mean over speakers", _COLUMNS, rows, text=(1,))


def differences(field: Field) -> Table | None:
    """Every other student against the first, on the utterances that both answered; None with one student."""
    rows = []
    for decoding in field.decodings:
        first, *others = [c for c in field.of(decoding) if c.kind == STUDENT]
        for other in others:
            common = [utt_id for utt_id in first.shares if utt_id in other.shares]
            if not common:
                rows.append(
                    (f"{other.name} − {first.name}", title_of(decoding), "–", "–", "–", "no utterance in common")
                )
                continue
            evidence = weigh(field.units([first, other], common))
            points = evidence.estimates["macro"]
            verdict = evidence.verdict.replace("B - A", "the difference")
            verdict = verdict.replace("B is", f"{other.name} is").replace("A is", f"{first.name} is")
            rows.append(
                (
                    f"{other.name} − {first.name}",
                    title_of(decoding),
                    f"{points.value:+.1f}",
                    str(points.interval),
                    f"{evidence.p_value.value:.3g}",
                    verdict,
                )
            )
    columns = ("difference", "decoded by", "points", "95 % interval", "p", "in words")
    return Table("Differences in WRA", columns, rows, text=(1, 5)) if rows else None


def charts_by(field: Field, groups: Mapping[str, str], what: str) -> list[BarChart]:
    """A chart for each decode mode, its bars in groups.

    Args:
        groups: utterance id -> speaker or band.
        what: names the groups in the caption.
    """
    charts = []
    for decoding in field.decodings:
        found = field.of(decoding)
        names = dict.fromkeys(groups[i] for contender in found for i in contender.shares if i in groups)
        drawn = [BarGroup(name, _bars(field, found, groups, name)) for name in names]
        if drawn:
            charts.append(BarChart(f"WRA % by {what}, {title_of(decoding)}", drawn))
    return charts


def _bars(field: Field, contenders: Sequence[Contender], groups: Mapping[str, str], name: str) -> list[Bar]:
    bars = []
    for contender in contenders:
        utt_ids = [utt_id for utt_id in contender.shares if groups.get(utt_id) == name]
        if utt_ids:
            found = field.wra(contender, utt_ids)
            bars.append(Bar(contender.name, found.value, found.interval.low, found.interval.high, contender.kind))
    return bars
