"""`train_teachers` with a family of doubles: who is trained on what, what is skipped, what is left after a failure."""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kdspeech.config import Recipe, TeacherConfig
from kdspeech.errors import KdspeechError, RunError, TeacherError
from kdspeech.files import read_json
from kdspeech.model_folders.pretrained import PretrainedCard, write_card
from kdspeech.model_folders.teacher_folder import read_teacher_card, replacing_folder, write_teacher_card
from kdspeech.protocols import ScoredText, Teacher, TeacherCard, TeacherScores
from kdspeech.recipe_file import load_recipe
from kdspeech.teaching.train_teachers import train_teachers
from kdspeech.utterance import Utterance, write_manifest
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace


class ParrotTeacher:
    """Says `one` to everything by CTC, and nothing by its decoder."""

    frame_shift_s = 0.04

    def __init__(self, card: TeacherCard, vocabulary: Vocabulary) -> None:
        self.card, self.vocabulary = card, vocabulary

    def score(self, waveforms: Sequence[np.ndarray], token_ids: Sequence[Sequence[int]]) -> list[TeacherScores]:
        return [TeacherScores(None, None, (ScoredText("one", -1.0, "ctc"),)) for _ in waveforms]


@dataclass
class DoubleFamily:
    """Records its calls; `failing` speakers raise in the middle of their training."""

    vocabulary: Vocabulary
    failing: set[str] = field(default_factory=set)
    trained: list[tuple[str, list[str], list[str]]] = field(default_factory=list)
    initials: list[Path] = field(default_factory=list)  # from which they were

    def train_initial(self, config: TeacherConfig, vocabulary: Vocabulary, folder: Path, seed: int) -> None:
        if not (folder / "teacher.json").exists():
            write_teacher_card(folder, self._card("initial", (), f"start{seed}"))

    def train_teacher(
        self,
        config: TeacherConfig,
        vocabulary: Vocabulary,
        initial: Path,
        folder: Path,
        speaker: str,
        train: Sequence[Utterance],
        valid: Sequence[Utterance],
        seed: int,
    ) -> None:
        self.trained.append((speaker, [u.utt_id for u in train], [u.utt_id for u in valid]))
        self.initials.append(initial)
        (folder / "weights").write_text("half")
        if speaker in self.failing:
            raise TeacherError(f"{speaker} cannot be trained")
        write_teacher_card(folder, self._card(speaker, (speaker,), f"trained{seed}"))

    def register_teacher(self, speaker: str, source: str, folder: Path) -> None:
        write_teacher_card(folder, TeacherCard(speaker, "nemo", source, None, "own", self.vocabulary.sha256))

    def load_teacher(self, folder: Path) -> Teacher:
        return ParrotTeacher(read_teacher_card(folder), self.vocabulary)

    def _card(self, name: str, speakers: tuple[str, ...], checkpoint: str) -> TeacherCard:
        return TeacherCard(name, "speechbrain", ".", speakers, checkpoint, self.vocabulary.sha256)


@pytest.fixture
def family(vocabulary: Vocabulary) -> DoubleFamily:
    return DoubleFamily(vocabulary)


@pytest.fixture
def recipe() -> Recipe:
    return load_recipe("conformer_xs_from_speechbrain")


@pytest.fixture
def workspace(tmp_path: Path, vocabulary: Vocabulary) -> Workspace:
    """Two speakers; each has a train, a test and two valid utterances, of which one says `one`."""
    soundfile.write(tmp_path / "a.wav", np.full(8000, 0.1), 16_000)
    utterances = [
        Utterance(f"{speaker}_{split}_{text}", str(tmp_path / "a.wav"), 0.5, text, speaker, split)
        for speaker in ("ann", "bob")
        for split, text in (("train", "six"), ("test", "two"), ("valid", "one"), ("valid", "nine"))
    ]
    place = Workspace(tmp_path / "ws")
    write_manifest(place.manifest_path, utterances)
    vocabulary.save(place.vocabulary_dir)
    return place


def test_each_speaker_is_trained_on_its_own_utterances(
    workspace: Workspace, family: DoubleFamily, recipe: Recipe
) -> None:
    train_teachers(workspace, ["all"], recipe=recipe, teachers=family, jobs=1)
    assert family.trained == [
        (name, [f"{name}_train_six"], [f"{name}_valid_one", f"{name}_valid_nine"]) for name in ("ann", "bob")
    ]
    assert read_teacher_card(workspace.teacher_dir("bob")).speakers == ("bob",)


def test_report_holds_the_own_speakers_wra(workspace: Workspace, family: DoubleFamily, recipe: Recipe) -> None:
    train_teachers(workspace, ["ann"], recipe=recipe, teachers=family, seed=5, jobs=1)
    report = read_json(workspace.teacher_dir("ann") / "training.json")
    assert report["valid_wra"] == {"ctc": 50.0}  # `one` of `one` and `nine`; no decoder
    assert (report["seed"], report["num_train"], report["num_valid"]) == (5, 1, 2)
    assert "torch" in report["versions"]


