"""An empty workspace, and corpora made as they are asked for."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from kdspeech.workspace import Workspace

WriteWav = Callable[..., Path]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


@pytest.fixture
def corpus(tmp_path: Path, write_wav: WriteWav) -> Callable[..., Path]:
    """corpus({"a": "yes"}, rows): a manifest of one recording for each name, by ann unless its row says otherwise."""

    def write(texts: Mapping[str, str], rows: Mapping[str, Mapping[str, Any]] | None = None) -> Path:
        lines = []
        for seed, (name, text) in enumerate(texts.items()):
            audio = tmp_path / "wavs" / f"{name}.wav"
            if not audio.exists():
                write_wav(audio, seed=seed, duration_s=1.0)
            row = {"audio_filepath": str(audio), "text": text, "speaker": "ann", "split": "train"}
            lines.append(json.dumps({**row, **(rows or {}).get(name, {})}) + "\n")
        (tmp_path / "corpus.jsonl").write_text("".join(lines))
        return tmp_path / "corpus.jsonl"

    return write


@pytest.fixture
def broken_folder(digits_folder: Path) -> Path:
    """`digits_folder` with the faults of BROKEN."""
    folder = digits_folder / "recordings"
    soundfile.write(folder / "0_ann_0.wav", np.zeros(0), 16_000)
    whole = (folder / "0_ann_5.wav").read_bytes()
    (folder / "0_ann_5.wav").write_bytes(whole[:-1000])
    soundfile.write(folder / "0_ann_8.wav", np.full(9_600, np.nan), 16_000, subtype="FLOAT")
    soundfile.write(folder / "0_ann_9.wav", np.zeros(100), 16_000)
    (folder / "0_bob_0.wav").write_text("no audio")
    return digits_folder
