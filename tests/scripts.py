"""Scripts of `experiments/`, as modules: they are run, never imported, by anything but their tests."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

_FOLDER = Path(__file__).parents[1] / "experiments"


def load_script(name: str) -> ModuleType:
    """The module of `experiments/NAME.py`."""
    spec = importlib.util.spec_from_file_location(name, _FOLDER / f"{name}.py")
    if spec is None or spec.loader is None:
        raise ImportError(f"{_FOLDER / name}.py is no module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module