def test_finished_teachers_are_skipped(workspace: Workspace, family: DoubleFamily, recipe: Recipe) -> None:
    train_teachers(workspace, ["ann"], recipe=recipe, teachers=family, jobs=1)
    train_teachers(workspace, ["all"], recipe=recipe, teachers=family, jobs=1)
    assert [name for name, _, _ in family.trained] == ["ann", "bob"]
    train_teachers(workspace, ["ann"], recipe=recipe, teachers=family, jobs=1, force=True)
    assert [name for name, _, _ in family.trained] == ["ann", "bob", "ann"]


def test_changed_settings_or_data_train_again_by_force_alone(
    workspace: Workspace, family: DoubleFamily, recipe: Recipe
) -> None:
    train_teachers(workspace, ["all"], recipe=recipe, teachers=family, jobs=1)
    longer = recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"epochs": 99})})
    for changed in ({"recipe": longer}, {"recipe": recipe, "seed": 1}):
        with pytest.raises(TeacherError, match=r"the teachers of ann are finished.*--force makes them again"):
            train_teachers(workspace, ["ann"], teachers=family, jobs=1, **changed)
    assert len(family.trained) == 2
    train_teachers(workspace, ["ann"], recipe=longer, teachers=family, jobs=1, force=True)
    assert [name for name, _, _ in family.trained] == ["ann", "bob", "ann"]
    with pytest.raises(TeacherError, match=r"the teachers of bob are finished.*, --speakers ann leaves them"):
        train_teachers(workspace, ["all"], recipe=longer, teachers=family, jobs=1)
    train_teachers(workspace, ["bob"], recipe=longer, teachers=family, jobs=1, force=True)

    rows = [Utterance(**{**asdict(u), "text": "seven" if u.utt_id == "bob_train_six" else u.text})
            for u in workspace.utterances]  # fmt: skip
    write_manifest(workspace.manifest_path, rows)
    with pytest.raises(TeacherError, match="the teachers of bob are finished"):
        train_teachers(Workspace(workspace.root), ["all"], recipe=longer, teachers=family, jobs=1)
    train_teachers(Workspace(workspace.root), ["bob"], recipe=longer, teachers=family, jobs=1, force=True)
    assert [name for name, _, _ in family.trained][3:] == ["bob", "bob"]


def test_failed_training_leaves_the_old_teacher(workspace: Workspace, family: DoubleFamily, recipe: Recipe) -> None:
    train_teachers(workspace, ["ann"], recipe=recipe, teachers=family, jobs=1)
    before = read_teacher_card(workspace.teacher_dir("ann"))
    family.failing = {"ann", "bob"}
    for name in ("ann", "bob"):
        with pytest.raises(TeacherError, match=f"{name} cannot be trained"):
            train_teachers(workspace, [name], recipe=recipe, teachers=family, jobs=1, force=True)
    assert read_teacher_card(workspace.teacher_dir("ann")) == before
    assert [path.name for path in workspace.teacher_dir("ann").parent.iterdir()] == ["ann"]


def test_users_own_teacher_is_registered_instead(workspace: Workspace, family: DoubleFamily, recipe: Recipe) -> None:
    train_teachers(workspace, ["all"], recipe=recipe, teachers=family, external={"bob": "bob.nemo"}, jobs=1)
    assert [name for name, _, _ in family.trained] == ["ann"]
    card = read_teacher_card(workspace.teacher_dir("bob"))
    assert (card.source, card.speakers) == ("bob.nemo", None)
    assert read_json(workspace.teacher_dir("bob") / "training.json")["valid_wra"] == {"ctc": 50.0}


def test_users_own_teacher_is_kept_until_forced(workspace: Workspace, family: DoubleFamily, recipe: Recipe) -> None:
    train_teachers(workspace, [], recipe=recipe, teachers=family, external={"bob": "bob.nemo"}, jobs=1)
    train_teachers(workspace, ["all"], recipe=recipe, teachers=family, jobs=1)
    assert [name for name, _, _ in family.trained] == ["ann"]
    assert read_teacher_card(workspace.teacher_dir("bob")).source == "bob.nemo"
    train_teachers(workspace, ["bob"], recipe=recipe, teachers=family, jobs=1, force=True)
    assert read_teacher_card(workspace.teacher_dir("bob")).source == "."
    with pytest.raises(TeacherError, match=r"bob holds a finished teacher \(speechbrain\). Give --force to put b2"):
        train_teachers(workspace, [], recipe=recipe, teachers=family, external={"bob": "b2.nemo"}, jobs=1)


def test_only_own_teachers_need_no_initial_checkpoint(
    workspace: Workspace, family: DoubleFamily, recipe: Recipe
) -> None:
    train_teachers(workspace, [], recipe=recipe, teachers=family, external={"bob": "bob.nemo"}, jobs=1)
    assert not workspace.initial_teacher_dir.exists()


