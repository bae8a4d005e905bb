"""The table of ablations: its rows are runnable, and each is compared with what has one ingredient more."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from kdspeech.dumps.dump_teachers import dump_teachers
from kdspeech.errors import ConfigError
from kdspeech.fanout import run_jobs
from kdspeech.lexicon import Lexicon
from kdspeech.vocabulary import Vocabulary
from tests.doubles import FakeStudents, FakeTeachers, add_teacher, make_workspace
from tests.scripts import load_script

RECIPE = "conformer_xs_from_speechbrain"
LEXICON = Lexicon(("one", "two", "six"))


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("ablation")


def test_every_row_has_a_recipe_and_a_folder_of_its_own(script: ModuleType) -> None:
    rows = script.read_rows()
    places = {(row.recipe(RECIPE, ()).name, row.system.supervision.variant(row.mode)) for row in rows}
    assert len(places) == len(rows)


def test_a_row_brings_the_one_it_is_compared_with(script: ModuleType) -> None:
    assert [row.name for row in script.read_rows(names=["no balance"])] == ["adapted", "no balance"]
    with pytest.raises(ConfigError, match="no row 'no luck'"):
        script.read_rows(names=["no luck"])


def test_rows_of_other_labels_are_not_compared(script: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "rows.yaml"
    path.write_text("rows:\n  - {name: a, mode: labels}\n  - {name: b, mode: labels, labels: 0.1, against: a}\n")
    with pytest.raises(ConfigError, match="'b' and 'a' have different shares"):
        script.read_rows(path)


def test_rows_of_other_audio_are_not_compared(script: ModuleType, tmp_path: Path) -> None:
    path = tmp_path / "rows.yaml"
    path.write_text("rows:\n  - {name: a, mode: labels}\n  - {name: b, mode: labels, adapt: true, against: a}\n")
    with pytest.raises(ConfigError, match="of 'b' and 'a' one hears the held-out speaker's audio"):
        script.read_rows(path)


@pytest.mark.parametrize(
    ("recipe", "idle"),
    [
        (RECIPE, ["known words not balanced"]),
        (
            "conformer_xs_from_simulated",
            [
                "no frames of the teachers",
                "no rooms and channels",
                "with SpecAugment",
                "bands normalised one by one",
                "spikes where the teachers have them",
                "mean of the teachers",
                "words from the start",
                "the student is asked early",
                "known words balanced",
            ],
        ),
        (
            "conformer_small_from_speechbrain",
            [
                "no frames of the teachers",
                "no rooms and channels",
                "bands normalised one by one",
                "teachers weighted by agreement",
                "spikes where the teachers have them",
                "known words not balanced",
            ],
        ),
    ],
)
def test_rows_that_change_nothing_of_a_recipe_are_known(script: ModuleType, recipe: str, idle: list[str]) -> None:
    assert [row.name for row in script.read_rows() if not row.changes(recipe, ())] == idle


def test_a_row_says_what_it_hears_and_which_heads_it_teaches(
    script: ModuleType, tmp_path: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fake students hear what they hear, whatever they are taught."""
    workspace = make_workspace(tmp_path, LEXICON, vocabulary)
    for speaker in workspace.speakers:
        add_teacher(workspace, speaker)
    no_ctc = tuple(f"stages.*.losses.decoder-kd.{term}=0" for term in ("ctc", "frame_kl"))
    rows = [
        script.Row("full", "decoder-kd"),
        script.Row("less", "decoder-kd", against="full", set=("training.speeds=[1.0]",)),
        script.Row("deaf", "decoder-kd", against="full", set=no_ctc),
        script.Row("idle", "decoder-kd", against="full", set=("training.batch_size=32",)),
        script.Row("heard", "labels", adapt=True),
        script.Row("alone", "labels", against="idle"),
    ]
    short = ("stages.0.epochs=1",)
    recipe = rows[0].recipe(RECIPE, short)
    dump_teachers(workspace, ["all"], recipe=recipe, teachers=FakeTeachers(), jobs=1)
    monkeypatch.setattr(script, "students", FakeStudents(LEXICON))
    queues: list[list[str]] = []

    def watched(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], *others: Any, **named: Any) -> Any:
        queues.append([run.recipe.name.removeprefix(RECIPE) for _, run, *_ in arguments])
        return run_jobs(function, arguments, *others, **named)

    monkeypatch.setattr("kdspeech.evaluation.student_runs.run_jobs", watched)
    report = script.run(workspace, RECIPE, rows, ["anna"], [0], short, jobs=1)
    assert queues == [["", "+less", "+deaf", "", ""]]  # one queue: no core waits for the last fold of a row
    equal = "100.0 | 0.0 (0.0 to 0.0)"
    assert "| full | 100.0 | – | 100.0 | – | 100.0 | – |" in report
    assert f"| less (against full) | {equal} | {equal} | {equal} |" in report
    assert f"| deaf (against full) | – | – | {equal} | – | – |" in report
    assert "idle" not in report
    assert "| alone | 100.0 | – | 100.0 | – | 100.0 | – |" in report  # what it should be compared with was not trained
    assert "| heard (transductive) | 100.0 | – | 100.0 | – | 100.0 | – |" in report
