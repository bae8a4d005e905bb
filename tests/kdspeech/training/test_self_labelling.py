"""Runs that hear recordings without their transcripts: what they learn from, and what must never reach them."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdspeech.dumps.dump_teachers import dump_teachers
from kdspeech.dumps.store import open_store
from kdspeech.errors import ConfigError, RunError, StoreError
from kdspeech.files import read_json
from kdspeech.folds import make_fold
from kdspeech.lexicon import Lexicon
from kdspeech.model_folders.checkpoints import load_checkpoint
from kdspeech.model_folders.runs import RunFolder
from kdspeech.model_folders.teacher_folder import read_teacher_card
from kdspeech.supervision import Supervision
from kdspeech.targets.pseudo_labels import pooled_words, word_prior
from kdspeech.training.self_labelling import make_labeller, recordings_elsewhere, unlabelled_recordings
from kdspeech.training.train import train
from kdspeech.utterance import Utterance, write_manifest
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import FakeTeachers, add_teacher, make_workspace
from tests.learners import TinyStudents, killed_after, tiny_recipe

WORDS = ("one", "two", "six")
ADAPTED = Supervision(adapt=True)
LOSSES = {"labels": {"ctc": 1.0}, "decoder-kd": {"ctc": 0.5, "cross_entropy": 0.5, "token_kl": 0.1}}
RECIPE = tiny_recipe([{"losses": LOSSES}])


def make(root: Path, vocabulary: Vocabulary, planted: Callable[[Utterance], bool] | None = None) -> Workspace:
    """Two speakers teach and train, carl is to be held out; transcripts of `planted` recordings are replaced."""
    workspace = make_workspace(root, Lexicon(WORDS), vocabulary)
    if planted is not None:
        changed = [replace(u, text="six") if planted(u) else u for u in workspace.utterances]
        assert changed != list(workspace.utterances)
        write_manifest(workspace.manifest_path, changed)
        workspace = Workspace(root)
    for speaker in ("anna", "bert"):
        add_teacher(workspace, speaker)
    dump_teachers(workspace, ["anna", "bert"], recipe=RECIPE, teachers=FakeTeachers(), on=["all"], jobs=1)
    return workspace


def fit(workspace: Workspace, mode: Any, supervision: Supervision, **settings: Any) -> RunFolder:
    students = settings.pop("students", TinyStudents())
    recipe = settings.pop("recipe", RECIPE)
    run = train(workspace, "carl", mode, recipe=recipe, students=students, supervision=supervision, **settings)
    return RunFolder(run)


def _is_set_aside(u: Utterance) -> bool:
    return u.split == "test" and u.speaker != "carl"


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    found: dict[str, torch.Tensor] = load_checkpoint(run.checkpoints_dir / "last.ckpt")["student"]
    return found


def are_equal(left: RunFolder, right: RunFolder) -> bool:
    first, second = weights(left), weights(right)
    return all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("mode", ["labels", "decoder-kd"])
def test_what_the_held_out_speaker_says_in_the_manifest_changes_nothing(
    mode: str, tmp_path: Path, vocabulary: Vocabulary
) -> None:
    """Every transcript of carl's is replaced by one word: dumps, pseudo-labels and weights stay the same to the bit."""
    true, planted = (
        make(tmp_path / "true", vocabulary),
        make(tmp_path / "planted", vocabulary, lambda u: u.speaker == "carl"),
    )
    assert are_equal(fit(true, mode, ADAPTED), fit(planted, mode, ADAPTED))


def test_a_strangers_words_are_not_learnt_before_the_student_is_asked(
    tmp_path: Path, vocabulary: Vocabulary, capsys: pytest.CaptureFixture[str]
) -> None:
    assert RECIPE.stages[0].epochs == 2  # so the second begins half-way
    fit(make(tmp_path, vocabulary), "decoder-kd", ADAPTED)
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("Pseudo-labels")]
    assert said[0].startswith("Pseudo-labels by teachers: 15, 0 learnt from, 3 words")
    assert said[1].startswith("Pseudo-labels by teachers and student: 15, 15 learnt from, mean confidence")


