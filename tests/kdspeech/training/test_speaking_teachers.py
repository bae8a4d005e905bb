"""Runs whose teachers speak in some way of their own: what reaches the student, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdspeech.config import PseudoLabelConfig, Recipe
from kdspeech.dumps.dump_teachers import dump_teachers
from kdspeech.errors import ConfigError, RunError, VocabularyError
from kdspeech.files import read_json
from kdspeech.lexicon import Lexicon
from kdspeech.model_folders.checkpoints import load_checkpoint
from kdspeech.model_folders.runs import RunFolder
from kdspeech.model_folders.teacher_folder import read_teacher_card
from kdspeech.supervision import Supervision
from kdspeech.training.self_labelling import taught_texts
from kdspeech.training.stage_runner import StageRunner
from kdspeech.training.train import train
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import Behaviour, FakeTeachers, add_teacher, make_workspace
from tests.learners import TinyStudents, killed_after, tiny_recipe

WORDS = ("one", "two", "six")
HARD = {"ctc": 0.5, "cross_entropy": 0.5}
LOSSES = {
    "labels": HARD,
    "ctc-kd": {**HARD, "frame_kl": 0.3, "word_kl": 0.3},
    "decoder-kd": {**HARD, "token_kl": 0.3},
}
FOREIGN = Vocabulary.train(["one two six"], size=20, model_type="char")


def recipe_with(losses: dict[str, dict[str, float]] | None = None, epochs: int = 2, **targets: Any) -> Recipe:
    recipe = tiny_recipe([{"losses": losses or LOSSES, "epochs": epochs}])
    return recipe.model_copy(update={"targets": recipe.targets.model_copy(update=targets)})


def make(root: Path, vocabulary: Vocabulary, foreign: bool = False) -> Workspace:
    """Two speakers teach and train, carl is held out; bert's teacher is deaf to anna, and may have other pieces."""
    workspace = make_workspace(root, Lexicon(WORDS), vocabulary)
    add_teacher(workspace, "anna")
    add_teacher(workspace, "bert", Behaviour(deaf_to=(0,)), FOREIGN if foreign else None)
    kinds: Any = ["word", "hypotheses"] if foreign else None
    dump_teachers(
        workspace, ["anna", "bert"], recipe=recipe_with(), teachers=FakeTeachers(), on=["all"], kinds=kinds, jobs=1
    )
    return workspace


def fit(workspace: Workspace, mode: Any, recipe: Recipe, **settings: Any) -> RunFolder:
    return RunFolder(train(workspace, "carl", mode, recipe=recipe, students=TinyStudents(), **settings))


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_checkpoint(run.checkpoints_dir / "last.ckpt")["student"]
    return found


def are_equal(left: RunFolder, right: RunFolder) -> bool:
    first, second = weights(left), weights(right)
    return all(torch.equal(first[key], second[key]) for key in first)


def column(run: RunFolder, name: str) -> list[float]:
    return [json.loads(line)[name] for line in run.metrics_path.read_text().splitlines()]


@pytest.mark.parametrize("mode", ["ctc-kd", "decoder-kd"])
def test_teachers_who_never_agree_teach_nothing(mode: str, tmp_path: Path, vocabulary: Vocabulary) -> None:
    """anna alone trains, on whose recordings the two disagree: to the bit what labels alone give."""
    workspace = make(tmp_path, vocabulary)
    first = {"training": recipe_with().training.model_copy(update={"speakers": "first"})}
    gated = fit(workspace, mode, recipe_with(min_agreement=0.6).model_copy(update=first))
    labels = fit(workspace, "labels", recipe_with().model_copy(update=first))
    assert are_equal(gated, labels)
    heard = fit(workspace, mode, recipe_with(min_agreement=0.5).model_copy(update=first), force=True)
    assert not are_equal(heard, labels)


def test_one_voice_alone_takes_as_many_steps(tmp_path: Path, vocabulary: Vocabulary) -> None:
    workspace, recipe = make(tmp_path, vocabulary), recipe_with()
    one = recipe.model_copy(update={"training": recipe.training.model_copy(update={"speakers": "first"}), "name": "o"})
    runs = fit(workspace, "labels", recipe), fit(workspace, "labels", one)
    steps = [load_checkpoint(run.checkpoints_dir / "last.ckpt")["scheduler"]["last_epoch"] for run in runs]
    assert steps[0] == steps[1] > 0
    assert not are_equal(*runs)
    for path in (tmp_path / "audio").glob("bert*"):  # bert may validate, but is not heard in training
        if "-3" not in path.name:
            path.unlink()
    assert are_equal(fit(workspace, "labels", one, force=True), runs[1])


