"""Scripts of `experiments/`, as modules: they are run, never imported, by anything but their tests."""

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from kdspeech.cli.main import run_command

_FOLDER = Path(__file__).parents[1] / "experiments"


def load_script(name: str) -> ModuleType:
    """The module of `experiments/NAME.py`."""
    path = _FOLDER / f"{name}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def run_script(script: ModuleType, arguments: Sequence[str]) -> int:
    """The exit code of a script's command with these arguments."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [f"{script.__name__}.py", *arguments])
        with pytest.raises(SystemExit) as stopped:
            run_command(script.command)
    return int(stopped.value.code or 0)
