"""The calibration script measures what it says: against matrices whose differences are known."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from kdspeech.corpora.uaspeech_speakers import SPEAKERS
from kdspeech.errors import KdspeechError
from tests.scripts import load_script, run_script

OWN = {"HIGH": 93.6, "MID": 76.0, "LOW": 58.1, "VERY LOW": 25.3}


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("calibrate_simulated")


def _scores(names: list[str], wra: np.ndarray) -> dict[str, dict[str, dict[str, float]]]:
    return {t: {"decoder": {s: float(wra[i, j]) for j, s in enumerate(names)}} for i, t in enumerate(names)}


def _run(script: ModuleType, monkeypatch: pytest.MonkeyPatch, root: Path, names: list[str], wra: np.ndarray) -> int:
    monkeypatch.setattr(script, "score_teachers", lambda workspace, every: _scores(names, wra))
    return run_script(script, ["--workspace", str(root)])


def _like_the_real_one(script: ModuleType, shift: float = 0.0) -> tuple[list[str], np.ndarray]:
    real = script.read_real()
    wra = np.where(np.isnan(real.wra), real.others, real.wra) + shift
    np.fill_diagonal(wra, [OWN[SPEAKERS[name].band] for name in real.speakers])
    return list(real.speakers), wra


def test_the_real_band_means_are_the_published_ones(script: ModuleType) -> None:
    real = script.read_real()
    bands = {band: [real.others[i] for i, n in enumerate(real.speakers) if SPEAKERS[n].band == band] for band in OWN}
    means = {band: np.mean(values) for band, values in bands.items()}
    assert means == pytest.approx({"HIGH": 74.3, "MID": 39.0, "LOW": 27.3, "VERY LOW": 4.6}, abs=0.1)


def test_the_real_corpus_itself_is_calibrated(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _run(script, monkeypatch, tmp_path, *_like_the_real_one(script)) == 0
    report = (tmp_path / "reports" / "calibration.md").read_text()
    assert "| own | VERY LOW | 25.3 | 25.3 | +0.0 |" in report
    assert "(Spearman): 1.000" in report
    assert "(!)" not in report
    assert (tmp_path / "reports" / "calibration.svg").read_text().count("<text") > 15 * 15
    assert "1.000" in capsys.readouterr().out


def test_a_shift_is_seen_and_does_not_change_the_order(
    script: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _run(script, monkeypatch, tmp_path, *_like_the_real_one(script, shift=20.0)) == 1
    report = (tmp_path / "reports" / "calibration.md").read_text()
    assert report.count("(!)") == 4
    assert "| +20.0 (!) |" in report.replace("+19.9", "+20.0")
    assert "(Spearman): 1.000" in report


def test_a_few_speakers_are_compared_with_the_same_few(script: ModuleType) -> None:
    names = ["M01", "M08", "F05"]
    wra = np.array([[30.0, 56.0, 50.0], [10.0, 90.0, 80.0], [20.0, 70.0, 95.0]])
    real = script.read_real()
    simulated = script.cross_wra(_scores(names, wra), "decoder", real.speakers)
    assert simulated.speakers == ("F05", "M08", "M01")
    lines, correlation = script.compare(real.restricted(simulated.speakers), simulated)
    others = {line.band: (line.real, line.simulated) for line in lines if line.what == "others"}
    assert others["VERY LOW"] == pytest.approx(((3.3 + 7.2) / 2, 15.0))
    assert others["HIGH"] == pytest.approx((((74.7 + 83.9) / 2 + 92.8) / 2, 64.0))
    assert correlation == pytest.approx(1.0)


def test_without_teachers_it_says_what_to_run(script: ModuleType) -> None:
    with pytest.raises(KdspeechError, match="train-teachers"):
        script.cross_wra({}, "decoder", ["M08"])
