"""`train`, with a tiny student: what it writes, what it refuses, and that a killed run ends as an unbroken one."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdspeech.config import ChannelConfig
from kdspeech.errors import KdspeechError, LeakError, RunError, VocabularyError
from kdspeech.files import read_json, write_json
from kdspeech.folds import Provenance
from kdspeech.lexicon import Lexicon
from kdspeech.model_folders.checkpoints import load_checkpoint
from kdspeech.model_folders.runs import RunFolder, differences, load_student
from kdspeech.recipe_file import load_recipe
from kdspeech.supervision import ALL_LABELS, Supervision
from kdspeech.targets.target_set import Target, TargetSet
from kdspeech.training.averaging import WeightAverage
from kdspeech.training.batches import Collator
from kdspeech.training.recordings import AudioCache, Draw, Item, UtteranceDataset
from kdspeech.training.train import run_config, train
from kdspeech.training.validation import Validation
from kdspeech.utterance import write_manifest
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import add_teacher, make_workspace
from tests.learners import TinyStudent, TinyStudents, tiny_recipe

WORDS = ("one", "two", "six")


@pytest.fixture
def workspace(tmp_path: Path, vocabulary: Vocabulary) -> Workspace:
    """Three speakers x three words; held out: carl. 18 training and 6 validation utterances are left."""
    return make_workspace(tmp_path / "workspace", Lexicon(WORDS), vocabulary)


def fit(workspace: Workspace, **settings: Any) -> RunFolder:
    values = {"held_out": "carl", "mode": "labels", "recipe": tiny_recipe(), "students": TinyStudents(), **settings}
    return RunFolder(train(workspace, values.pop("held_out"), values.pop("mode"), **values))


def rows(run: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.metrics_path.read_text().splitlines()]


def test_run_folder_tells_everything(workspace: Workspace) -> None:
    run = fit(workspace)
    assert run.path == workspace.run_dir("conformer_xs_from_speechbrain", "carl", "labels", 0)
    assert run.is_finished
    proof = read_json(run.proof_path)
    assert (proof["held_out"], proof["training_speakers"]) == ("carl", ["anna", "bert"])
    assert (proof["num_train"], proof["num_valid"], proof["num_test"]) == (18, 6, 15)
    assert proof["unknown_provenance"] == []
    config = read_json(run.config_path)
    assert config["inputs"]["vocabulary"] == workspace.vocabulary.sha256
    assert config["stages"][0]["losses"] == {"ctc": 0.5, "cross_entropy": 0.5}
    provenance = read_json(run.path / "provenance.json")
    assert provenance["versions"]["torch"] == torch.__version__
    assert [(row["stage"], row["epoch"]) for row in rows(run)] == [("all", 1), ("all", 2)]
    assert {"train_ctc", "train_cross_entropy", "train_loss", "train_gradient_norm", "train_learning_rate"} < set(
        rows(run)[0]
    )
    assert rows(run)[0]["train_loss"] == pytest.approx(
        0.5 * rows(run)[0]["train_ctc"] + 0.5 * rows(run)[0]["train_cross_entropy"], rel=1e-5
    )
    assert list((run.path / "tensorboard").glob("events*"))


def test_finished_run_is_skipped_and_force_redoes_it(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    run = fit(workspace)
    before = run.done_path.stat().st_mtime_ns
    fit(workspace)
    assert "is finished: skipped" in capsys.readouterr().err
    assert run.done_path.stat().st_mtime_ns == before
    fit(workspace, force=True)
    assert run.done_path.stat().st_mtime_ns > before


def test_a_refused_force_leaves_the_old_run_whole(workspace: Workspace) -> None:
    run = fit(workspace)
    before = {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()}
    with pytest.raises(LeakError, match="checkpoint"):
        fit(workspace, students=TinyStudents(speakers=("carl",)), force=True)
    assert {path: path.read_bytes() for path in run.path.rglob("*") if path.is_file()} == before
    assert fit(workspace, recipe=tiny_recipe([{"epochs": 3}]), force=True).config()["stages"][0]["epochs"] == 3
    assert len(rows(run)) == 3


def test_other_settings_are_refused_by_name(workspace: Workspace) -> None:
    fit(workspace)
    with pytest.raises(RunError, match=r"stages\.0\.epochs was 2, now 5.*--force"):
        fit(workspace, recipe=tiny_recipe([{"epochs": 5}]))


@pytest.mark.parametrize(("mode", "decides"), [("labels", False), ("decoder-kd", True), ("ctc-kd", True)])
def test_how_frames_are_compared_decides_only_who_compares_them(workspace: Workspace, mode: Any, decides: bool) -> None:
    rigid, delayed = (
        run_config(workspace, "carl", mode, load_recipe("conformer_xs_from_speechbrain", overrides), [], seed=0)
        for overrides in (("training.frame_kl=null",), ("training.frame_kl.delay=2",))
    )
    assert (differences(rigid, delayed) != []) == decides


@pytest.mark.parametrize(
    ("mode", "supervision", "decides"),
    [
        ("labels", ALL_LABELS, False),
        ("decoder-kd", ALL_LABELS, False),
        ("labels", Supervision(0.5), False),
        ("labels", Supervision(adapt=True), True),
        ("decoder-kd", Supervision(0.5), True),
    ],
)
def test_the_word_list_decides_runs_that_learn_words(
    workspace: Workspace, mode: Any, supervision: Supervision, decides: bool
) -> None:
    def config() -> dict[str, Any]:
        place = Workspace(workspace.root)
        return run_config(place, "carl", mode, tiny_recipe(), [], seed=0, supervision=supervision)

    before = config()
    Lexicon((*workspace.lexicon.words, "further")).save(workspace.lexicon_path)
    assert (differences(before, config()) != []) == decides


class Killed(BaseException):
    """As a signal would end the process."""


TWO_STAGES = [{"name": "heads", "train": ("ctc_head", "decoder"), "epochs": 2}, {"name": "all", "epochs": 2}]


@pytest.mark.parametrize(("saves", "ema_decay"), [(1, None), (2, None), (3, None), (1, 0.8), (2, 0.8), (3, 0.8)])
def test_killed_and_continued_equals_unbroken(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saves: int, ema_decay: float | None
) -> None:
    colouring = None if ema_decay is None else ChannelConfig()
    recipe = tiny_recipe(TWO_STAGES, speeds=(0.9, 1.0, 1.1), ema_decay=ema_decay, colouring=colouring)
    unbroken = fit(make_workspace(tmp_path / "other", workspace.lexicon, workspace.vocabulary), recipe=recipe)
    original = TinyStudent.forward
    steps_per_epoch = 3  # 18 utterances by 8
    calls = 0

    def dying(self: TinyStudent, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == saves * steps_per_epoch + 2:  # in the middle of the next epoch
            raise Killed
        return original(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(TinyStudent, "forward", dying)
        with pytest.raises(Killed):
            fit(workspace, recipe=recipe)
    run = RunFolder(workspace.run_dir(recipe.name, "carl", "labels", 0))
    assert not run.is_finished
    assert len(rows(run)) == saves
    fit(workspace, recipe=recipe)
    assert run.is_finished
    for name in ("best", "last"):
        ours = load_checkpoint(run.checkpoints_dir / f"{name}.ckpt")["student"]
        theirs = load_checkpoint(unbroken.checkpoints_dir / f"{name}.ckpt")["student"]
        for key, value in theirs.items():
            torch.testing.assert_close(ours[key], value, rtol=0, atol=0)
    without_time = [{k: v for k, v in row.items() if "second" not in k} for row in rows(run)]
    expected = [{k: v for k, v in row.items() if "second" not in k} for row in rows(unbroken)]
    assert without_time == expected


def test_every_epoch_of_every_stage_is_drawn_anew(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the loop asks for them: a sampler that is right by itself is no use where nobody tells it the epoch."""
    original = UtteranceDataset.__getitem__
    asked: list[Draw] = []

    def listening(self: UtteranceDataset, draw: Draw) -> Item:
        asked.append(draw)
        return original(self, draw)

    monkeypatch.setattr(UtteranceDataset, "__getitem__", listening)
    run = fit(workspace, recipe=tiny_recipe(TWO_STAGES, speeds=(0.9, 1.0, 1.1), tempos=(0.9, 1.1)))
    size = 18
    epochs = [
        [draw for draw in asked if draw.seed == seed] for seed in dict.fromkeys(d.seed for d in asked if d.seed[0])
    ]
    assert [sorted(draw.number for draw in epoch) for epoch in epochs] == [list(range(size))] * len(rows(run))
    assert len({tuple(draw.number for draw in epoch) for epoch in epochs}) == len(epochs)
    for paces in (
        [{draw.number: draw.speed for draw in epoch} for epoch in epochs],
        [{draw.number: draw.tempo for draw in epoch} for epoch in epochs],
    ):
        assert sum(len({epoch[number] for epoch in paces}) > 1 for number in range(size)) > size / 2