def test_the_new_speakers_audio_is_heard_and_the_proof_says_so(tmp_path: Path, vocabulary: Vocabulary) -> None:
    workspace = make(tmp_path, vocabulary)
    inductive, adapted = fit(workspace, "decoder-kd", Supervision()), fit(workspace, "decoder-kd", ADAPTED)
    assert not are_equal(inductive, adapted)
    assert adapted.path.parent.name == "decoder-kd-adapted"
    proof = read_json(adapted.proof_path)
    assert proof["num_adaptation"] == 15
    assert any("TRANSDUCTIVE: 15 recordings of carl" in line for line in proof["checked"])
    assert read_json(inductive.proof_path)["num_adaptation"] == 0
    assert read_json(inductive.config_path)["unlabelled"] is None
    assert read_json(adapted.config_path)["unlabelled"]["adapt"] is True


def test_how_strangers_are_pooled_is_another_run_only_where_there_are_any(
    tmp_path: Path, vocabulary: Vocabulary
) -> None:
    workspace = make(tmp_path, vocabulary)
    config = RECIPE.pseudo_labels.model_copy(update={"pooling": "mean", "student_from": 0.3})
    other = RECIPE.model_copy(update={"pseudo_labels": config})
    known = fit(workspace, "decoder-kd", Supervision(0.0))
    begun = known.done_path.stat().st_mtime_ns
    assert fit(workspace, "decoder-kd", Supervision(0.0), recipe=other).done_path.stat().st_mtime_ns == begun
    fit(workspace, "decoder-kd", ADAPTED)
    with pytest.raises(RunError, match="pooling"):
        fit(workspace, "decoder-kd", ADAPTED, recipe=other)
    fit(workspace, "decoder-kd", Supervision(0.0), teachers=["anna"], force=True)  # bert is a stranger now
    with pytest.raises(RunError, match="pooling"):
        fit(workspace, "decoder-kd", Supervision(0.0), teachers=["anna"], recipe=other)


def test_without_labels_the_teachers_words_are_learnt(
    tmp_path: Path, vocabulary: Vocabulary, capsys: pytest.CaptureFixture[str]
) -> None:
    """The fake teachers hear every word rightly: teachers only equals all labels, but for the confidences."""
    workspace = make(tmp_path, vocabulary)
    config = RECIPE.pseudo_labels.model_copy(update={"temperature": 0.05, "student_weight": 0.0})
    sure = RECIPE.model_copy(update={"pseudo_labels": config})
    taught = fit(workspace, "decoder-kd", Supervision(0.0), recipe=sure)
    assert "Pseudo-labels by teachers: 18, 18 learnt from, mean confidence 1.00, 3 words" in capsys.readouterr().err
    lines = taught.metrics_path.read_text().splitlines()
    assert len(lines) == RECIPE.stages[0].epochs
    assert '"train_token_kl": 0.0' in lines[0]  # the teachers' decoders were fed with the transcripts: never asked


def test_words_are_counted_over_transcripts_and_own_teachers(tmp_path: Path, vocabulary: Vocabulary) -> None:
    """The fake teachers hear every word rightly, so one transcript read gives the prior of all transcripts."""
    workspace = make(tmp_path, vocabulary)
    cards = [read_teacher_card(workspace.teacher_dir(name)) for name in ("anna", "bert")]
    heard = [u for u in workspace.utterances if u.speaker != "carl" and u.split == "train"]
    new = [replace(u, text="") for u in workspace.utterances if u.speaker == "carl"]
    labelled, told = heard[:1], [replace(u, text="") for u in heard[1:]]
    student = TinyStudents().build_student(RECIPE.student, vocabulary, 0)
    labeller = make_labeller(workspace, cards, labelled, [*told, *new], [], RECIPE, student)
    expected = word_prior(workspace.lexicon, [u.text for u in heard], 2)
    np.testing.assert_allclose(labeller.prior, expected)
    alone = make_labeller(workspace, [], labelled, new, [], RECIPE, student)
    np.testing.assert_allclose(alone.prior, word_prior(workspace.lexicon, [labelled[0].text], 1))


