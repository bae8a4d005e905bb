"""How fast is `kdspeech score`, and how much memory does it take? On made-up hypotheses in a temporary folder.

Needs an installed kdspeech and jiwer:  python experiments/benchmarks/score_speed.py [--utterances 1000000]
Two kinds of data: isolated words as UASpeech has them, a manifest with everything known and a Kaldi file; and
sentences of which hardly two are equal, the worst case. Beside each stands jiwer, called plainly on texts that are in
memory and normalised already: words and characters, no groups. Each measurement is a process of its own, so that its
peak of memory is its own. Absolute times belong to one machine, and CPU
seconds tell more than the clock where it has other work: the ratio is of those.
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np

from kdspeech import console

_NUM_WORDS, _NUM_SPEAKERS, _NUM_MICROPHONES = 455, 15, 7
_BANDS = ("HIGH", "MID", "LOW", "VERY LOW")


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--utterances", type=int, default=1_000_000)
    parser.add_argument("--measure", nargs=3, metavar=("WHAT", "REF", "HYP"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        what, reference, hypothesis = options.measure
        _MEASURED[what](Path(reference), Path(hypothesis))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name, make in (("isolated words, Kaldi text", _words), ("sentences, JSON Lines", _sentences)):
            reference, hypothesis = make(Path(folder), options.utterances)
            ours = _run("score", reference, hypothesis)
            theirs = _run("jiwer", reference, hypothesis)
            rows.append((name, *ours, *theirs, f"{float(theirs[1]) / float(ours[1]):.1f}"))
    title = f"{options.utterances:,} utterances (load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores)"
    columns = ("data", "score, s", "CPU s", "peak MB", "jiwer alone, s", "CPU s", "peak MB", "jiwer / score, CPU")
    console.table(title, columns, rows)


def _words(folder: Path, count: int) -> tuple[Path, Path]:
    """A manifest with all that groups scores, and words of which a third are wrong."""
    rng = np.random.default_rng(0)
    words = ["".join(letters) for letters in rng.choice(list("abcdefghijklmnop"), size=(_NUM_WORDS, 7))]
    said = rng.integers(_NUM_WORDS, size=count)
    heard = np.where(rng.random(count) < 0.67, said, rng.integers(_NUM_WORDS, size=count))
    reference, hypothesis = folder / "manifest.jsonl", folder / "text"

    def manifest() -> Iterator[bytes]:
        for index, word in enumerate(said.tolist()):
            production = index // _NUM_MICROPHONES
            speaker = f"S{production % _NUM_SPEAKERS:02d}"
            row = {
                "utt_id": f"{speaker}_P{production}_M{index % _NUM_MICROPHONES}",
                "audio_filepath": f"/corpora/words/audio/{speaker}/{speaker}_P{production}_M{index % 7}.wav",
                "duration": 2.5,
                "text": words[word],
                "speaker": speaker,
                "split": "test",
                "production_id": f"P{production}",
                "word_type": ("CW", "UW", "D")[production % 3],
                "block": f"B{production % 2 + 1}",
                "microphone": f"M{index % _NUM_MICROPHONES}",
                "band": _BANDS[production % _NUM_SPEAKERS % 4],
                "audio_sha256": f"{index:064x}",
            }
            yield msgspec.json.encode(row) + b"\n"

    with reference.open("wb") as file:
        file.writelines(manifest())
    with hypothesis.open("w") as text:
        for index, word in enumerate(heard.tolist()):
            production = index // _NUM_MICROPHONES
            name = f"S{production % _NUM_SPEAKERS:02d}_P{production}_M{index % _NUM_MICROPHONES}"
            text.write(f"{name} {words[word].upper()}{' ' + words[index % 400] if index % 50 == 0 else ''}\n")
    return reference, hypothesis


def _sentences(folder: Path, count: int) -> tuple[Path, Path]:
    """Ten words each, of which some are changed, dropped or doubled."""
    rng = np.random.default_rng(1)
    words = ["".join(letters) for letters in rng.choice(list("abcdefghijklmnop"), size=(20_000, 5))]
    reference, hypothesis = folder / "references.jsonl", folder / "hypotheses.jsonl"
    with reference.open("wb") as references, hypothesis.open("wb") as hypotheses:
        for index, picked in enumerate(rng.integers(len(words), size=(count, 10)).tolist()):
            spoken = [words[word] for word in picked]
            heard = [*spoken[: index % 10], words[index % 20_000], *spoken[index % 9 + 1 :]]
            row = {"utt_id": f"u{index}", "speaker": f"S{index % 100}", "text": " ".join(spoken)}
            references.write(msgspec.json.encode(row) + b"\n")
            hypotheses.write(msgspec.json.encode({"utt_id": f"u{index}", "pred_text": " ".join(heard)}) + b"\n")
    return reference, hypothesis


def _run(what: str, reference: Path, hypothesis: Path) -> tuple[str, str, str]:
    """Wall seconds, CPU seconds and peak megabytes of one measurement in a process of its own."""
    command = [sys.executable, __file__, "--measure", what, str(reference), str(hypothesis)]
    measured = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return measured[-3], measured[-2], measured[-1]


def _measure_score(reference: Path, hypothesis: Path) -> None:
    from kdspeech.scoring.score_files import score

    _timed(lambda: score(reference, [hypothesis], out=reference.parent / "scores.json"))


def _measure_jiwer(reference: Path, hypothesis: Path) -> None:
    import jiwer

    from kdspeech.scoring.formats.transcripts import read_transcripts
    from kdspeech.scoring.normalise import normalise

    spoken, heard = read_transcripts(reference).texts, read_transcripts(hypothesis).texts
    references = [normalise(text) for text in spoken.values()]
    hypotheses = [normalise(heard[utt_id]) for utt_id in spoken]

    def both() -> None:
        jiwer.process_words(references, hypotheses)
        jiwer.process_characters(references, hypotheses)

    _timed(both)


def _timed(work: Callable[[], object]) -> None:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    console.result(f"{wall:.1f} {cpu:.1f} {peak:.0f}")


_MEASURED = {"score": _measure_score, "jiwer": _measure_jiwer}


if __name__ == "__main__":
    main()
