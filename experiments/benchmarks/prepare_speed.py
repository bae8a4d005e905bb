"""How fast are manifests opened and corpora prepared? On a synthetic corpus in a temporary folder, from a warm disk.

Needs an installed kdspeech:  python experiments/benchmarks/prepare_speed.py [--files 4000] [--lines 200000]
Absolute times belong to one machine: compare two versions by running both, in turn, on the same one. CPU time tells
more than wall time where the machine has other work.
"""

import argparse
import io
import os
import tempfile
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import soundfile

from kdspeech import console
from kdspeech.corpora.manifest import read
from kdspeech.corpora.prepare import prepare
from kdspeech.utterance import Utterance, read_manifest, write_manifest
from kdspeech.workspace import Workspace

_FORMATS = ((3.0, 16_000), (0.5, 8_000), (3.0, 48_000))  # seconds and Hz; the first is UASpeech's
_WORDS = ("command", "yes", "no", "alpha", "bravo", "zero", "one", "two", "copy", "paste")


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=4_000, help="recordings of each format")
    parser.add_argument("--lines", type=int, default=200_000, help="lines of the manifest")
    options = parser.parse_args()
    console.configure(quiet=True)
    rows: list[tuple[str, ...]] = []
    with tempfile.TemporaryDirectory() as folder:
        rows += _manifests(Path(folder), options.lines)
        for seconds, rate in _FORMATS:
            rows += _corpora(Path(folder), options.files, seconds, rate)
    load = f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    console.table(f"Opening and preparing ({load})", ("what", "wall s", "CPU s", "items", "items/s"), rows)


def _manifests(folder: Path, num_lines: int) -> list[tuple[str, ...]]:
    path = folder / "manifest.jsonl"
    write_manifest(path, (_utterance(folder, index) for index in range(num_lines)))
    return [
        _timed("open our manifest", num_lines, lambda: read_manifest(path)),
        _timed("read it as a manifest of others", num_lines, lambda: read(path)),
    ]


def _utterance(folder: Path, index: int) -> Utterance:
    name = f"F{index % 15:02d}_B{index % 3 + 1}_CW{index}_M5"
    return Utterance(
        utt_id=name,
        audio_filepath=str(folder / "audio" / f"F{index % 15:02d}" / f"{name}.wav"),
        duration=2.5 + index % 97 / 97,
        text=_WORDS[index % len(_WORDS)],
        speaker=f"F{index % 15:02d}",
        split=("train", "test", "train")[index % 3],
        production_id=name.removesuffix("_M5"),
        word_type="CW",
        block=f"B{index % 3 + 1}",
        microphone="M5",
        band="LOW",
        audio_sha256=f"{index:064x}",
    )


def _corpora(folder: Path, num_files: int, seconds: float, rate: int) -> list[tuple[str, ...]]:
    audio, workspace = folder / f"{seconds}_{rate}", Workspace(folder / f"w_{seconds}_{rate}")
    audio.mkdir()
    noise = np.random.default_rng(0).normal(0, 0.1, (num_files, round(seconds * rate) // 100)).astype(np.float32)
    lines = []
    for index in range(num_files):
        soundfile.write(audio / f"{index}.wav", np.tile(noise[index], 100), rate)
        row = {"audio_filepath": f"{audio}/{index}.wav", "text": _WORDS[index % 10], "speaker": f"s{index % 15}"}
        lines.append(msgspec.json.encode(row))
    (audio / "corpus.jsonl").write_bytes(b"\n".join(lines))

    def run(**options: Any) -> None:
        prepare(workspace, "manifest", audio / "corpus.jsonl", **options)

    kind = f"{seconds} s at {rate} Hz"
    first = _timed(f"prepare, {kind}", num_files, run)
    again = _timed("  again, nothing has changed", num_files, run)
    os.utime(audio / "0.wav", ns=(0, 0))
    changed = _timed("  again, one file has changed", num_files, run)
    return [first, again, changed, _timed("  with a report, from memory", num_files, lambda: run(report=True))]


def _timed(name: str, num_items: int, work: Callable[[], object]) -> tuple[str, ...]:
    wall, cpu = time.perf_counter(), time.process_time()
    with redirect_stdout(io.StringIO()):  # the tables of `prepare`
        work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return name, f"{wall:.2f}", f"{cpu:.2f}", f"{num_items:,}", f"{num_items / wall:,.0f}"


if __name__ == "__main__":
    main()
