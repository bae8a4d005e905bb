"""The memory of measured recordings, `manifests/checked.jsonl`: a file that has not changed is not decoded again.

One header line that says how was measured, then one line a file, appended while the recordings are read: what an
interrupted call has measured is kept. The last line of a file counts. A line that is torn or foreign is measured again.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import msgspec

from kdspeech import console
from kdspeech.corpora.measuring import LOWEST_DBFS, SILENCE_BELOW_LOUDEST_DB, SILENCE_DBFS, FileState, Measured, measure
from kdspeech.errors import KdspeechError
from kdspeech.files import atomic_path, count_lines

_BATCH = 32  # recordings a task of the thread pool
_HEADER = msgspec.json.encode(
    {
        "kind": "kdspeech checked recordings",
        "version": 1,  # raise it when a measure changes its meaning
        "silence_dbfs": SILENCE_DBFS,
        "silence_below_loudest_db": SILENCE_BELOW_LOUDEST_DB,
        "lowest_dbfs": LOWEST_DBFS,
    }
)


def file_states(paths: Iterable[str]) -> dict[str, FileState | None]:
    """Size and time of each file; None where there is none."""
    return {path: FileState.of(path) for path in dict.fromkeys(paths)}


def measure_recordings(
    states: Mapping[str, FileState | None], memory: Path, *, afresh: bool = False
) -> dict[str, Measured]:
    """Measures every recording, those that are remembered and unchanged without opening them.

    Args:
        states: the files, as `file_states` gives them.
        memory: the file to remember them in; it is made, or grows.
        afresh: forgets what is remembered.

    Raises:
        KdspeechError: the memory cannot be written.
    """
    known = {} if afresh else read_memory(memory)
    found = {path: row for path, state in states.items() if (row := known.get(path)) and row.state == state}
    todo = [path for path in states if path not in found]
    if found and todo:
        console.remark(f"{len(found)} of {len(states)} recordings are unchanged since they were checked.")
    if not todo and not afresh:
        return found
    with _appending(memory, keep=bool(known)) as file:
        for row in _measured(todo, states):
            found[row.path] = row
            if row.size >= 0:
                file.write(msgspec.json.encode(row) + b"\n")
    _compact(memory, {**known, **found})
    return found


def _measured(paths: Sequence[str], states: Mapping[str, FileState | None]) -> Iterator[Measured]:
    """Measures in threads: decoding and hashing release the interpreter lock."""

    def measure_some(batch: Sequence[str]) -> list[Measured]:
        return [measure(path, states[path]) for path in batch]

    batches = [paths[start : start + _BATCH] for start in range(0, len(paths), _BATCH)]
    pool = ThreadPoolExecutor(_num_threads())
    try:
        with console.progress("Checking recordings", len(paths)) as bar:
            for rows in pool.map(measure_some, batches):
                yield from rows
                bar.advance(len(rows))
    finally:
        pool.shutdown(cancel_futures=True)


def _num_threads() -> int:
    return min(8, len(os.sched_getaffinity(0)))


def read_memory(memory: Path) -> dict[str, Measured]:
    """What is remembered, by path; nothing where it was measured in another way or the file is missing."""
    if not memory.exists():
        return {}
    header, _, rows = memory.read_bytes().partition(b"\n")
    if header != _HEADER:
        return {}
    decoder = msgspec.json.Decoder(Measured)
    whole = rows[: rows.rfind(b"\n") + 1]
    try:
        lines = decoder.decode_lines(whole)
    except msgspec.DecodeError:
        lines = [row for line in whole.splitlines() if (row := _decoded(decoder, line)) is not None]
    return {row.path: row for row in lines}


def _decoded(decoder: "msgspec.json.Decoder[Measured]", line: bytes) -> Measured | None:
    try:
        return decoder.decode(line)
    except msgspec.DecodeError:
        return None


@contextmanager
def _appending(memory: Path, keep: bool) -> Iterator[BinaryIO]:
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        with memory.open("r+b" if keep else "wb") as file:
            if not keep:
                file.write(_HEADER + b"\n")
            elif file.seek(0, os.SEEK_END) and _last_byte(file) != b"\n":
                file.write(b"\n")  # after a line that was torn
            yield file
    except OSError as error:
        raise KdspeechError(f"cannot write {memory}: {error.strerror or error}") from error


def _last_byte(file: BinaryIO) -> bytes:
    file.seek(-1, os.SEEK_END)
    return file.read(1)


def _compact(memory: Path, rows: Mapping[str, Measured]) -> None:
    """Drops lines that later ones have replaced, once they are a fifth of the whole."""
    if count_lines(memory) > 1.25 * len(rows) + 1:
        with atomic_path(memory) as temporary:
            kept = (msgspec.json.encode(row) for row in rows.values() if row.size >= 0)
            temporary.write_bytes(b"\n".join([_HEADER, *kept, b""]))