def test_settings_at_their_default_are_not_written_down(tmp_path: Path, vocabulary: Vocabulary) -> None:
    """What was trained before there were such settings is not trained again."""
    config = read_json(fit(make(tmp_path, vocabulary), "decoder-kd", recipe_with()).config_path)
    assert not set(config["targets"]) & {"who", "own_share", "min_agreement", "calibrate", "switch", "over", "blank"}
    assert "speakers" not in config["training"]


def test_the_own_teachers_share_is_written_down_where_words_are_shared(tmp_path: Path, vocabulary: Vocabulary) -> None:
    workspace = make(tmp_path, vocabulary)
    other = {"pseudo_labels": PseudoLabelConfig(own_share=0.5)}
    run = fit(workspace, "ctc-kd", recipe_with())  # learns words
    assert run.config()["pseudo_labels"] == {"own_share": 0.8}
    with pytest.raises(RunError, match=r"pseudo_labels.own_share was 0.8, now 0.5"):
        fit(workspace, "ctc-kd", recipe_with().model_copy(update=other))
    fit(workspace, "decoder-kd", recipe_with())  # does not
    fit(workspace, "decoder-kd", recipe_with().model_copy(update=other))


def test_targets_that_are_stored_otherwise_are_another_run(tmp_path: Path, vocabulary: Vocabulary) -> None:
    workspace, recipe = make(tmp_path, vocabulary), recipe_with()
    fit(workspace, "decoder-kd", recipe)
    sparse = recipe.model_copy(update={"dump": recipe.dump.model_copy(update={"top_k": 3})})
    with pytest.raises(RunError, match=r"other targets: dump\.top_k was None, now 3"):
        fit(workspace, "decoder-kd", sparse)
    fit(workspace, "decoder-kd", sparse, force=True)
    fit(workspace, "decoder-kd", sparse)


def test_a_killed_run_hears_the_same_teachers_in_turn(tmp_path: Path, vocabulary: Vocabulary) -> None:
    recipe = recipe_with(epochs=3, switch=True)
    unbroken = fit(make(tmp_path / "unbroken", vocabulary), "ctc-kd", recipe)
    workspace = make(tmp_path / "broken", vocabulary)
    with killed_after(2):
        fit(workspace, "ctc-kd", recipe)
    assert are_equal(fit(workspace, "ctc-kd", recipe), unbroken)
    together = fit(make(tmp_path / "together", vocabulary), "ctc-kd", recipe_with(epochs=3))
    assert not are_equal(together, unbroken)


def test_frames_are_not_aligned_by_transcripts_that_may_not_be_read(tmp_path: Path, vocabulary: Vocabulary) -> None:
    workspace = make(tmp_path, vocabulary)
    with pytest.raises(ConfigError, match=r"align=True lays .* by the transcripts, of which only 50 %"):
        fit(workspace, "ctc-kd", recipe_with(align=True), supervision=Supervision(0.5))
    assert fit(workspace, "ctc-kd", recipe_with(align=True)).is_finished
    assert fit(workspace, "decoder-kd", recipe_with(align=True), supervision=Supervision(0.5)).is_finished  # no frames


def test_teachers_are_not_calibrated_by_transcripts_that_may_not_be_read(
    tmp_path: Path, vocabulary: Vocabulary
) -> None:
    workspace = make(tmp_path, vocabulary)
    with pytest.raises(ConfigError, match=r"calibrate=True fits .* transcripts .* only 0 % of the transcripts"):
        fit(workspace, "ctc-kd", recipe_with(calibrate=True), supervision=Supervision(0.0))
    assert fit(workspace, "ctc-kd", recipe_with(calibrate=True)).is_finished


def test_what_cannot_be_pooled_over_a_label_is_refused(tmp_path: Path, vocabulary: Vocabulary) -> None:
    workspace = make(tmp_path, vocabulary)
    with pytest.raises(ConfigError, match="over=label: frames of different recordings have no common time"):
        fit(workspace, "ctc-kd", recipe_with(over="label"))
    with pytest.raises(ConfigError, match=r"over=label pools recordings by their transcripts, of which only 50 %"):
        fit(workspace, "decoder-kd", recipe_with(over="label"), supervision=Supervision(0.5))
    assert fit(workspace, "decoder-kd", recipe_with(over="label")).is_finished


