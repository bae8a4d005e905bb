"""A torchaudio whose compiled extension cannot be loaded is imported without it; a working one is left alone."""

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdspeech.torchaudio_compat import ensure_torchaudio

_PACKAGE = """
from torchaudio import _extension
from torchaudio._extension import fail_if_no_align
from torchaudio import functional
"""
_FUNCTIONAL = """
from torchaudio._extension import _IS_ALIGN_AVAILABLE, fail_if_no_align

@fail_if_no_align
def double(value):
    return 2 * value
"""
_BROKEN = "raise OSError('libc10_cuda.so: cannot open shared object file')\n"
_WORKING = "_IS_ALIGN_AVAILABLE = True\nfail_if_no_align = lambda function: function\n"


@pytest.fixture
def planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package called torchaudio, before any other on the path; what was imported before comes back afterwards."""
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == "torchaudio"}
    for name in before:
        del sys.modules[name]
    package = tmp_path / "torchaudio"
    package.mkdir()
    (package / "__init__.py").write_text(_PACKAGE)
    (package / "functional.py").write_text(_FUNCTIONAL)
    monkeypatch.syspath_prepend(tmp_path)
    yield package
    for name in [name for name in sys.modules if name.split(".")[0] == "torchaudio"]:
        del sys.modules[name]
    sys.modules.update(before)


def test_a_broken_extension_is_replaced(planted: Path) -> None:
    (planted / "_extension.py").write_text(_BROKEN)
    ensure_torchaudio()
    torchaudio = importlib.import_module("torchaudio")
    assert torchaudio.functional.double(3) == 6
    assert torchaudio._extension._IS_TORCHAUDIO_EXT_AVAILABLE is False
    assert torchaudio._extension._IS_ALIGN_AVAILABLE is False
    assert torchaudio._extension._check_cuda_version() is None


def test_a_working_torchaudio_is_left_alone(planted: Path) -> None:
    (planted / "_extension.py").write_text(_WORKING)
    ensure_torchaudio()
    torchaudio = importlib.import_module("torchaudio")
    assert torchaudio._extension._IS_ALIGN_AVAILABLE is True
    assert torchaudio._extension.__file__ == str(planted / "_extension.py")
    ensure_torchaudio()
    assert importlib.import_module("torchaudio") is torchaudio


def test_another_error_is_not_hidden(planted: Path) -> None:
    (planted / "_extension.py").write_text("raise ValueError('something else')\n")
    with pytest.raises(ValueError, match="something else"):
        ensure_torchaudio()