@pytest.mark.parametrize(("speakers", "external"), [(["eve"], {}), (["ann"], {"eve": "x.nemo"})])
def test_unknown_speaker_is_refused(
    workspace: Workspace, family: DoubleFamily, recipe: Recipe, speakers: list[str], external: dict[str, str]
) -> None:
    with pytest.raises(KdspeechError, match="unknown speaker 'eve'"):
        train_teachers(workspace, speakers, recipe=recipe, teachers=family, external=external, jobs=1)
    assert family.trained == []


def test_another_start_is_pointed_out(
    workspace: Workspace, family: DoubleFamily, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    train_teachers(workspace, ["all"], recipe=recipe, teachers=family, jobs=1)
    capsys.readouterr()
    train_teachers(workspace, ["bob"], recipe=recipe, teachers=family, seed=1, jobs=1, force=True)
    assert "teachers of ann started from another initial checkpoint" in capsys.readouterr().err


def test_unfinished_folder_is_no_teacher(tmp_path: Path) -> None:
    with pytest.raises(TeacherError, match="no finished teacher"):
        read_teacher_card(tmp_path)
    (tmp_path / "teacher.json").write_text('{"teacher_id": "ann"}')
    with pytest.raises(TeacherError, match="not a teacher's card"):
        read_teacher_card(tmp_path)


def test_replacing_a_folder_is_all_or_nothing(tmp_path: Path) -> None:
    def fill(name: str, divisor: int = 1) -> None:
        with replacing_folder(tmp_path / "made") as temporary:
            (temporary / name).write_text(str(1 / divisor))

    fill("first")
    fill("second")
    with pytest.raises(ZeroDivisionError):
        fill("third", divisor=0)
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["second"]
    assert [path.name for path in tmp_path.iterdir()] == ["made"]


def test_a_folder_that_nothing_replaced_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second rename fails, or the process is killed before it: the old folder is the only whole one."""
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "first").touch()

    def fail(source: Path, target: Path) -> None:
        if source.name == ".made.new":
            raise FileNotFoundError(2, "No such file or directory")
        rename(source, target)

    rename = os.replace
    with monkeypatch.context() as patch:
        patch.setattr("kdspeech.model_folders.teacher_folder.os.replace", fail)
        with (
            pytest.raises(KdspeechError, match=r"cannot write .*made: No such file"),
            replacing_folder(tmp_path / "made"),
        ):
            pass
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["first"]

    os.replace(tmp_path / "made", tmp_path / ".made.old")  # as a kill would leave it
    with pytest.raises(ZeroDivisionError), replacing_folder(tmp_path / "made"):
        raise ZeroDivisionError
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["first"]


def test_a_start_of_the_same_settings_is_not_touched(
    workspace: Workspace, family: DoubleFamily, recipe: Recipe
) -> None:
    """Jobs of several speakers may ask for it at the same time."""
    train_teachers(workspace, ["ann"], recipe=recipe, teachers=family, jobs=1)
    folder = workspace.initial_teacher_dir.stat().st_ino
    train_teachers(workspace, ["bob"], recipe=recipe, teachers=family, jobs=1)
    assert workspace.initial_teacher_dir.stat().st_ino == folder


def test_a_pretrained_start_takes_the_place_of_random_weights(
    workspace: Workspace, family: DoubleFamily, recipe: Recipe
) -> None:
    start = recipe.model_copy(update={"teacher": recipe.teacher.model_copy(update={"start": "pretrained"})})
    with pytest.raises(RunError, match="Run `kdspeech pretrain`"):
        train_teachers(workspace, ["ann"], recipe=start, teachers=family, jobs=1)

    pretrain(workspace, "trained start")
    train_teachers(workspace, ["ann"], recipe=start, teachers=family, jobs=1)
    train_teachers(workspace, ["ann"], recipe=start, teachers=family, jobs=1)  # skipped
    report = read_json(workspace.teacher_dir("ann") / "training.json")
    assert report["initial_sha256"] == "trained start"
    assert family.initials == [workspace.pretrained_teacher_dir]
    assert not workspace.initial_teacher_dir.exists()

    pretrain(workspace, "another start")
    with pytest.raises(TeacherError, match="the teachers of ann are finished"):
        train_teachers(workspace, ["ann"], recipe=start, teachers=family, jobs=1)
    train_teachers(workspace, ["ann"], recipe=start, teachers=family, jobs=1, force=True)
    assert len(family.trained) == 2


def pretrain(workspace: Workspace, checkpoint: str) -> None:
    """Leaves what `kdspeech pretrain` leaves for teachers."""
    vocabulary = workspace.vocabulary.sha256
    card = TeacherCard("initial", "double", ".", (), checkpoint, vocabulary)
    write_teacher_card(workspace.pretrained_teacher_dir, card)
    write_card(workspace.pretrained_dir, PretrainedCard({}, 0, vocabulary, "", checkpoint, 1, 1, 0.1, 1.0, {}))
