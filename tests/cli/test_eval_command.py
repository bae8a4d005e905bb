"""`kdspeech eval`: which run it takes, what it prints, and its exit codes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdspeech import students
from kdspeech.lexicon import Lexicon
from kdspeech.recipe_file import load_recipe
from kdspeech.supervision import Supervision
from kdspeech.training.train import train
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import FakeStudents, make_workspace

RECIPE = load_recipe("conformer_xs_from_speechbrain", ("stages.0.epochs=1",))
RunCli = Callable[..., Any]


@pytest.fixture
def workspace(tmp_path: Path, lexicon: Lexicon, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Without runs; students hear every word, but not bert's."""
    family = FakeStudents(lexicon, deaf_to=(1,))
    monkeypatch.setattr(students, "build_student", family.build_student)
    monkeypatch.setattr(students, "starting_speakers", family.starting_speakers)
    return make_workspace(tmp_path, lexicon, vocabulary, repetitions=3)


def test_the_newest_fitting_run_is_taken_and_named(workspace: Workspace, run_cli: RunCli) -> None:
    anna = train(workspace, "anna", "labels", recipe=RECIPE, students=students)
    bert = train(workspace, "bert", "labels", recipe=RECIPE, students=students)

    done = run_cli("eval", "--workspace", workspace.root, "--held-out", "anna", "--decode-mode", "ctc")
    assert (done.exit_code, str(anna) in done.stderr) == (0, True)
    assert "30 of 30 utterances" in done.stdout
    assert (anna / "results-ctc.json").exists()

    done = run_cli("eval", "--workspace", workspace.root, "--decode-mode", "decoder")
    assert (done.exit_code, str(bert) in done.stderr) == (0, True)
    assert "0 of 30 utterances" in done.stdout
    assert "30 substitutions + 0 deletions + 0 insertions in 30 words" in done.stdout

    done = run_cli("eval", "--workspace", workspace.root, "--run", anna, "--decode-mode", "lexicon", "--quiet")
    assert (done.exit_code, done.stderr) == (0, "")
    assert (anna / "results-lexicon.json").exists()


def test_without_a_run_the_command_to_make_one_is_named(workspace: Workspace, run_cli: RunCli) -> None:
    done = run_cli("eval", "--workspace", workspace.root, "--held-out", "carl", "--mode", "labels")
    assert done.exit_code == 1
    assert "kdspeech train --held-out carl --mode labels" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_recipe_of_ones_own_finds_the_run_that_it_made(workspace: Workspace, run_cli: RunCli, tmp_path: Path) -> None:
    path = tmp_path / "my.yaml"
    path.write_text("name: ours\nextends: conformer_xs_from_speechbrain\n")
    run = train(workspace, "anna", "labels", recipe=load_recipe(str(path), ("stages.0.epochs=1",)), students=students)
    train(workspace, "anna", "labels", recipe=RECIPE, students=students)
    for recipe in (path, "ours"):
        done = run_cli("eval", "--workspace", workspace.root, "--recipe", recipe, "--force")
        assert (done.exit_code, str(run) in done.stderr) == (0, True)


def test_seeds_are_told_apart(workspace: Workspace, run_cli: RunCli) -> None:
    train(workspace, "anna", "labels", recipe=RECIPE, students=students, seed=3)
    assert run_cli("eval", "--workspace", workspace.root, "--held-out", "anna", "--seed", 3).exit_code == 0
    assert run_cli("eval", "--workspace", workspace.root, "--held-out", "anna", "--seed", 4).exit_code == 1


def test_adapted_runs_have_results_of_their_own(workspace: Workspace, run_cli: RunCli) -> None:
    """`--mode labels` never takes the run that has heard anna, though it is newer."""
    plain = train(workspace, "anna", "labels", recipe=RECIPE, students=students)
    adapted = train(workspace, "anna", "labels", recipe=RECIPE, students=students, supervision=Supervision(adapt=True))
    assert adapted != plain
    done = run_cli("eval", "--workspace", workspace.root, "--held-out", "anna", "--mode", "labels")
    assert (done.exit_code, str(plain) in done.stderr) == (0, True)
    done = run_cli(
        "eval", "--workspace", workspace.root, "--held-out", "anna", "--mode", "labels", "--adapt-unlabelled"
    )
    assert (done.exit_code, str(adapted) in done.stderr) == (0, True)
    assert "labels-adapted student on anna" in done.stdout
    done = run_cli("eval", "--workspace", workspace.root, "--held-out", "anna", "--adapt-unlabelled")
    assert done.exit_code == 2
    assert "need the run's --mode" in done.stderr


def test_an_unknown_speaker_is_named_with_the_known_ones(workspace: Workspace, run_cli: RunCli) -> None:
    done = run_cli("eval", "--workspace", workspace.root, "--held-out", "dora")
    assert done.exit_code == 1
    assert "'dora'" in done.stderr
    assert "anna, bert, carl" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("--decode-mode", "beam"),
        ("--mode", "both"),
        ("--run", ".", "--held-out", "anna"),
        ("--beam", 4),  # ctc is greedy
        ("--decode-mode", "lexicon", "--beam", 4),
        ("--decode-mode", "decoder", "--ctc-weight", 0.5),
        ("--decode-mode", "decoder", "--length-norm", 0.6),
        ("--decode-mode", "joint", "--ctc-weight", 2),
        ("--decode-mode", "ctc-beam", "--lm-weight", 1),
        ("--decode-mode", "ctc-beam", "--lm", "no such file"),
        ("--decode-mode", "lexicon", "--nbest", 0),
    ],
)
def test_wrong_usage(workspace: Workspace, run_cli: RunCli, arguments: tuple[str, ...]) -> None:
    assert run_cli("eval", "--workspace", workspace.root, *arguments).exit_code == 2


def test_options_reach_the_decoder_and_the_results(workspace: Workspace, run_cli: RunCli, tmp_path: Path) -> None:
    run = train(workspace, "anna", "labels", recipe=RECIPE, students=students)
    priors = tmp_path / "priors.tsv"
    priors.write_text("".join(f"{word}\t1\n" for word in workspace.lexicon.words), encoding="utf-8")
    for arguments, stem in (
        (("decoder", "--beam", 4, "--length-norm", 0.6, "--nbest", 3), "decoder-beam4-length-norm0.6-nbest3"),
        (("joint", "--beam", 3, "--end-threshold", 1.5, "--repetition-penalty", 1.1), "joint-beam3-*"),
        (("lexicon", "--priors", priors, "--nbest", 10), "lexicon-priors????????-nbest10"),
    ):
        done = run_cli("eval", "--workspace", workspace.root, "--run", run, "--decode-mode", *arguments)
        assert done.exit_code == 0, done.stderr
        assert "calibration error" in done.stdout
        (path,) = run.glob(f"results-{stem}.json")
        assert path.name in done.stdout.replace("\n", "")
        assert len(list(run.glob(f"calibration-{stem}.json"))) == 1


def test_nothing_prepared(tmp_path: Path, run_cli: RunCli) -> None:
    done = run_cli("eval", "--workspace", tmp_path / "empty", "--held-out", "anna")
    assert done.exit_code == 1
    assert "kdspeech prepare" in done.stderr
