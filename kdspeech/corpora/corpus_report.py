"""What is in a prepared corpus: `prepare --report`, as tables and as a page. No recording is decoded a second time."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from kdspeech import console
from kdspeech.corpora.checked import file_states, measure_recordings
from kdspeech.corpora.checking import copies_of
from kdspeech.corpora.measuring import Measured
from kdspeech.faults import Fault, kinds_of
from kdspeech.report.histogram import Histogram, histogram
from kdspeech.report.page import write_page
from kdspeech.report.table import Table
from kdspeech.utterance import SPLITS, Utterance
from kdspeech.workspace import Workspace

CLIPPED_SHARE = 1e-3  # a recording with more of its samples at full scale is called clipped
_TEXT_FAULTS = ("without transcript", "outside the vocabulary", "outside the lexicon")
_MAX_LISTED = 200  # rows of a list
_DASH = "–"  # an empty name

Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class Heard:
    """An utterance and what was measured of its recording."""

    utterance: Utterance
    recording: Measured

    @property
    def is_clipped(self) -> bool:
        return self.recording.clipped_share > CLIPPED_SHARE


@dataclass(frozen=True)
class CorpusReport:
    """What is in a prepared corpus. A list names at most 200."""

    corpus: str  # reader's name
    root: str
    figures: tuple[tuple[str, str, bool], ...]  # name, value, and whether it deserves a look
    by_split_and_band: Table
    by_speaker: Table
    measures: Table  # durations, levels, peaks, clipping, silence
    histograms: tuple[Histogram, ...]
    formats: Table  # sample rates and channels
    clipped: Table  # recordings, the worst first
    copies: Table  # groups of utterances of the same audio
    texts_outside: Table  # transcripts that leave the vocabulary or the lexicon, and empty ones
    faults_by_kind: Table
    faults: Table
    num_broken: int
    broken_path: Path


def corpus_report(workspace: Workspace) -> CorpusReport:
    """Collects the report of a prepared workspace; recordings that were changed since are measured again.

    Raises:
        ManifestError: nothing was prepared.
    """
    utterances, faults = workspace.utterances, workspace.faults
    recordings = measure_recordings(file_states(u.audio_filepath for u in utterances), workspace.checked_path)
    heard = [Heard(u, recordings[u.audio_filepath]) for u in utterances]
    copies, clipped = copies_of(utterances), [h for h in heard if h.is_clipped]
    num_outside = sum(fault.kind in _TEXT_FAULTS for fault in faults)
    return CorpusReport(
        corpus=workspace.corpus.corpus,
        root=workspace.corpus.root,
        figures=(
            ("duration (h:mm:ss)", _clock(sum(u.duration for u in utterances)), False),
            ("utterances", f"{len(utterances):,}", False),
            ("speakers", f"{len(workspace.speakers):,}", False),
            ("distinct words", f"{len(_words(utterances)):,}", False),
            ("left out as broken", f"{len(faults):,}", bool(faults)),
            ("broken transcripts", f"{num_outside:,}", bool(num_outside)),
            ("clipped recordings", f"{len(clipped):,}", bool(clipped)),
            ("copies of other recordings", f"{sum(len(c) - 1 for c in copies):,}", bool(copies)),
        ),
        by_split_and_band=_by_split_and_band(utterances),
        by_speaker=_by_speaker(heard, faults),
        measures=_measures([h.recording for h in heard]),
        histograms=_histograms([h.recording for h in heard]),
        formats=_formats([h.recording for h in heard]),
        clipped=_clipped(clipped),
        copies=_copies(copies),
        texts_outside=_texts_outside(faults),
        faults_by_kind=Table(
            "Broken utterances by kind", ("kind", "utterances"), [(kind, f"{n:,}") for kind, n in kinds_of(faults)]
        ),
        faults=Table(
            "Broken utterances",
            ("utterance", "kind", "reason"),
            [(fault.utt_id, fault.kind, fault.reason) for fault in faults[:_MAX_LISTED]],
            text=(1, 2),
        ),
        num_broken=len(faults),
        broken_path=workspace.broken_path,
    )


def show_corpus_report(workspace: Workspace) -> Path:
    """Prints the report's tables, writes the page and returns its path.

    Raises:
        ManifestError: nothing was prepared.
        KdspeechError: the page cannot be written.
    """
    report, path = corpus_report(workspace), workspace.reports_dir / "corpus.html"
    for table in (report.by_split_and_band, report.measures, report.formats, report.faults_by_kind):
        if table.rows:
            console.table(table.caption, table.columns, table.rows)
    console.table("In all", ("", "count"), [(name, value) for name, value, _ in report.figures])
    write_page(path, f"Corpus report: {report.corpus}", "corpus.html", report=report)
    console.remark(f"Wrote {path}.")
    return path


def _by_split_and_band(utterances: Sequence[Utterance]) -> Table:
    groups = _grouped(utterances, lambda u: (u.split, u.band))
    bands = list(dict.fromkeys(u.band for u in utterances))
    rows = [
        (split, band or _DASH, *_amount(groups[split, band]))
        for split in SPLITS
        for band in bands
        if (split, band) in groups
    ]
    columns = ("split", "band", "speakers", "h:mm:ss", "utterances", "words", "distinct words")
    rows.append(("all", "", *_amount(utterances)))
    return _without_bands(Table("By split and band", columns, rows, text=(1,), total=True), bands)


def _amount(utterances: Sequence[Utterance]) -> tuple[str, ...]:
    words = _words(utterances)
    counts = len({u.speaker for u in utterances}), len(utterances), words.total(), len(words)
    speakers, *others = (f"{count:,}" for count in counts)
    return speakers, _clock(sum(u.duration for u in utterances)), *others


def _by_speaker(heard: Sequence[Heard], faults: Sequence[Fault]) -> Table:
    broken = Counter(fault.speaker for fault in faults)
    rows = []
    for speaker, of_one in _grouped(heard, lambda h: h.utterance.speaker).items():
        utterances, recordings = [h.utterance for h in of_one], [h.recording for h in of_one]
        rows.append(
            (
                speaker,
                utterances[0].band or _DASH,
                _clock(sum(u.duration for u in utterances)),
                f"{len(utterances):,}",
                f"{len(_words(utterances)):,}",
                f"{np.median([u.duration for u in utterances]):.2f}",
                f"{np.median([r.level_dbfs for r in recordings]):.1f}",
                f"{100 * np.mean([r.silent_share for r in recordings]):.1f}",
                f"{sum(h.is_clipped for h in of_one):,}",
                f"{broken[speaker]:,}",
            )
        )
    columns = ("speaker", "band", "h:mm:ss", "utterances", "distinct words", "median s", "median dBFS", "silence %")
    bands = [h.utterance.band for h in heard]
    return _without_bands(Table("By speaker", (*columns, "clipped", "broken"), rows, text=(1,)), bands)


def _without_bands(table: Table, bands: Iterable[str]) -> Table:
    """Drops the second column, the bands, where the corpus has none."""
    if any(bands):
        return table
    rows = [(first, *others) for first, _, *others in table.rows]
    first, _, *others = table.columns
    return Table(table.caption.removesuffix(" and band"), (first, *others), rows, total=table.total)


def _measures(recordings: Sequence[Measured]) -> Table:
    spreads = (
        ("duration, s", 2, [r.duration_s for r in recordings]),
        ("level, dBFS", 1, [r.level_dbfs for r in recordings]),
        ("peak, dBFS", 1, [r.peak_dbfs for r in recordings]),
        ("samples at full scale, %", 3, [100 * r.clipped_share for r in recordings]),
        ("silent frames, %", 1, [100 * r.silent_share for r in recordings]),
    )
    rows = [
        (name, *(f"{value:.{digits}f}" for value in np.quantile(values, (0, 0.05, 0.5, 0.95, 1))))
        for name, digits, values in spreads
    ]
    return Table("Recordings", ("measure", "smallest", "5 %", "median", "95 %", "largest"), rows)


def _histograms(recordings: Sequence[Measured]) -> tuple[Histogram, ...]:
    return (
        histogram("Durations", "s", np.array([r.duration_s for r in recordings])),
        histogram("Levels", "dBFS", np.array([r.level_dbfs for r in recordings])),
        histogram("Peaks", "dBFS", np.array([r.peak_dbfs for r in recordings])),
        histogram("Silent frames", "%", np.array([100 * r.silent_share for r in recordings])),
    )


def _formats(recordings: Sequence[Measured]) -> Table:
    counts = Counter((r.rate, r.channels) for r in recordings).most_common()
    rows = [(f"{rate:,} Hz", str(channels), f"{count:,}") for (rate, channels), count in counts]
    return Table("Sample rates and channels of the files", ("sample rate", "channels", "recordings"), rows)


def _clipped(heard: Iterable[Heard]) -> Table:
    worst = sorted(heard, key=lambda h: -h.recording.clipped_share)[:_MAX_LISTED]
    rows = [(h.utterance.utt_id, h.utterance.speaker, f"{100 * h.recording.clipped_share:.2f}") for h in worst]
    return Table("Clipped recordings, the worst first", ("utterance", "speaker", "% at full scale"), rows, text=(1,))


def _copies(groups: Iterable[Sequence[Utterance]]) -> Table:
    rows = [
        (
            group[0].utt_id,
            ", ".join(u.utt_id for u in group[1:]),
            ", ".join(sorted({u.speaker for u in group})),
            ", ".join(sorted({u.split for u in group})),
        )
        for group in groups
    ]
    columns = ("utterance", "same audio", "speakers", "splits")
    return Table("The same audio under several ids", columns, rows[:_MAX_LISTED], text=(1, 2, 3))


def _texts_outside(faults: Iterable[Fault]) -> Table:
    groups = _grouped((f for f in faults if f.kind in _TEXT_FAULTS), lambda f: (f.text, f.kind))
    most = sorted(groups.items(), key=lambda item: -len(item[1]))[:_MAX_LISTED]
    rows = [
        (text or _DASH, kind, ", ".join(sorted({f.speaker for f in fs})), f"{len(fs):,}") for (text, kind), fs in most
    ]
    columns = ("transcript", "fault", "speakers", "utterances")
    return Table("Transcripts that cannot be used", columns, rows, text=(1, 2))


Item = TypeVar("Item")


def _grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    """In the order of first appearance."""
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups


def _words(utterances: Sequence[Utterance]) -> Counter[str]:
    words: Counter[str] = Counter()
    for text, count in Counter(u.text for u in utterances).items():
        for word in text.split():
            words[word] += count
    return words


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
