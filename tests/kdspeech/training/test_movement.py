"""How far parts move: by hand, and in the log of a training."""

import json
from pathlib import Path

import pytest
import torch

from kdspeech.lexicon import Lexicon
from kdspeech.model_folders.runs import RunFolder
from kdspeech.training.movement import Movement, PartMovement, movement_columns, read_movement
from kdspeech.training.train import train
from kdspeech.vocabulary import Vocabulary
from tests.doubles import make_workspace
from tests.learners import TinyStudents, tiny_recipe

PARTS = ("encoder", "ctc_head", "decoder")


def test_movement_is_the_change_against_the_norm_before(vocabulary: Vocabulary) -> None:
    student = TinyStudents().build_student(tiny_recipe().student, vocabulary, seed=0)
    with torch.no_grad():
        for parameter in student.ctc_head.parameters():
            parameter.fill_(2.0)
    before = Movement(student)
    with torch.no_grad():
        for parameter in student.ctc_head.parameters():
            parameter.fill_(2.5)
        next(student.encoder.norm.buffers()).add_(3.0)  # the means were 0, beside variances of 1: 3 times the norm
    moved = before.of(student)
    assert (moved["ctc_head"].weights, moved["ctc_head"].statistics) == (pytest.approx(0.25), None)
    assert (moved["encoder"].weights, moved["encoder"].statistics) == (0.0, pytest.approx(3.0))
    assert moved["decoder"] == PartMovement(0.0, None)
    assert read_movement(movement_columns(moved), PARTS) == moved
    assert read_movement({"epoch": 1}, PARTS) is None
    assert PartMovement(0.25, None) + PartMovement(0.5, 0.5) == PartMovement(0.75, 0.5)


def test_the_log_of_epochs_tells_what_trained(tmp_path: Path, vocabulary: Vocabulary) -> None:
    workspace = make_workspace(tmp_path, Lexicon(("one", "two")), vocabulary)
    recipe = tiny_recipe([{"train": ("ctc_head", "decoder"), "epochs": 1}, {"epochs": 1}])
    run = RunFolder(train(workspace, "carl", "labels", recipe=recipe, students=TinyStudents()))
    frozen, free = (json.loads(line) for line in run.metrics_path.read_text().splitlines())
    assert (frozen["moved_encoder"], frozen["moved_encoder_statistics"]) == (0.0, 0.0)
    assert min(free["moved_encoder"], free["moved_encoder_statistics"]) > 0
    assert min(row[f"moved_{part}"] for row in (frozen, free) for part in ("ctc_head", "decoder")) > 0
