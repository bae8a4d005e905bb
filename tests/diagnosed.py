"""A small workspace with a run that has learnt its words, and ways to spoil it."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from kdspeech.config import Recipe
from kdspeech.dumps.dump_teachers import dump_teachers
from kdspeech.dumps.store import LogProbStore
from kdspeech.evaluation.evaluate import evaluate
from kdspeech.training.train import train
from kdspeech.workspace import Workspace
from tests.doubles import Behaviour, FakeTeachers, add_teacher, write_shard
from tests.learners import HearingStudent, TinyStudents, tiny_recipe

SPEAKERS = ("anna", "bert", "carl")
STUDENTS = TinyStudents(student=HearingStudent)
RowChange = Callable[[list[np.ndarray]], list[np.ndarray]]


def recipe(epochs: int = 6) -> Recipe:
    """Heads first, then everything."""
    heads = {"name": "heads", "train": ("ctc_head", "decoder"), "epochs": 1}
    return tiny_recipe([heads, {"name": "all", "epochs": epochs, "learning_rate": 2e-2}], speeds=(1.0,))


def dump(workspace: Workspace, behaviour: Behaviour | None = None) -> None:
    """Every teacher scores every recording."""
    for speaker in SPEAKERS:
        add_teacher(workspace, speaker, behaviour)
    dump_teachers(workspace, SPEAKERS, recipe=recipe(), teachers=FakeTeachers(), jobs=1)


def fit(workspace: Workspace, epochs: int = 6) -> Path:
    """A student for carl from the teachers' frames, evaluated."""
    run = train(workspace, "carl", "ctc-kd", recipe=recipe(epochs), students=STUDENTS)
    evaluate(workspace, run, "ctc", students=STUDENTS)
    return run


def change_rows(workspace: Workspace, change: RowChange, **header: Any) -> None:
    """Rewrites every teacher's shards of kind `ctc` and `decoder`: other rows, another header, the same ids."""
    store = LogProbStore(workspace.dumps_dir)
    for teacher in SPEAKERS:
        for kind in ("ctc", "decoder"):
            for speaker in SPEAKERS:
                old, _ = store.describe(teacher, kind, speaker)
                utterances = [u for u in workspace.utterances if u.speaker == speaker]
                stored = store.read(teacher, kind, utterances)
                rows = [row for row in (stored[u.utt_id] for u in utterances) if isinstance(row, np.ndarray)]
                if kind == "ctc" or not header:
                    rows = change(rows)
                write_shard(store, replace(old, **header), dict(zip([u.utt_id for u in utterances], rows, strict=True)))


def copy_of(workspace: Workspace, root: Path) -> Workspace:
    """The recordings stay where they are."""
    shutil.copytree(workspace.root, root, ignore=shutil.ignore_patterns("audio"))
    return Workspace(root)
