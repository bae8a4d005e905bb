"""Teachers of both kinds under one roof: students of one speaker are trained, found and loaded as others are."""

from dataclasses import replace
from pathlib import Path

import pytest

from kdspeech.choices import KINDS
from kdspeech.config import ChannelConfig, Recipe
from kdspeech.dumps.dump_teachers import dump_teachers
from kdspeech.dumps.store import LogProbStore
from kdspeech.errors import ConfigError, RunError, TeacherError
from kdspeech.files import count_lines, read_json
from kdspeech.lexicon import Lexicon
from kdspeech.model_folders.student_folder import read_student
from kdspeech.model_folders.teacher_folder import read_teacher_card
from kdspeech.teaching.all_teachers import AllTeachers
from kdspeech.teaching.student_teacher import StudentTeacher
from kdspeech.teaching.train_student_teacher import teacher_recipe, train_student_teacher
from kdspeech.teaching.train_teachers import teachers_of_other_settings, train_teachers
from kdspeech.training.stages import warmup_steps
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import FakeTeacher, FakeTeachers, add_teacher, make_workspace
from tests.learners import HearingStudent, PretrainableStudents, tiny_recipe

STUDENTS = PretrainableStudents(student=HearingStudent)
FAMILY = AllTeachers(FakeTeachers(), STUDENTS)  # type: ignore[arg-type]


@pytest.fixture
def workspace(tmp_path: Path, vocabulary: Vocabulary) -> Workspace:
    return make_workspace(tmp_path / "workspace", Lexicon(("one", "two", "six")), vocabulary)


@pytest.fixture
def recipe() -> Recipe:
    recipe = tiny_recipe()
    settings = {"backend": "nemo", "epochs": 16, "batch_size": 3, "learning_rate": 1e-2, "speeds": (1.0,)}
    return recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update=settings)})


def _teach(workspace: Workspace, recipe: Recipe, *names: str, **settings: object) -> None:
    family = FakeTeachers()
    train_teachers(
        workspace, names, recipe=recipe, teachers=family, students=STUDENTS, jobs=1, **settings  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_teacher_learns_its_speaker_from_the_common_start(workspace: Workspace, recipe: Recipe) -> None:
    _teach(workspace, recipe, "anna", "bert")
    initial = read_teacher_card(workspace.initial_teacher_dir)
    for name in ("anna", "bert"):
        folder = workspace.teacher_dir(name)
        card, report = read_teacher_card(folder), read_json(folder / "training.json")
        assert (card.teacher_id, card.backend, card.source, card.speakers) == (name, "nemo", ".", (name,))
        assert report["initial_sha256"] == initial.checkpoint_sha256
        assert (report["num_train"], report["num_valid"]) == (9, 3)
        assert report["valid_wra"] == {"ctc": 100.0, "decoder": 100.0}
        assert count_lines(folder / "training_log.jsonl") == 16
        assert not (folder / "training").exists()  # what the loop kept while it ran
    loaded = FAMILY.load_teacher(workspace.teacher_dir("anna"))
    assert isinstance(loaded, StudentTeacher)
    assert loaded.card == read_teacher_card(workspace.teacher_dir("anna"))


def test_teachers_of_the_other_backend_are_other_teachers(workspace: Workspace, recipe: Recipe) -> None:
    """Even where all settings are the same, and both trainings are of one version."""
    short = recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"epochs": 1})})
    _teach(workspace, short, "anna")
    other = short.model_copy(update={"teacher": short.teacher.model_copy(update={"backend": "speechbrain"})})
    assert teachers_of_other_settings(workspace, ["anna"], short, seed=0) == []
    assert teachers_of_other_settings(workspace, ["anna"], other, seed=0) == ["anna"]


def test_finished_teachers_are_skipped(workspace: Workspace, recipe: Recipe) -> None:
    short = recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"epochs": 1})})

    def written() -> list[int]:
        return [(workspace.teacher_dir(n) / "teacher.json").stat().st_mtime_ns for n in ("anna", "bert")]

    _teach(workspace, short, "anna", "bert")
    before = written()
    _teach(workspace, short, "all")
    assert written() == before
    other = short.model_copy(update={"student": short.student.model_copy(update={"num_mels": 17})})
    start = read_teacher_card(workspace.initial_teacher_dir)
    with pytest.raises(TeacherError, match="the teachers of bert are finished"):
        _teach(workspace, other, "bert")  # another architecture is another start
    assert read_teacher_card(workspace.initial_teacher_dir) == start
    _teach(workspace, other, "bert", force=True)
    assert written()[0] == before[0]
    assert written()[1] > before[1]


def test_a_teacher_of_another_loop_counts_as_another(
    workspace: Workspace, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"epochs": 1})})
    _teach(workspace, short, "anna")
    card = workspace.teacher_dir("anna") / "teacher.json"
    before = card.stat().st_ino
    monkeypatch.setattr("kdspeech.teaching.train_teachers.LOOP_VERSION", 1)
    with pytest.raises(TeacherError, match="version of the training"):
        _teach(workspace, short, "anna")
    assert card.stat().st_ino == before


