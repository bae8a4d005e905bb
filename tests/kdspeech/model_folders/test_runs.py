"""Run folders: same or other settings, which run is the newest, where the code came from."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from kdspeech.cli.train import command as train_command
from kdspeech.config import Recipe
from kdspeech.errors import RunError
from kdspeech.files import read_json, write_json
from kdspeech.folds import FoldProof
from kdspeech.model_folders import runs
from kdspeech.model_folders.checkpoints import save_checkpoint
from kdspeech.model_folders.runs import RunFolder, find_run, load_student
from kdspeech.recipe_file import load_recipe
from kdspeech.supervision import Supervision
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.learners import TinyStudents, tiny_recipe

PROOF = FoldProof("carl", ("anna",), (), 1, 1, 1, (), ())


def begin(run: RunFolder, config: dict[str, Any], vocabulary: Vocabulary, recipe: Recipe | None = None) -> None:
    """A run with one finished epoch."""
    recipe = recipe or tiny_recipe()
    run.start(config, recipe, vocabulary, recipe.student, PROOF)
    save_checkpoint(run.checkpoints_dir / "last.ckpt", {})


def test_settings_decide_whether_a_run_is_the_same(tmp_path: Path, vocabulary: Vocabulary) -> None:
    run = RunFolder(tmp_path / "run")
    config = {"mode": "labels", "training": {"speeds": (1.0,), "batch_size": 8}, "teachers": {"a": "123"}}
    assert not run.exists_with(config)
    begin(run, config, vocabulary)
    assert run.exists_with(config)
    other = {**config, "training": {"speeds": (1.0,), "batch_size": 9}, "teachers": {"b": "123"}}
    with pytest.raises(RunError) as refused:
        run.exists_with(other)
    message = str(refused.value)
    assert "training.batch_size was 8, now 9" in message
    assert "teachers.a was 123, now None" in message
    assert "teachers.b was None, now 123" in message
    assert "speeds" not in message
    run.clear()
    assert not run.exists_with(other)


def test_a_run_that_is_killed_while_it_is_cleared_cannot_be_continued(
    tmp_path: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a run of new settings would go on from the old weights."""
    run = RunFolder(tmp_path / "run")
    begin(run, {"mode": "labels"}, vocabulary)
    run.finish({})

    def killed(path: Path) -> None:
        if path == run.path:
            raise KeyboardInterrupt
        remove(path)

    remove = shutil.rmtree
    monkeypatch.setattr("kdspeech.model_folders.runs.shutil.rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        run.clear()
    assert run.config_path.exists()
    assert not run.is_finished
    assert not run.checkpoints_dir.exists()


def test_what_cannot_be_removed_is_named(
    tmp_path: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder(tmp_path / "run")
    begin(run, {"mode": "labels"}, vocabulary)

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("kdspeech.model_folders.runs.shutil.rmtree", refuse)
    with pytest.raises(RunError, match=r"cannot remove .*run/checkpoints: Permission denied"):
        run.clear()


def test_a_run_without_an_epoch_may_begin_anew(tmp_path: Path, vocabulary: Vocabulary) -> None:
    run = RunFolder(tmp_path / "run")
    run.start({"mode": "labels"}, tiny_recipe(), vocabulary, tiny_recipe().student, PROOF)
    assert not run.exists_with({"mode": "ctc-kd"})


def test_the_saved_recipe_can_be_used_again(tmp_path: Path, vocabulary: Vocabulary) -> None:
    run = RunFolder(tmp_path / "run")
    recipe = tiny_recipe(save_top_k=3)
    begin(run, {}, vocabulary, recipe)
    assert load_recipe(str(run.path / "recipe.yaml")) == recipe


def test_changed_targets_are_refused(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.keep_target_details({"teachers": ("a", "b"), "inputs": {"x": "1"}})
    run.keep_target_details({"teachers": ("a", "b"), "inputs": {"x": "1"}})
    with pytest.raises(RunError, match=r"inputs\.x was 1, now 2"):
        run.keep_target_details({"teachers": ("a", "b"), "inputs": {"x": "2"}})


def finish(workspace: Workspace, held_out: str, mode: str, seed: int, time_ns: int) -> Path:
    run = RunFolder(workspace.run_dir("r", held_out, mode, seed))
    run.finish({})
    os.utime(run.done_path, ns=(time_ns, time_ns))
    return run.path


def test_find_run_takes_the_newest_finished_one(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    old = finish(workspace, "anna", "labels", 0, time_ns=10**18)
    new = finish(workspace, "anna", "labels", 1, time_ns=2 * 10**18)
    other = finish(workspace, "bert", "ctc-kd", 0, time_ns=3 * 10**18)
    write_json(workspace.run_dir("r", "anna", "labels", 2) / "config.json", {})  # unfinished
    assert find_run(workspace, "anna", "labels") == new != old
    assert find_run(workspace, "anna") == new
    assert find_run(workspace) == other
    ablated = RunFolder(workspace.run_dir("r+less", "bert", "ctc-kd", 0))
    ablated.finish({})
    os.utime(ablated.done_path, ns=(4 * 10**18, 4 * 10**18))
    assert find_run(workspace) == ablated.path
    assert find_run(workspace, recipe="r") == other
    with pytest.raises(RunError, match=r"recipe q\)\. Run `.*--recipe q`"):
        find_run(workspace, recipe="q")
    with pytest.raises(RunError, match=r"--held-out anna --mode ctc-kd"):
        find_run(workspace, "anna", "ctc-kd")


def test_the_advice_of_find_run_is_a_command_that_makes_the_run(tmp_path: Path) -> None:
    """What `train` is handed by the advised command lands where `find_run` looks."""
    asked: dict[str, Any] = {
        "held_out": "anna",
        "mode": "ctc-kd",
        "seed": 3,
        "recipe": "q",
        "supervision": Supervision(0.1, True, True),
    }
    with pytest.raises(RunError, match=r"mode ctc-kd-10pct-all-audio-adapted, seed 3, recipe q\)") as refused:
        find_run(Workspace(tmp_path), **asked)
    advice = str(refused.value).split("`")[1].split()
    assert advice[:2] == ["kdspeech", "train"]
    given = train_command.make_context("train", advice[2:]).params
    read = Supervision(given["labels"], given["adapt_unlabelled"], given["all_audio"])
    assert {**{name: given[name] for name in ("held_out", "mode", "seed", "recipe")}, "supervision": read} == asked
    made = RunFolder(Workspace(tmp_path).run_dir("q", "anna", read.variant(given["mode"]), 3))
    made.finish({})
    assert find_run(Workspace(tmp_path), **asked) == made.path


def test_load_student_refuses_what_is_no_run(tmp_path: Path, vocabulary: Vocabulary) -> None:
    with pytest.raises(RunError, match="is not a run"):
        load_student(tmp_path, TinyStudents())
    run = RunFolder(tmp_path)
    run.start({}, tiny_recipe(), vocabulary, tiny_recipe().student, PROOF)
    with pytest.raises(RunError, match=r"last\.ckpt does not exist"):
        load_student(tmp_path, TinyStudents())


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True, text=True).stdout


def test_git_state_of_a_checkout(tmp_path: Path) -> None:
    name = Path(runs.__file__).name
    assert runs._git_state(tmp_path) is None
    git(tmp_path, "init", "--quiet")
    (tmp_path / name).write_text("1")
    assert runs._git_state(tmp_path) is None  # inside a checkout that does not track the package
    git(tmp_path, "add", name)
    git(tmp_path, "commit", "--quiet", "-m", "x")
    sha = git(tmp_path, "rev-parse", "HEAD").strip()
    assert runs._git_state(tmp_path) == {"sha": sha, "dirty": False}
    (tmp_path / name).write_text("2")
    assert runs._git_state(tmp_path) == {"sha": sha, "dirty": True}


def test_done_marker_holds_the_summary(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert not run.is_finished
    run.finish({"score": 0.5})
    assert run.is_finished
    assert read_json(run.done_path)["score"] == 0.5