def test_averaged_weights_are_validated_and_kept_and_the_next_stage_starts_from_them(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[list[torch.Tensor]] = []  # after each step, by stage
    starts: list[torch.Tensor] = []  # of each stage
    update, start = WeightAverage.update, WeightAverage.__init__

    def weight(student: Any) -> torch.Tensor:
        return student.ctc_head.weight.detach().clone()

    def started(self: WeightAverage, student: Any, decay: float) -> None:
        starts.append(weight(student))
        trained.append([])
        start(self, student, decay)

    def updated(self: WeightAverage, student: Any) -> None:
        trained[-1].append(weight(student))
        update(self, student)

    monkeypatch.setattr(WeightAverage, "__init__", started)
    monkeypatch.setattr(WeightAverage, "update", updated)
    run = fit(workspace, recipe=tiny_recipe(TWO_STAGES, ema_decay=0.5))
    expected = []
    for weights in trained:
        average = weights[0]
        for number, current in enumerate(weights[1:], start=2):
            decay = min(0.5, number / (number + 9))
            average = decay * average + (1 - decay) * current
        expected.append(average)
    assert [len(weights) for weights in trained] == [6, 6]  # 2 epochs of 3 steps
    torch.testing.assert_close(starts[1], expected[0])
    student = load_student(run.path, TinyStudents(), checkpoint="last")
    torch.testing.assert_close(weight(student), expected[1])
    assert not torch.equal(weight(student), trained[1][-1])

    validation = Validation()
    utterances = [u for u in workspace.utterances if u.split == "valid" and u.speaker != "carl"]
    dataset = UtteranceDataset(utterances, workspace.vocabulary, AudioCache(0))
    validation.add(student, Collator(workspace.vocabulary)([dataset[Draw(i, 1.0)] for i in range(len(utterances))]))
    assert rows(run)[-1]["valid_ctc_loss"] == pytest.approx(validation.result().ctc_loss, rel=1e-5)


def test_killed_while_saving_leaves_a_whole_checkpoint(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    original = torch.save
    count = 0

    def torn(state: Any, path: Path) -> None:
        nonlocal count
        count += 1
        if count == 4:  # last.ckpt of the second epoch: half of it gets onto the disk
            original(state, path)
            content = Path(path).read_bytes()
            Path(path).write_bytes(content[: len(content) // 2])
            raise Killed
        original(state, path)

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", torn)
        with pytest.raises(Killed):
            fit(workspace, recipe=tiny_recipe(save_top_k=2))
    run = RunFolder(workspace.run_dir("conformer_xs_from_speechbrain", "carl", "labels", 0))
    assert load_checkpoint(run.checkpoints_dir / "last.ckpt")["epoch"] == 1
    assert fit(workspace, recipe=tiny_recipe(save_top_k=2)).is_finished


def test_frozen_batchnorm_does_not_move(workspace: Workspace) -> None:
    run = fit(workspace, recipe=tiny_recipe([{"train": ("ctc_head", "decoder")}]))
    fresh = TinyStudents().build_student(tiny_recipe().student, workspace.vocabulary, seed=0).state_dict()
    trained = load_checkpoint(run.checkpoints_dir / "last.ckpt")["student"]
    for key, value in fresh.items():
        assert torch.equal(trained[key], value) == key.startswith("encoder."), key


class NanStudent(TinyStudent):
    """Learns for one step, then gives NaN."""

    steps = 0

    def ctc_log_probs(self, encoded: Any) -> torch.Tensor:
        log_probs = super().ctc_log_probs(encoded)
        if self.training:
            self.steps += 1
        return log_probs * float("nan") if self.steps == 2 else log_probs


def test_non_finite_loss_names_step_and_utterances(workspace: Workspace) -> None:
    with pytest.raises(RunError, match=r"not finite in stage 'all', epoch 1, step 2 .*Utterances: (anna|bert)-"):
        fit(workspace, students=TinyStudents(student=NanStudent))


def test_too_short_recordings_are_named(workspace: Workspace) -> None:
    short = [
        replace(u, duration=0.05) if u.utt_id == "bert-six-0" else u for u in workspace.utterances
    ]  # one frame of 40 ms
    write_manifest(workspace.manifest_path, short)
    with pytest.raises(
        RunError,
        match=r"1 utterances are too short for CTC at 1.1 times the speed: bert-six-0 \(\d frames needed, 1 there\)",
    ):
        fit(Workspace(workspace.root))


def test_text_outside_the_vocabulary_is_refused(workspace: Workspace) -> None:
    foreign = [replace(u, text="ÜBER") if u.utt_id == "bert-six-0" else u for u in workspace.utterances]
    write_manifest(workspace.manifest_path, foreign)
    with pytest.raises(VocabularyError, match="ÜBER"):
        fit(Workspace(workspace.root))
    assert not workspace.runs_dir.exists()


def test_unknown_speaker_is_refused(workspace: Workspace) -> None:
    with pytest.raises(KdspeechError, match=r"unknown speaker 'dora'.*anna, bert, carl"):
        fit(workspace, held_out="dora")


def test_leaks_are_refused_before_training(workspace: Workspace) -> None:
    with pytest.raises(LeakError, match="checkpoint"):
        fit(workspace, students=TinyStudents(speakers=("anna", "carl")))
    row = read_json(workspace.corpus_path)
    write_json(workspace.corpus_path, {**row, "vocabulary_speakers": ["carl"]})
    with pytest.raises(LeakError, match="vocabulary"):
        fit(Workspace(workspace.root))
    assert not workspace.runs_dir.exists()


def test_leaking_teacher_and_statistic_are_refused(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    add_teacher(workspace, "anna")
    leaking = TargetSet({}, frame_shift_s=0.04, temperature=1.0, provenance=Provenance("t", "statistic", ("carl",)))
    monkeypatch.setattr("kdspeech.training.train.aggregate", lambda *_: leaking)
    with pytest.raises(LeakError, match="statistic"):
        fit(workspace, mode="ctc-kd")
    card_path = workspace.teacher_dir("anna") / "teacher.json"
    write_json(card_path, {**read_json(card_path), "speakers": ["anna", "carl"]})
    with pytest.raises(LeakError, match="teacher"):
        fit(workspace, mode="ctc-kd", force=True)


def test_distillation_without_teachers_says_what_to_run(workspace: Workspace) -> None:
    add_teacher(workspace, "carl")  # the held-out speaker's own does not count
    with pytest.raises(RunError, match=r"no teacher but carl's.*train-teachers.*--mode labels"):
        fit(workspace, mode="decoder-kd")


def uniform_targets(workspace: Workspace, leave_out: str = "") -> TargetSet:
    """Every distribution is uniform; only every second frame counts."""
    vocabulary = workspace.vocabulary
    row = np.full(vocabulary.num_columns, -np.log(vocabulary.num_columns), dtype=np.float32)
    targets: Mapping[str, Target] = {
        u.utt_id: Target(
            u.utt_id,
            np.tile(row, (20, 1)),
            np.arange(20) % 2 == 0,
            np.tile(row, (len(vocabulary.encode(u.text)) + 1, 1)),
            confidence=1.0,
            num_teachers=1,
        )
        for u in workspace.utterances
        if u.utt_id != leave_out
    }
    provenance = Provenance("targets", "statistic", ("anna",))
    return TargetSet(targets, frame_shift_s=0.04, temperature=2.0, provenance=provenance, details={"made": "here"})


@pytest.mark.parametrize(("mode", "term"), [("ctc-kd", "frame_kl"), ("decoder-kd", "token_kl")])
def test_distillation_learns_from_targets(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, mode: str, term: str
) -> None:
    add_teacher(workspace, "anna")
    monkeypatch.setattr("kdspeech.training.train.aggregate", lambda *_: uniform_targets(workspace))
    only = {"epochs": 15, "losses": {mode: {term: 1.0}}}
    run = fit(workspace, mode=mode, recipe=tiny_recipe([only]))
    log = rows(run)
    assert 0 <= log[-1][f"train_{term}"] < 0.3 * log[0][f"train_{term}"]  # towards the uniform target
    assert log[0]["train_loss"] == log[0][f"train_{term}"]
    if term == "frame_kl":
        assert log[0]["train_valid_frame_ratio"] == pytest.approx(0.5, abs=0.1)
    assert read_json(run.targets_path) == {"made": "here"}
    assert read_json(run.proof_path)["teachers"] == ["anna"]


def test_missing_target_is_found_before_training(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    add_teacher(workspace, "anna")
    monkeypatch.setattr(
        "kdspeech.training.train.aggregate", lambda *_: uniform_targets(workspace, leave_out="bert-two-1")
    )
    with pytest.raises(RunError, match=r"'bert-two-1' has no target of kind `ctc`"):
        fit(workspace, mode="ctc-kd")
    assert not workspace.runs_dir.exists()


def test_trained_student_can_be_loaded_from_its_folder_alone(workspace: Workspace) -> None:
    run = fit(workspace)
    student = load_student(run.path, TinyStudents(), checkpoint="last")
    assert not student.training
    assert student.vocabulary.sha256 == workspace.vocabulary.sha256
    saved = load_checkpoint(run.checkpoints_dir / "last.ckpt")["student"]
    assert all(torch.equal(student.state_dict()[key], value) for key, value in saved.items())