@pytest.mark.parametrize("mode", ["labels", "decoder-kd"])
def test_all_audio_is_heard_and_what_its_test_recordings_say_in_the_manifest_changes_nothing(
    mode: str, tmp_path: Path, vocabulary: Vocabulary
) -> None:
    """As adapting, but inductive: the training speakers' test recordings, and their transcripts never."""
    true, planted = make(tmp_path / "true", vocabulary), make(tmp_path / "planted", vocabulary, _is_set_aside)
    plain, heard, blind = (
        fit(workspace, mode, supervision)
        for workspace, supervision in (
            (true, Supervision()),
            (true, Supervision(all_audio=True)),
            (planted, Supervision(all_audio=True)),
        )
    )
    assert are_equal(heard, blind)
    assert not are_equal(plain, heard)
    assert heard.path.parent.name == f"{mode}-all-audio"
    proof = read_json(heard.proof_path)
    count = sum(map(_is_set_aside, true.utterances))
    assert proof["num_adaptation"] == 0
    assert f"{count} test recordings of the training speakers are heard" in proof["checked"][-1]
    assert read_json(plain.config_path)["unlabelled"] is None
    assert read_json(heard.config_path)["unlabelled"]["all_audio"] is True


def test_all_audio_of_a_manifest_without_test_recordings_is_refused(tmp_path: Path, vocabulary: Vocabulary) -> None:
    workspace = make(tmp_path, vocabulary)
    fold = replace(make_fold(workspace.utterances, "carl", ["anna", "bert"]), set_aside=())
    with pytest.raises(ConfigError, match=r"no `test` recording of anna, bert: .* Leave out --all-audio"):
        unlabelled_recordings(fold, fold.train, Supervision(all_audio=True), has_teachers=True)


def test_of_one_speaker_alone_all_audio_is_that_speakers(tmp_path: Path, vocabulary: Vocabulary) -> None:
    workspace = make(tmp_path, vocabulary)
    first = RECIPE.model_copy(update={"training": RECIPE.training.model_copy(update={"speakers": "first"})})
    run = fit(workspace, "decoder-kd", Supervision(all_audio=True), recipe=first)
    count = sum(u.split == "test" and u.speaker == "anna" for u in workspace.utterances)
    assert f"{count} test recordings" in read_json(run.proof_path)["checked"][-1]


def test_a_recording_is_known_only_to_the_teacher_that_was_trained_on_it(
    tmp_path: Path, vocabulary: Vocabulary
) -> None:
    """Of the test recordings of a training speaker the student is asked, too, and their words are balanced."""
    workspace = make(tmp_path, vocabulary)
    fold = make_fold(workspace.utterances, "carl", ["anna", "bert"])
    cards = [read_teacher_card(workspace.teacher_dir(name)) for name in ("anna", "bert")]
    told, aside = ([replace(u, text="") for u in part] for part in (fold.train, fold.set_aside))
    student = TinyStudents().build_student(RECIPE.student, vocabulary, 0)
    labeller = make_labeller(workspace, cards, [], [*told, *aside], [], RECIPE, student)
    assert labeller.doubtful == tuple(aside) != ()
    assert labeller.known == {u.utt_id for u in told}
    assert recordings_elsewhere(fold, Supervision(all_audio=True)) == fold.valid


