"""One safetensors file of ragged arrays that describes itself: item i of an array is its rows offsets[i]:offsets[i+1].

The file is written whole or not at all. It is read through a memory map, a slice at a time; its payload's SHA-256 is
checked when a process opens it, since safetensors notices a truncated file but not a flipped bit.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors.numpy import save_file

from kdspeech.errors import StoreError
from kdspeech.files import atomic_path

FORMAT_VERSION = 1
_OFFSETS = "offsets/"  # prefix of the offset arrays' names


def write_ragged(path: Path, metadata: Mapping[str, Any], arrays: Mapping[str, Sequence[np.ndarray]]) -> str:
    """Writes ragged arrays atomically.

    Args:
        metadata: JSON values; `format_version` and `payload_sha256` are added.
        arrays: name -> items, at least one; an item is [rows, ...], and all items of one array share dtype and trailing
            shape.

    Returns:
        The payload's SHA-256.
    """
    tensors: dict[str, np.ndarray] = {}
    for name, items in arrays.items():
        tensors[name] = np.ascontiguousarray(np.concatenate(items))
        tensors[_OFFSETS + name] = np.cumsum([0, *map(len, items)], dtype=np.int64)
    payload_sha256 = _payload_sha256(tensors)
    header = {**metadata, "format_version": FORMAT_VERSION, "payload_sha256": payload_sha256}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"kdspeech": json.dumps(header, ensure_ascii=False)})
    return payload_sha256


class RaggedFile:
    """A file of ragged arrays, open for reading in this process."""

    def __init__(self, path: Path) -> None:
        """Opens the file and reads its header; the payload is not touched yet.

        Raises:
            StoreError: the file is missing, truncated, not of this kind, or of another format version.
        """
        self.path = path
        try:
            self._file = safetensors.safe_open(str(path), framework="numpy")
            self.metadata: dict[str, Any] = json.loads((self._file.metadata() or {})["kdspeech"])
        except FileNotFoundError as error:
            raise StoreError(f"{path} does not exist.") from error
        except (safetensors.SafetensorError, OSError) as error:
            raise StoreError(f"{path} is truncated or damaged ({error}). Delete it and make it again.") from error
        except (KeyError, json.JSONDecodeError) as error:
            raise StoreError(f"{path} is a safetensors file, but not one of kdspeech. Delete it.") from error
        version = self.metadata.get("format_version")
        if version != FORMAT_VERSION:
            raise StoreError(
                f"{path} has format version {version}, this kdspeech reads {FORMAT_VERSION}. Make it again (--force)."
            )

    @property
    def payload_sha256(self) -> str:
        """Identifies the file's content; its header says so, `check` proves it."""
        return str(self.metadata["payload_sha256"])

    def has(self, name: str) -> bool:
        """True if the file holds this array."""
        return name in self._offsets

    def num_items(self, name: str) -> int:
        """Items of an array."""
        return len(self._offsets[name]) - 1

    def check(self) -> None:
        """Reads the whole payload once.

        Raises:
            StoreError: its bytes or its offsets are not those that were written.
        """
        tensors = {name: self._file.get_tensor(name) for name in self._names}
        found = _payload_sha256(tensors)
        if found != self.payload_sha256:
            raise StoreError(
                f"{self.path} is damaged: its payload's sha256 is {found[:12]}, its header says "
                f"{self.payload_sha256[:12]}. Delete it and make it again."
            )
        for name, offsets in self._offsets.items():
            if offsets[0] != 0 or offsets[-1] != len(tensors[name]) or (np.diff(offsets) < 0).any():
                raise StoreError(
                    f"{self.path}: the offsets of {name!r} end at row {int(offsets[-1])}, the array has "
                    f"{len(tensors[name])} rows. Delete it and make it again."
                )

    def item(self, name: str, index: int) -> np.ndarray:
        """Item `index` of an array, [rows, ...], copied out of the memory map."""
        start, stop = self._offsets[name][index : index + 2].tolist()
        if start == stop:  # safetensors refuses an empty slice
            return np.asarray(self._file.get_tensor(name)[:0])
        return np.asarray(self._file.get_slice(name)[start:stop])

    @cached_property
    def _names(self) -> list[str]:
        return sorted(self._file.keys())

    @cached_property
    def _offsets(self) -> dict[str, np.ndarray]:
        names = [name for name in self._names if name.startswith(_OFFSETS)]
        return {name.removeprefix(_OFFSETS): self._file.get_tensor(name) for name in names}


def _payload_sha256(tensors: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype.str} {tensor.shape}\n".encode())
        digest.update(np.ascontiguousarray(tensor).data)
    return digest.hexdigest()