def test_a_labels_words_are_those_of_all_speakers_whoever_is_heard(
    tmp_path: Path, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As frames and tokens are: the student hears anna alone, and bert's recordings speak for their words."""
    workspace, tasks = make(tmp_path, vocabulary), []
    monkeypatch.setattr(StageRunner, "run_all", lambda runner: tasks.append(runner._task))
    recipe = recipe_with({"ctc-kd": {"ctc": 0.5, "word_kl": 0.5}}, over="label")
    for speakers in ("all", "first"):
        training = recipe.training.model_copy(update={"speakers": speakers})
        fit(workspace, "ctc-kd", recipe.model_copy(update={"training": training}), force=True)
    everybody, alone = tasks
    assert {u.speaker for u in alone.train} == {"anna"}
    for utterance in alone.train:
        np.testing.assert_array_equal(
            alone.word_targets[utterance.utt_id], everybody.word_targets[utterance.utt_id], strict=True
        )


def test_frames_of_the_head_in_the_middle_are_frames(tmp_path: Path, vocabulary: Vocabulary) -> None:
    middle = {"ctc-kd": {"ctc": 0.5, "intermediate_frame_kl": 0.3}}
    with pytest.raises(ConfigError, match="over=label: frames of different recordings have no common time"):
        fit(make(tmp_path / "one", vocabulary), "ctc-kd", recipe_with(middle, over="label"))
    with pytest.raises(VocabularyError, match="use another: bert"):
        fit(make(tmp_path / "two", vocabulary, foreign=True), "ctc-kd", recipe_with(middle))


@pytest.mark.parametrize("settings", [{"switch": True}, {"min_agreement": 0.6}, {"over": "index"}])
def test_what_texts_do_not_know_is_refused(tmp_path: Path, vocabulary: Vocabulary, settings: dict[str, Any]) -> None:
    texts = {"ctc-kd": {"ctc": 0.5, "nbest_ctc": 0.3}}
    (name,) = settings
    with pytest.raises(ConfigError, match=rf"targets\.{name}=.* cannot be applied .* nbest_ctc would learn from"):
        fit(make(tmp_path, vocabulary), "ctc-kd", recipe_with(texts, **settings))


def test_texts_are_those_of_who_may_speak(tmp_path: Path, vocabulary: Vocabulary) -> None:
    """What anna's teacher says of bert and bert's of anna, wrongly, or each of its own speaker, rightly."""
    workspace = make(tmp_path, vocabulary)
    cards = [read_teacher_card(workspace.teacher_dir(name)) for name in ("anna", "bert")]
    heard = [u for u in workspace.utterances if u.utt_id == "anna-one-0"]
    for settings, right in (({"who": "own"}, 1.0), ({"who": "others"}, 0.0), ({"own_share": 0.75}, 0.75), ({}, 0.8)):
        texts = taught_texts(workspace, cards, heard, recipe_with(**settings))
        assert texts is not None
        weights = {text.token_ids: text.weight for text in texts["anna-one-0"]}
        assert weights.get(tuple(vocabulary.encode("one")), 0.0) == pytest.approx(right)


def test_teachers_of_another_vocabulary_speak_in_words_alone(
    tmp_path: Path, vocabulary: Vocabulary, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = make(tmp_path, vocabulary, foreign=True)
    for mode in ("ctc-kd", "decoder-kd"):
        with pytest.raises(VocabularyError, match=r"use another: bert .* speak in words alone"):
            fit(workspace, mode, recipe_with())
    words = recipe_with({"ctc-kd": {"ctc": 0.5, "word_kl": 0.5}})
    taught = fit(workspace, "ctc-kd", words)
    assert all(0 < value < 100 for value in column(taught, "train_word_kl"))
    assert "Of another vocabulary: bert" in capsys.readouterr().err
    alone = fit(workspace, "ctc-kd", words, supervision=Supervision(0.0))  # pseudo-labels by the two teachers
    assert "Pseudo-labels by teachers: 18" in capsys.readouterr().err
    assert alone.is_finished
