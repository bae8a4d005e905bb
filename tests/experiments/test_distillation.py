"""The comparison of the project's goal: every row is trained, and every difference is the one of its files."""

import json
from pathlib import Path
from types import ModuleType

import pytest

from kdspeech.dumps.dump_teachers import dump_teachers
from kdspeech.lexicon import Lexicon
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import FakeStudents, FakeTeachers, add_teacher, make_workspace
from tests.learners import tiny_recipe
from tests.scripts import load_script, run_script

LEXICON = Lexicon(("one", "two", "six"))
RECIPE = tiny_recipe([{"epochs": 1}])


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("distillation")


def taught(root: Path, vocabulary: Vocabulary) -> Workspace:
    """Every speaker has a teacher, who has scored all recordings."""
    workspace = make_workspace(root, LEXICON, vocabulary)
    for speaker in workspace.speakers:
        add_teacher(workspace, speaker)
    dump_teachers(workspace, ["all"], recipe=RECIPE, teachers=FakeTeachers(), jobs=1)
    return workspace


def test_claims_name_systems_that_exist(script: ModuleType) -> None:
    for mode in ("ctc-kd", "decoder-kd"):
        known = {*script.systems_of(mode), script.VOTE}
        assert all({claim.a, claim.b} <= known for claim in script.claims_of(mode))
        assert all(claim.goal is None or claim.must < claim.goal for claim in script.claims_of(mode))


@pytest.mark.parametrize(
    ("points", "reached"), [(3.0, "goal"), (2.9, "must"), (0.0, "must"), (-1e-14, "must"), (-0.1, "NO")]
)
def test_what_a_difference_reaches(script: ModuleType, points: float, reached: str) -> None:
    assert script.Claim("b - a", "labels", "decoder-kd", "ctc", 0, 3).reached(points) == reached


@pytest.mark.parametrize(("points", "reached"), [(3.0, "must"), (-3.0, "must"), (3.1, "NO"), (-3.1, "NO")])
def test_two_that_may_differ_by_so_much_may_do_so_either_way(script: ModuleType, points: float, reached: str) -> None:
    assert script.Claim("b - a", "decoder-kd", "ctc-kd", "ctc", 3).reached(points) == reached


def test_the_vote_and_a_student_are_compared_on_the_same_utterances(
    script: ModuleType, tmp_path: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fake teachers hear everything, the fake students not carl: the vote is ahead by 100 points with carl held out."""
    workspace = taught(tmp_path, vocabulary)
    monkeypatch.setattr(script, "students", FakeStudents(LEXICON, deaf_to=(2,)))
    script.run(workspace, RECIPE, "decoder-kd", ["anna", "carl"], [0], ["labels", "decoder-kd"], jobs=1)
    found = json.loads((workspace.reports_dir / "distillation.json").read_text())
    assert found["macro"]["labels"]["lexicon"] == [50.0]
    against_vote = next(row for row in found["claims"] if row["claim"].startswith("one inductive student"))
    assert against_vote["wra"]["macro"]["value"] == -50.0
    report = (workspace.reports_dir / "distillation.md").read_text()
    assert "| ctc / decoder / lexicon | anna | carl |" in report
    assert "| labels-only student | 100.0 / 100.0 / 100.0 | 0.0 / 0.0 / 0.0 |" in report
    assert "| one inductive student - teacher vote | lexicon | -50.0" in report
    assert "| all labels + teachers - all labels | ctc | 0.0" in report
    assert "adapted" not in report.partition("comparison")[2]  # a claim without its systems is left out


def test_without_a_closed_word_list_nothing_is_claimed_by_lexicon(
    script: ModuleType, tmp_path: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = taught(tmp_path, vocabulary)
    workspace.lexicon_path.unlink()
    monkeypatch.setattr(script, "students", FakeStudents(LEXICON))
    script.run(Workspace(tmp_path), RECIPE, "decoder-kd", ["anna"], [0], ["labels", "decoder-kd"], jobs=1)
    report = (workspace.reports_dir / "distillation.md").read_text()
    assert "| all labels + teachers - all labels | ctc | 0.0" in report
    assert "lexicon" not in report


@pytest.mark.parametrize(
    ("flags", "told"),
    [(["--seeds", "0,x"], "0,1,2"), (["--systems", "labels,teachers"], "taught"), (["--mode", "labels"], "ctc-kd")],
)
def test_wrong_usage_says_what_was_expected(
    script: ModuleType, flags: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_script(script, flags) == 2
    assert told in capsys.readouterr().err