@pytest.mark.parametrize("share", [1.0, 0.5])
def test_words_that_nobody_trains_on_are_expected_too(tmp_path: Path, vocabulary: Vocabulary, share: float) -> None:
    """UASpeech's uncommon words of the second block: the training speakers said them, in recordings kept for tests."""
    workspace = make(tmp_path, vocabulary)
    fold = make_fold(workspace.utterances, "carl", ["anna", "bert"])
    train = [u for u in fold.train if u.text != "six"]
    elsewhere = recordings_elsewhere(fold, Supervision(share, adapt=True))
    assert {u.speaker for u in elsewhere} == {"anna", "bert"}
    assert {u.split for u in elsewhere} <= {"valid", "test"}
    kept = [replace(u, split="test", text=u.text if share == 1 else "") for u in fold.train if u.text == "six"]
    cards = [read_teacher_card(workspace.teacher_dir(name)) for name in ("anna", "bert")]
    new = [replace(u, text="") for u in fold.test]
    student = TinyStudents().build_student(RECIPE.student, vocabulary, 0)
    labeller = make_labeller(workspace, cards, train, new, [*elsewhere, *kept], RECIPE, student)
    said = [u.text for u in workspace.utterances if u.speaker != "carl"]
    np.testing.assert_allclose(labeller.prior, word_prior(workspace.lexicon, said, 2))


def test_only_teachers_that_may_speak_give_words(tmp_path: Path, vocabulary: Vocabulary) -> None:
    """anna's teacher hears nothing but `one`; on bert it speaks, on anna bert's does."""
    workspace = make(tmp_path, vocabulary)
    cards = [read_teacher_card(workspace.teacher_dir(name)) for name in ("anna", "bert")]
    heard = [u for u in workspace.utterances if u.speaker != "carl" and u.split == "train"]
    told = [replace(u, text="") for u in heard]
    student = TinyStudents().build_student(RECIPE.student, vocabulary, 0)
    targets = RECIPE.targets.model_copy(update={"who": "others"})
    others = RECIPE.model_copy(update={"targets": targets})
    labeller = make_labeller(workspace, cards, heard[:1], told[1:], [], others, student)
    assert labeller.known == frozenset()
    store = open_store(workspace)
    for u in told[1:]:
        (row,) = store.read("bert" if u.speaker == "anna" else "anna", "word", [u]).values()
        assert labeller.teachers is not None
        assert isinstance(row, np.ndarray)
        np.testing.assert_allclose(
            labeller.teachers[u.utt_id].pooled, pooled_words([row], [1.0], others.pseudo_labels.temperature), rtol=1e-5
        )
    own = RECIPE.model_copy(update={"targets": RECIPE.targets.model_copy(update={"who": "own"})})
    new = [replace(u, text="") for u in workspace.utterances if u.speaker == "carl"]
    with pytest.raises(ConfigError, match=r"targets\.who=own: .* none may speak on the recordings of carl"):
        make_labeller(workspace, cards, heard, new, [], own, student)


def test_a_student_who_is_never_asked_is_said_to_be_waited_for(
    tmp_path: Path, vocabulary: Vocabulary, capsys: pytest.CaptureFixture[str]
) -> None:
    late = RECIPE.pseudo_labels.model_copy(update={"student_from": 0.9})
    started = late.model_copy(update={"from_start": True})
    workspace = make(tmp_path, vocabulary)
    cards = [read_teacher_card(workspace.teacher_dir(name)) for name in ("anna", "bert")]
    new = [replace(u, text="") for u in workspace.utterances if u.speaker == "carl"]
    student = TinyStudents().build_student(RECIPE.student, vocabulary, 0)
    for config, is_said in ((RECIPE.pseudo_labels, False), (late, True), (started, False)):
        recipe = RECIPE.model_copy(update={"pseudo_labels": config})
        make_labeller(workspace, cards, [], new, [], recipe, student)
        said = " ".join(capsys.readouterr().err.split())
        assert (f"nothing is learnt from {len(new)} recordings" in said) == is_said
        assert ("begins at 90 % of the training or later, and of 2 none does" in said) == is_said


