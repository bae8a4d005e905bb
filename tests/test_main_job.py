"""The whole way by the user's own commands, in small: on real recordings, and on synthetic words."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

SPEAKERS = ("jackson", "theo", "lucas")
HELD_OUT = "theo"
INDICES = range(20)  # 0-4 test, 5-7 valid, 8-19 train
SMALL = tuple(
    part
    for setting in (
        "teacher.epochs=25",
        "teacher.d_model=64",
        "teacher.encoder_layers=2",
        "teacher.decoder_layers=1",
        "student.encoder_config.n_layers=2",
        "student.decoder_layers=2",
        "training.batch_size=8",
        "stages.0.epochs=15",
    )
    for part in ("--set", setting)
)


def _tone_word(digit: int, pitch: float, rng: np.random.Generator) -> np.ndarray:
    """float64 [N] at 8 kHz: a word made of two tones, at a speaker's pitch, in a little noise."""
    time = np.arange(round(8_000 * rng.uniform(0.2, 0.3))) / 8_000
    frequencies = (300 + 150 * (digit % 5), 900 + 700 * (digit // 5))  # Hz
    tones = [np.sin(2 * np.pi * pitch * frequency * time) for frequency in frequencies]
    return 0.3 * np.concatenate(tones) + 0.01 * rng.normal(size=2 * len(time))


@pytest.fixture
def tone_folder(tmp_path: Path) -> Path:
    """An FSDD-like folder of synthetic words that a small model learns quickly."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "tones"
    folder.mkdir()
    for speaker, pitch in zip(SPEAKERS, (0.97, 1.0, 1.03), strict=True):
        for digit in range(10):
            for index in INDICES:
                soundfile.write(folder / f"{digit}_{speaker}_{index}.wav", _tone_word(digit, pitch, rng), 8_000)
    return folder


@pytest.fixture
def recordings_folder(tmp_path: Path) -> Path:
    """The first recordings of three real speakers."""
    source = os.environ.get("KDSPEECH_FSDD")
    if not source:
        pytest.fail("set KDSPEECH_FSDD to a folder of the Free Spoken Digit Dataset: make realdata FSDD=DIR")
    found = Path(source, "recordings") if Path(source, "recordings").is_dir() else Path(source)
    folder = tmp_path / "recordings"
    folder.mkdir()
    for speaker in SPEAKERS:
        for digit in range(10):
            for index in INDICES:
                name = f"{digit}_{speaker}_{index}.wav"
                shutil.copy(found / name, folder / name)
    return folder


def _run_main_job(run: Callable[..., object], workspace: Path, recordings: Path) -> dict[str, dict[str, object]]:
    """Prepares, teaches, dumps, trains and evaluates; the results by decode mode."""

    def kdspeech(*arguments: object) -> str:
        ended = run(*arguments, "--workspace", workspace)
        assert ended.exit_code == 0, ended.stderr  # type: ignore[attr-defined]
        return str(ended.stdout)  # type: ignore[attr-defined]

    teachers = ",".join(name for name in SPEAKERS if name != HELD_OUT)
    kdspeech("prepare", "fsdd", "--root", recordings)
    kdspeech("train-teachers", "--speakers", teachers, "--jobs", 1, *SMALL)
    kdspeech("dump-teachers", "--speakers", teachers, "--jobs", 1, *SMALL)
    kdspeech("train", "--held-out", HELD_OUT, "--mode", "decoder-kd", *SMALL)
    results = {}
    for mode in ("ctc", "decoder", "lexicon"):
        kdspeech("eval", "--held-out", HELD_OUT, "--decode-mode", mode)
        (file,) = workspace.glob(f"runs/**/results-{mode}*.json")
        results[mode] = json.loads(file.read_text())
    return results


def _check_results(workspace: Path, results: dict[str, dict[str, object]], chance: float) -> None:
    for mode, result in results.items():
        utterances = result["utterances"]
        assert isinstance(utterances, list)
        assert len(utterances) == 10 * len(INDICES), mode
        assert {row["speaker"] for row in utterances} == {HELD_OUT}
        correct = sum(row["hypothesis"] == row["reference"] for row in utterances)
        assert correct / len(utterances) > chance, (mode, [row["hypothesis"] for row in utterances][:20])
    (proof,) = workspace.glob("runs/**/fold_proof.json")
    assert HELD_OUT not in json.loads(proof.read_text())["training_speakers"]
    assert not list(workspace.glob(f"dumps/**/{HELD_OUT}*")), "the held-out speaker's audio was scored"


@pytest.mark.slow
def test_main_job_on_synthetic_words(run_cli: Callable[..., object], tmp_path: Path, tone_folder: Path) -> None:
    results = _run_main_job(run_cli, tmp_path / "workspace", tone_folder)
    _check_results(tmp_path / "workspace", results, chance=0.5)


@pytest.mark.realdata
def test_main_job_on_real_recordings(run_cli: Callable[..., object], tmp_path: Path, recordings_folder: Path) -> None:
    results = _run_main_job(run_cli, tmp_path / "workspace", recordings_folder)
    _check_results(tmp_path / "workspace", {"lexicon": results["lexicon"]}, chance=0.2)
