"""One student recogniser for speakers it has never heard, distilled from teachers that each know only one.

Each command of the command line is a function here: `kdspeech.train(...)` does what `kdspeech train` does.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from kdspeech.combination.combine import combine
    from kdspeech.comparison.compare import compare
    from kdspeech.corpora.prepare import prepare
    from kdspeech.diagnosis.diagnose import diagnose
    from kdspeech.dumps.dump_teachers import dump_teachers
    from kdspeech.evaluation.evaluate import evaluate
    from kdspeech.evaluation.loso import loso
    from kdspeech.pretraining.pretrain import pretrain
    from kdspeech.run_report.report import write_report
    from kdspeech.scoring.score_files import score
    from kdspeech.serving.serve import serve
    from kdspeech.simulation.prepare import prepare_simulated
    from kdspeech.targets.aggregate import aggregate
    from kdspeech.teaching.train_teachers import train_teachers
    from kdspeech.training.train import train
    from kdspeech.transcription.transcribe import transcribe
    from kdspeech.transcription.transcriber import Transcriber
    from kdspeech.workspace import Workspace

__all__ = [
    "Transcriber",
    "Workspace",
    "aggregate",
    "combine",
    "compare",
    "diagnose",
    "dump_teachers",
    "evaluate",
    "loso",
    "prepare",
    "prepare_simulated",
    "pretrain",
    "score",
    "serve",
    "train",
    "train_teachers",
    "transcribe",
    "write_report",
]

_HOMES = {
    "Transcriber": "transcription.transcriber",
    "Workspace": "workspace",
    "aggregate": "targets.aggregate",
    "combine": "combination.combine",
    "compare": "comparison.compare",
    "diagnose": "diagnosis.diagnose",
    "dump_teachers": "dumps.dump_teachers",
    "evaluate": "evaluation.evaluate",
    "loso": "evaluation.loso",
    "prepare": "corpora.prepare",
    "prepare_simulated": "simulation.prepare",
    "pretrain": "pretraining.pretrain",
    "score": "scoring.score_files",
    "serve": "serving.serve",
    "train": "training.train",
    "train_teachers": "teaching.train_teachers",
    "transcribe": "transcription.transcribe",
    "write_report": "run_report.report",
}


def __getattr__(name: str) -> Any:
    """Imports a public name from its module when it is first used: torch alone takes seconds."""
    if name not in _HOMES:
        raise AttributeError(f"module 'kdspeech' has no attribute {name!r}")
    return getattr(importlib.import_module(f"kdspeech.{_HOMES[name]}"), name)