def test_that_few_recordings_are_not_balanced_is_said(
    tmp_path: Path, vocabulary: Vocabulary, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace = make(tmp_path, vocabulary)
    new = [replace(u, text="") for u in workspace.utterances if u.speaker == "carl"]
    cards = [read_teacher_card(workspace.teacher_dir(name)) for name in ("anna", "bert")]
    student = TinyStudents().build_student(RECIPE.student, vocabulary, 0)
    make_labeller(workspace, cards, [], new, [], RECIPE, student)
    assert capsys.readouterr().err == ""
    make_labeller(workspace, cards, [], new[:2], [], RECIPE, student)
    assert "fewer recordings than the list has words (3): carl (2)." in " ".join(capsys.readouterr().err.split())


def test_few_labels_come_again_until_the_steps_are_as_many(tmp_path: Path, vocabulary: Vocabulary) -> None:
    workspace = make(tmp_path, vocabulary)
    full, few = fit(workspace, "labels", Supervision()), fit(workspace, "labels", Supervision(0.5))
    steps = [
        load_checkpoint(run.checkpoints_dir / "last.ckpt")["scheduler"]["last_epoch"] for run in (full, few)
    ]  # a scheduler counts steps
    assert steps[0] == steps[1] > 0


def test_a_killed_run_ends_as_an_unbroken_one(tmp_path: Path, vocabulary: Vocabulary) -> None:
    """The student's own pseudo-labels included: they follow from its weights alone."""
    recipe = tiny_recipe([{"epochs": 3, "losses": LOSSES}])
    unbroken = fit(make(tmp_path / "unbroken", vocabulary), "labels", ADAPTED, recipe=recipe)
    workspace = make(tmp_path / "broken", vocabulary)
    with killed_after(2):
        fit(workspace, "labels", ADAPTED, recipe=recipe)
    assert are_equal(fit(workspace, "labels", ADAPTED, recipe=recipe), unbroken)


def test_neither_labels_nor_teachers_is_refused(tmp_path: Path, vocabulary: Vocabulary) -> None:
    with pytest.raises(ConfigError, match="nothing to learn from"):
        fit(make(tmp_path, vocabulary), "labels", Supervision(0.0))


def test_adapting_without_a_dump_of_the_new_speaker_names_the_command(tmp_path: Path, vocabulary: Vocabulary) -> None:
    workspace = make_workspace(tmp_path, Lexicon(WORDS), vocabulary)
    for speaker in ("anna", "bert"):
        add_teacher(workspace, speaker)
    dump_teachers(workspace, ["anna", "bert"], recipe=RECIPE, teachers=FakeTeachers(), jobs=1)
    with pytest.raises(StoreError, match="dump-teachers"):
        fit(workspace, "decoder-kd", ADAPTED)


def test_word_posteriors_can_be_taught_alone(tmp_path: Path, vocabulary: Vocabulary) -> None:
    """With `word_kl` as the only term, and no transcript, the student comes to say what the teachers say."""
    workspace = make(tmp_path, vocabulary)
    stage = {"epochs": 30, "learning_rate": 0.02, "losses": {"ctc-kd": {"word_kl": 1.0}}}
    run = fit(workspace, "ctc-kd", Supervision(0.0), recipe=tiny_recipe([stage]))
    losses = [json.loads(line)["train_word_kl"] for line in run.metrics_path.read_text().splitlines()]
    assert losses[0] > 0.1
    assert losses[-1] < 0.2 * losses[0]


def test_word_posteriors_without_teachers_are_missed_by_name(tmp_path: Path, vocabulary: Vocabulary) -> None:
    stage = {"losses": {"labels": {"ctc": 1.0, "word_kl": 1.0}}}
    with pytest.raises(RunError, match="no data for word_kl"):
        fit(make(tmp_path, vocabulary), "labels", Supervision(), recipe=tiny_recipe([stage]))
