"""The corpus report, on a corpus whose every figure is known."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from kdspeech.corpora.corpus_report import CorpusReport, corpus_report, show_corpus_report
from kdspeech.corpora.prepare import prepare
from kdspeech.errors import ManifestError
from kdspeech.report.table import Table
from kdspeech.workspace import Workspace

_RATE = 16_000
_SECONDS = {"ann": 1.0, "bob": 3.0}


def _square(seconds: float, amplitude: float = 0.5) -> np.ndarray:
    return amplitude * np.where(np.arange(round(seconds * _RATE)) % 2, 1.0, -1.0)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Two speakers, six recordings of `no yes` each: ann5 is clipped, bob5 a copy of bob1; four more are broken."""
    rows: list[dict[str, Any]] = []
    for speaker, seconds in _SECONDS.items():
        for index in range(6):
            name = f"{speaker}{index}"
            quieter = 0.5 - 0.001 * index  # no two alike
            soundfile.write(tmp_path / f"{name}.wav", _square(seconds, quieter), _RATE, subtype="FLOAT")
            split, band = "test" if index == 0 else "train", {"ann": "LOW", "bob": "HIGH"}[speaker]
            rows.append({"audio_filepath": f"{name}.wav", "text": "no yes", "speaker": speaker})
            rows[-1] |= {"split": split, "band": band}
    clipped = _square(1.0, 0.4)
    clipped[: _RATE // 4] = 1.0
    soundfile.write(tmp_path / "ann5.wav", clipped, _RATE, subtype="FLOAT")
    shutil.copy(tmp_path / "bob1.wav", tmp_path / "bob5.wav")
    for name, text in (("x", "señor"), ("y", "señor"), ("z", "yes")):
        soundfile.write(tmp_path / f"{name}.wav", _square(1.0, 0.3), _RATE, subtype="FLOAT")
        rows.append({"audio_filepath": f"{name}.wav", "text": text, "speaker": "ann", "split": "train", "band": "LOW"})
    (tmp_path / "z.wav").write_text("no audio")
    rows.append({**rows[-1], "audio_filepath": "gone.wav"})
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    workspace = Workspace(tmp_path / "workspace")
    prepare(workspace, "manifest", tmp_path / "corpus.jsonl")
    return Workspace(workspace.root)


@pytest.fixture
def report(workspace: Workspace) -> CorpusReport:
    return corpus_report(workspace)


def _rows(table: Table) -> list[tuple[str, ...]]:
    assert all(len(row) == len(table.columns) for row in table.rows)
    return [tuple(row) for row in table.rows]


def test_figures(report: CorpusReport) -> None:
    assert {name: (value, warn) for name, value, warn in report.figures} == {
        "duration (h:mm:ss)": ("0:00:24", False),
        "utterances": ("12", False),
        "speakers": ("2", False),
        "distinct words": ("2", False),
        "left out as broken": ("4", True),
        "broken transcripts": ("2", True),
        "clipped recordings": ("1", True),
        "copies of other recordings": ("1", True),
    }


def test_amounts_by_split_and_band(report: CorpusReport) -> None:
    assert _rows(report.by_split_and_band) == [
        ("train", "LOW", "1", "0:00:05", "5", "10", "2"),
        ("train", "HIGH", "1", "0:00:15", "5", "10", "2"),
        ("test", "LOW", "1", "0:00:01", "1", "2", "2"),
        ("test", "HIGH", "1", "0:00:03", "1", "2", "2"),
        ("all", "", "2", "0:00:24", "12", "24", "2"),
    ]


def test_speakers(report: CorpusReport) -> None:
    ann, bob = (dict(zip(report.by_speaker.columns, row, strict=True)) for row in _rows(report.by_speaker))
    assert ann == {
        "speaker": "ann",
        "band": "LOW",
        "h:mm:ss": "0:00:06",
        "utterances": "6",
        "distinct words": "2",
        "median s": "1.00",
        "median dBFS": "-6.0",  # 20 log10(0.4985)
        "silence %": "0.0",
        "clipped": "1",
        "broken": "4",
    }
    assert (bob["h:mm:ss"], bob["clipped"], bob["broken"]) == ("0:00:18", "0", "0")


def test_a_corpus_without_bands_has_no_column_of_them(
    tmp_path: Path, digits_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = Workspace(tmp_path / "w")
    prepare(workspace, "fsdd", digits_folder, report=True)
    assert "band" not in capsys.readouterr().out
    report = corpus_report(workspace)
    assert report.by_split_and_band.columns[:2] == ("split", "speakers")
    assert _rows(report.by_split_and_band)[0] == ("train", "3", "0:00:07", "12", "12", "2")


def test_measures_and_histograms(report: CorpusReport) -> None:
    measures = {row[0]: row[1:] for row in _rows(report.measures)}
    assert measures["duration, s"] == ("1.00", "1.00", "2.00", "3.00", "3.00")
    assert measures["samples at full scale, %"][-1] == "25.000"
    assert {h.caption: sum(count for _, count in h.bins) for h in report.histograms} == {
        "Durations": 12,
        "Levels": 12,
        "Peaks": 12,
        "Silent frames": 12,
    }
    assert _rows(report.formats) == [("16,000 Hz", "1", "12")]


def test_what_deserves_a_look_is_named(report: CorpusReport) -> None:
    assert _rows(report.clipped) == [("ann5", "ann", "25.00")]
    assert _rows(report.copies) == [("bob1", "bob5", "bob", "train")]
    assert _rows(report.texts_outside) == [("señor", "outside the vocabulary", "ann", "2")]
    assert _rows(report.faults_by_kind) == [("outside the vocabulary", "2"), ("unreadable", "1"), ("missing", "1")]
    assert [row[:2] for row in _rows(report.faults)] == [
        ("x", "outside the vocabulary"),
        ("y", "outside the vocabulary"),
        ("z", "unreadable"),
        ("gone", "missing"),
    ]


def test_tables_are_printed_and_a_page_is_written(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    path = show_corpus_report(workspace)
    printed, page = capsys.readouterr().out, path.read_text(encoding="utf-8")
    assert path == workspace.reports_dir / "corpus.html"
    for text in ("VERY", "0:00:24", "clipped recordings", "outside the vocabulary"):
        assert (text in printed) == (text != "VERY")
    for text in ("ann5", "bob5", "señor", "gone.wav: the audio file does not exist", "0:00:24"):
        assert text in page


def test_a_report_without_a_memory_measures_what_is_there(workspace: Workspace, report: CorpusReport) -> None:
    workspace.checked_path.unlink()
    assert corpus_report(Workspace(workspace.root)) == report


def test_nothing_prepared_is_said(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="kdspeech prepare"):
        show_corpus_report(Workspace(tmp_path))


def test_recordings_are_not_measured_for_the_report(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, report: CorpusReport
) -> None:
    refuse: Callable[..., Any] = lambda *_: pytest.fail("decoded a second time")  # noqa: E731
    monkeypatch.setattr("kdspeech.corpora.checked.measure", refuse)
    assert corpus_report(workspace) == report
