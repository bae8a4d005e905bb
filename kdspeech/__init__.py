"""One student recogniser for speakers it has never heard, distilled from teachers that each know only one.

Each command of the command line is a function here: `kdspeech.train(...)` does what `kdspeech train` does.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdspeech.dumping import dump_teachers
    from kdspeech.evaluation import evaluate
    from kdspeech.leave_one_out import loso
    from kdspeech.preparation import prepare
    from kdspeech.targets import aggregate
    from kdspeech.teaching import train_teachers
    from kdspeech.training import train
    from kdspeech.workspace import Workspace

__all__ = [
    "Workspace",
    "aggregate",
    "dump_teachers",
    "evaluate",
    "loso",
    "prepare",
    "train",
    "train_teachers",
]

_HOMES = {
    "Workspace": "workspace",
    "aggregate": "targets",
    "dump_teachers": "dumping",
    "evaluate": "evaluation",
    "loso": "leave_one_out",
    "prepare": "preparation",
    "train": "training",
    "train_teachers": "teaching",
}


def __getattr__(name: str) -> Any:
    """Imports a public name from its module when it is first used: torch alone takes seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module 'kdspeech' has no attribute {name!r}")
    return getattr(importlib.import_module(f"kdspeech.{_HOMES[name]}"), name)
