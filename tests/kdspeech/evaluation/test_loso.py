"""Leave-one-out over speakers whose teachers and students are known: every cell of the table is."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from kdspeech.errors import KdspeechError
from kdspeech.evaluation.loso import loso
from kdspeech.evaluation.loso_table import LosoRow, LosoTable
from kdspeech.fanout import run_jobs
from kdspeech.files import read_json
from kdspeech.lexicon import Lexicon
from kdspeech.model_folders.runs import RunFolder
from kdspeech.recipe_file import load_recipe
from kdspeech.scoring.score import Scores
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import Behaviour, FakeStudents, FakeTeachers, PublishedTeachers, add_teacher, make_workspace

RECIPE = load_recipe("conformer_xs_from_speechbrain", ("stages.0.epochs=1",))
PUBLISHED = RECIPE.model_copy(
    update={"student": RECIPE.student.model_copy(update={"encoder": "anna", "encoder_config": None})}
)


@pytest.fixture
def workspace(tmp_path: Path, lexicon: Lexicon, vocabulary: Vocabulary) -> Workspace:
    """anna's teacher does not understand carl; all else is understood. bert's teacher is the surest."""
    workspace = make_workspace(tmp_path, lexicon, vocabulary, repetitions=3)
    add_teacher(workspace, "anna", Behaviour(deaf_to=(2,)))
    add_teacher(workspace, "bert", Behaviour(peak=0.95))
    add_teacher(workspace, "carl")
    return workspace


def run_loso(workspace: Workspace, students: FakeStudents, **options: object) -> LosoTable:
    settings = {"recipe": RECIPE, "teachers": FakeTeachers(), "students": students, "jobs": 1, **options}
    return loso(Workspace(workspace.root), **settings)  # type: ignore[arg-type]


def wra(table: LosoTable) -> dict[str, dict[str, float]]:
    """Greedy WRA by row and fold."""
    return {row.name: {fold: scores["ctc"].wra for fold, scores in row.scores.items()} for row in table.rows}


def test_every_cell_by_hand(workspace: Workspace, lexicon: Lexicon) -> None:
    table = run_loso(workspace, FakeStudents(lexicon, deaf_to=(1,)))

    students = {"anna": 100.0, "bert": 0.0, "carl": 100.0}
    assert wra(table) == {
        "mean single teacher": {"anna": 100.0, "bert": 100.0, "carl": 50.0},
        "best single teacher (oracle)": {"anna": 100.0, "bert": 100.0, "carl": 100.0},
        "teacher vote": {"anna": 100.0, "bert": 100.0, "carl": 100.0},  # carl: one to one, the surer one wins
        "labels-only student": students,
        "decoder-kd student": students,
        "ctc-kd student": students,
    }
    assert [row.macro("lexicon", lambda s: s.wra) for row in table.rows][:1] == [pytest.approx(250 / 3)]
    assert table.columns == ("system", "anna (30)", "bert (30)", "carl (30)", "macro mean")
    assert table.cells(lambda s: s.wra)[0][3:] == ("50.0 / – / 50.0", "83.3 / – / 83.3")
    assert table.cells(lambda s: s.wra)[-1][2:] == ("0.0 / 0.0 / 0.0", "100.0 / 100.0 / 100.0", "66.7 / 66.7 / 66.7")


def test_the_reports_hold_what_the_table_shows(workspace: Workspace, lexicon: Lexicon) -> None:
    table = run_loso(workspace, FakeStudents(lexicon), speakers=["carl"], modes=["labels"])

    row = read_json(workspace.reports_dir / "loso.json")
    assert [entry["name"] for entry in row["rows"]] == [entry.name for entry in table.rows]
    assert row["rows"][0]["folds"]["carl"]["ctc"]["correct"] == 30  # of 60: two teachers
    details = row["details"]["carl"]["ctc"]
    assert details["best_single_teacher"] == "bert"
    assert {name: scores["wra"] for name, scores in details["teachers"].items()} == {"anna": 0.0, "bert": 100.0}
    assert details["any_teacher_right"]["wra"] == 100.0
    text = (workspace.reports_dir / "loso.md").read_text()
    assert text == table.to_markdown()
    assert "| labels-only student | carl | 30/30, 0/30 | 30/30, 0/30 | 30/30, 0/30 |" in text
    page = (workspace.reports_dir / "loso.html").read_text()
    assert '<span style="width: 100.0%"></span>' in page  # the student's bar
    for cell in (cell for line in (*table.wra_cells, *table.wer_cells, *table.counts) for cell in line):
        assert f">{cell}</t" in page


def test_adapted_students_have_rows_of_their_own_and_the_page_says_what_they_heard(
    workspace: Workspace, lexicon: Lexicon
) -> None:
    plain = run_loso(workspace, FakeStudents(lexicon), speakers=["carl"], modes=["labels"])
    page = workspace.reports_dir / "loso.html"
    assert not plain.is_transductive
    assert "marked as transductive" not in page.read_text()
    table = run_loso(workspace, FakeStudents(lexicon), speakers=["carl"], modes=["labels"], adapt=True)
    assert [row.name for row in table.rows if row.transductive] == [
        "labels-only student, adapted to unlabelled audio (transductive)"
    ]
    assert {row.name for row in plain.rows} < {row.name for row in table.rows}
    assert "marked as transductive" in page.read_text()


def test_students_on_all_audio_have_rows_of_their_own_and_are_inductive(workspace: Workspace, lexicon: Lexicon) -> None:
    table = run_loso(workspace, FakeStudents(lexicon), speakers=["carl"], modes=["labels"], all_audio=True)
    assert [row.name for row in table.rows][-2:] == ["labels-only student", "labels-only student, all audio"]
    assert not table.is_transductive


def test_done_folds_are_read_and_only_the_others_get_a_job(
    workspace: Workspace, lexicon: Lexicon, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    students = FakeStudents(lexicon)
    jobs: list[list[str]] = []

    def counted(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]], *others: Any, **named: Any) -> Any:
        jobs.append([run.held_out for _, run, *_ in arguments])
        return run_jobs(function, arguments, *others, **named)

    monkeypatch.setattr("kdspeech.evaluation.student_runs.run_jobs", counted)
    first = run_loso(workspace, students, modes=["labels"])
    built = students.built
    capsys.readouterr()

    assert run_loso(workspace, students, modes=["labels"]).to_dict() == first.to_dict()
    assert students.built == built
    assert "3 of 3 students are trained and decoded: read.\n" in capsys.readouterr().err

    run = RunFolder(workspace.run_dir(RECIPE.name, "bert", "labels", 0))
    (run.path / "results-decoder.json").unlink()  # killed between two evaluations
    assert run_loso(workspace, students, modes=["labels"]).to_dict() == first.to_dict()
    assert students.built == built + 1
    assert jobs == [["anna", "bert", "carl"], ["bert"]]

    run_loso(workspace, students, modes=["labels"], force=True)
    assert jobs[2:] == [["anna", "bert", "carl"]]


def test_missing_teachers_only_are_trained(
    workspace: Workspace, lexicon: Lexicon, monkeypatch: pytest.MonkeyPatch
) -> None:
    (workspace.teacher_dir("bert") / "teacher.json").unlink()
    asked: list[list[str]] = []

    def train_teachers(place: Workspace, names: list[str], **_: object) -> None:
        asked.append(names)
        add_teacher(place, "bert")

    monkeypatch.setattr("kdspeech.evaluation.loso.train_teachers", train_teachers)
    run_loso(workspace, FakeStudents(lexicon), speakers=["anna"], modes=["labels"])
    run_loso(workspace, FakeStudents(lexicon), speakers=["anna"], modes=["labels"])

    assert asked == [["bert"]]


def test_the_published_encoder_has_a_row(workspace: Workspace, lexicon: Lexicon) -> None:
    table = run_loso(workspace, FakeStudents(lexicon), modes=["labels"], recipe=PUBLISHED, teachers=PublishedTeachers())
    assert table.rows[0].name == "zero-shot student encoder"
    assert wra(table)["zero-shot student encoder"] == {"anna": 100.0, "bert": 100.0, "carl": 0.0}


def test_without_word_list_there_is_no_lexicon_column(workspace: Workspace, lexicon: Lexicon) -> None:
    workspace.lexicon_path.unlink()
    table = run_loso(workspace, FakeStudents(lexicon), speakers=["anna"], modes=["labels"])
    assert table.decode_modes == ("ctc", "decoder")
    assert table.cells(lambda s: s.wra)[-1][1] == "100.0 / 100.0"


def test_an_unknown_speaker_is_named(workspace: Workspace, lexicon: Lexicon) -> None:
    with pytest.raises(KdspeechError, match="'dora'"):
        run_loso(workspace, FakeStudents(lexicon), speakers=["dora"])


def test_a_gap_has_no_macro_mean() -> None:
    row = LosoRow("x", {"a": {"ctc": Scores(utterances=2, correct=1)}, "b": {}})
    assert row.macro("ctc", lambda s: s.wra) is None
    table = LosoTable(("a", "b"), {"a": 2, "b": 3}, ("ctc",), (row,))
    assert table.cells(lambda s: s.wra) == [("x", "50.0", "–", "–")]
