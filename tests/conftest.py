"""Environment of all tests, and the fixtures that several of them share."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from kdspeech import console
from kdspeech.cli.main import main
from kdspeech.lexicon import Lexicon
from kdspeech.vocabulary import Vocabulary

torch.set_num_threads(1)

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SPEAKERS = ("ann", "bob", "cid")


@pytest.fixture(scope="session")
def lexicon() -> Lexicon:
    """The ten digits."""
    return Lexicon(DIGITS)


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """SentencePiece pieces of the ten digits, in SpeechBrain's id layout."""
    return Vocabulary.train(DIGITS, size=40, model_type="bpe")


@pytest.fixture(autouse=True)
def _loud() -> Iterator[None]:
    """Every test starts without --quiet, whatever the last one did."""
    console.configure(quiet=False)
    yield
    console.configure(quiet=False)


@pytest.fixture(scope="session")
def write_wav() -> Callable[..., Path]:
    """write(path, duration_s=0.6, rate=16000, seed=0): a file of coloured noise, another one for each seed."""

    def write(path: Path, duration_s: float = 0.6, rate: int = 16_000, seed: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(seed).normal(size=round(duration_s * rate))
        soundfile.write(path, 0.1 * noise, rate, subtype="PCM_16")
        return path

    return write


@pytest.fixture
def digits_folder(tmp_path: Path, write_wav: Callable[..., Path]) -> Path:
    """An FSDD-like folder: SPEAKERS x `zero`, `one` x indices 0 (test), 5 (valid), 8, 9 (train); 24 files of 0.6 s."""
    folder = tmp_path / "digits"
    names = [f"{digit}_{speaker}_{index}" for digit in (0, 1) for speaker in SPEAKERS for index in (0, 5, 8, 9)]
    for seed, name in enumerate(names):
        write_wav(folder / "recordings" / f"{name}.wav", rate=8_000, seed=seed)
    return folder


@dataclass(frozen=True)
class CommandResult:
    """What a call of the command line gave."""

    exit_code: int
    stdout: str
    stderr: str


@pytest.fixture
def run_cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., CommandResult]:
    """run("prepare", "fsdd", ...): calls `kdspeech` in this process, as the shell would."""

    def run(*arguments: object) -> CommandResult:
        monkeypatch.setattr(sys, "argv", ["kdspeech", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return CommandResult(int(ended.value.code or 0), output.out, output.err)

    return run
