"""Atomic writes and content hashes: a file that exists under its name is whole."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kdspeech.errors import KdspeechError

_WAY_OUT = "Choose a writable folder with --workspace or KDSPEECH_WORKSPACE."


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yields a temporary path beside `path`; renames it to `path` if the block succeeds, else removes it.

    Raises:
        KdspeechError: the folder cannot be made or written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise KdspeechError(f"cannot write {path}: {error.strerror}. {_WAY_OUT}") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    except OSError as error:
        raise KdspeechError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        temporary.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Finds out, without making anything, that a folder cannot be made or written: before long work, not after it.

    Raises:
        KdspeechError: a part of its path is a file, or is not writable.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise KdspeechError(f"cannot write below {existing}: it is a file, not a folder. {_WAY_OUT}")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise KdspeechError(f"cannot write into {existing}: permission denied. {_WAY_OUT}")


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False) + "\n")


def read_text(path: Path) -> str:
    """Reads UTF-8 text.

    Raises:
        KdspeechError: the file is missing, cannot be read or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise KdspeechError(f"{path} does not exist.") from error
    except OSError as error:
        raise KdspeechError(f"cannot read {path}: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        before, found = error.object[: error.start], error.object[error.start]
        line = before.count(b"\n") + 1
        raise KdspeechError(
            f"{path}, line {line}: expected text in UTF-8, found the byte 0x{found:02x}. Save it as UTF-8: in an "
            "editor, or with `iconv -f latin1 -t utf-8`."
        ) from error


def read_json(path: Path) -> Any:
    """Reads a JSON file.

    Raises:
        KdspeechError: the file is missing or is not JSON.
    """
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise KdspeechError(f"{path} is not valid JSON (line {error.lineno}: {error.msg}).") from error


def count_lines(path: Path) -> int:
    """Lines of a text file; 0 where it does not exist."""
    if not path.exists():
        return 0
    with path.open("rb") as file:
        return sum(part.count(b"\n") for part in iter(lambda: file.read(1 << 20), b""))


def sha256_of_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_of_folder(folder: Path, pattern: str = "*") -> str:
    """Hex SHA-256 over the names and bytes of a folder's files that match `pattern`, in name order."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob(pattern) if p.is_file()):
        digest.update(str(path.relative_to(folder)).encode())
        digest.update(sha256_of_file(path).encode())
    return digest.hexdigest()


def sha256_of_text(text: str) -> str:
    """Hex SHA-256 of a UTF-8 text."""
    return hashlib.sha256(text.encode()).hexdigest()