def test_a_refused_force_leaves_the_old_start_whole(workspace: Workspace, recipe: Recipe) -> None:
    short = recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"epochs": 1})})
    _teach(workspace, short, "anna")
    initial = workspace.initial_teacher_dir
    before = {path.name: path.read_bytes() for path in initial.rglob("*") if path.is_file()}
    with pytest.raises(RunError, match="Run `kdspeech pretrain`"):
        _teach(workspace, short.starting_from("pretrained"), "anna", force=True)
    assert {path.name: path.read_bytes() for path in initial.rglob("*") if path.is_file()} == before
    made = (initial / "teacher.json").stat().st_ino
    _teach(workspace, short, "anna", force=True)
    assert (initial / "teacher.json").stat().st_ino != made


def test_dumps_hold_all_kinds(workspace: Workspace, recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    short = recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"epochs": 1})})
    _teach(workspace, short, "anna")
    add_teacher(workspace, "bert")  # a foreign one beside it
    dump_teachers(workspace, ["anna", "bert"], recipe=short, teachers=FAMILY, jobs=1)
    store = LogProbStore(workspace.dumps_dir)
    for kind in KINDS:
        for teacher in ("anna", "bert"):
            rows = store.read(teacher, kind, [u for u in workspace.utterances if u.speaker == "anna"])
            assert len(rows) == 15
    assert "anna" in capsys.readouterr().err  # after one epoch it fails on its own speaker, and is reported


def test_a_changed_file_is_seen(workspace: Workspace, recipe: Recipe) -> None:
    short = recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"epochs": 1})})
    _teach(workspace, short, "anna")
    folder = workspace.teacher_dir("anna")
    (folder / "student.ckpt").write_bytes((workspace.initial_teacher_dir / "student.ckpt").read_bytes())
    with pytest.raises(TeacherError, match="the files were changed"):
        FAMILY.load_teacher(folder)


def test_a_teacher_of_another_workspace_is_brought(workspace: Workspace, recipe: Recipe, tmp_path: Path) -> None:
    short = recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"epochs": 1})})
    _teach(workspace, short, "anna")
    own = read_teacher_card(workspace.teacher_dir("anna"))
    for source in (str(workspace.teacher_dir("anna")), f"nemo:{workspace.teacher_dir('anna')}"):
        FAMILY.register_teacher("amy", source, tmp_path / "amy")
        card = read_teacher_card(tmp_path / "amy")
        assert card == replace(own, teacher_id="amy", source=str(workspace.teacher_dir("anna")))
        assert FAMILY.load_teacher(tmp_path / "amy").card == card


def test_foreign_teachers_go_their_own_way(workspace: Workspace) -> None:
    add_teacher(workspace, "bert")
    assert isinstance(FAMILY.load_teacher(workspace.teacher_dir("bert")), FakeTeacher)


def test_nemo_teachers_need_students(workspace: Workspace, recipe: Recipe) -> None:
    with pytest.raises(ConfigError, match="give train_teachers the `students`"):
        train_teachers(workspace, ["anna"], recipe=recipe, teachers=FakeTeachers(), jobs=1)  # type: ignore[arg-type]


def test_what_cannot_be_learnt_from_is_refused(workspace: Workspace, recipe: Recipe, tmp_path: Path) -> None:
    _teach(workspace, recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"epochs": 1})}), "anna")
    everyone = workspace.utterances
    own = [u for u in everyone if u.speaker == "anna"]
    hurried = [replace(u, duration=0.05) for u in own]

    def teach(train: list[Utterance], valid: list[Utterance]) -> None:
        data = (workspace.vocabulary, workspace.initial_teacher_dir, tmp_path / "new", "anna", train, valid, 0)
        train_student_teacher(STUDENTS, recipe.teacher, *data)

    with pytest.raises(TeacherError, match="utterances of bert, carl are among its data"):
        teach(everyone, own)
    with pytest.raises(TeacherError, match="no utterances of split `valid`"):
        teach(own, [])
    with pytest.raises(RunError, match="too short for CTC"):
        teach(hurried, own)


def test_a_teachers_settings_become_one_stage(recipe: Recipe, vocabulary: Vocabulary) -> None:
    echo = ChannelConfig(reverb_share=0.5)
    settings = {
        "ctc_weight": 0.3, "warmup_share": 0.2, "weight_decay": 0.5, "label_smoothing": 0.2, "colouring": echo
    }  # fmt: skip
    made = teacher_recipe(recipe.teacher.model_copy(update=settings), recipe.student, vocabulary)
    (stage,) = made.stages
    assert stage.losses == {"labels": {"ctc": 0.3, "cross_entropy": 0.7}}
    assert (stage.epochs, stage.learning_rate, stage.weight_decay) == (16, 1e-2, 0.5)
    assert (made.training.batch_size, made.training.label_smoothing, made.training.speeds) == (3, 0.2, (1.0,))
    assert made.training.colouring == echo
    assert warmup_steps(stage, 100) == 20
    assert made.student == recipe.student


def test_the_start_keeps_the_students_weights(workspace: Workspace, recipe: Recipe) -> None:
    _teach(workspace, recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"epochs": 1})}), "anna")
    start = read_student(workspace.initial_teacher_dir)
    fresh = STUDENTS.build_student(recipe.student, workspace.vocabulary, seed=0).state_dict()
    assert all(bool((start.weights[name] == fresh[name]).all()) for name in fresh)
