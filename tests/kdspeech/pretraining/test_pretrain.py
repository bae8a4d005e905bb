"""`pretrain` with small doubles: what it writes, skips, resumes and refuses, and how students start from it."""

from pathlib import Path
from typing import Any

import pytest
import torch

from kdspeech.config import ChannelConfig, FitConfig, PretrainingConfig, Recipe
from kdspeech.errors import ConfigError, KdspeechError, RunError, TeacherError
from kdspeech.files import read_json, sha256_of_file
from kdspeech.lexicon import Lexicon
from kdspeech.model_folders.pretrained import PretrainedCard, read_card
from kdspeech.model_folders.runs import RunFolder
from kdspeech.pretraining import pretrain as pretraining
from kdspeech.pretraining.fits import encoder_recipe, encoder_run, teacher_config
from kdspeech.pretraining.pretrain import pretrain
from kdspeech.scoring.score import Scores
from kdspeech.simulation.synthesiser import Synthesiser
from kdspeech.training.train import train
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import make_workspace
from tests.learners import PretrainableStudents, PretrainableTeachers, tiny_recipe

pytest.importorskip("espeakng_loader")

WORDS = ("one", "two", "six")


def recipe(**changes: Any) -> Recipe:
    """Two epochs of the encoder on 24 utterances."""
    encoder = FitConfig(epochs=2, batch_size=8, learning_rate=1e-3)
    values: dict[str, Any] = {"utterances_per_word": 8, "valid_utterances": 6, "encoder": encoder, "teacher": encoder}
    small = PretrainingConfig.model_validate({**values, **changes})
    return tiny_recipe().model_copy(update={"pretraining": small})


@pytest.fixture
def workspace(tmp_path: Path, vocabulary: Vocabulary) -> Workspace:
    return make_workspace(tmp_path / "w", Lexicon(WORDS), vocabulary)


def make(workspace: Workspace, teachers: PretrainableTeachers | None = None, **settings: Any) -> PretrainedCard:
    values = {"recipe": recipe(), "students": PretrainableStudents(), "jobs": 1, "evaluate": False, **settings}
    return pretrain(Workspace(workspace.root), teachers=teachers or PretrainableTeachers(), **values)


def test_the_card_tells_what_was_made_and_that_nobody_was_heard(workspace: Workspace) -> None:
    teachers = PretrainableTeachers()
    card = make(workspace, teachers)
    assert read_card(workspace.pretrained_dir) == card
    assert card.encoder_sha256 == sha256_of_file(workspace.pretrained_encoder_path)
    assert card.vocabulary_sha256 == workspace.vocabulary.sha256
    assert (card.num_utterances, card.num_voices, card.seed, card.speakers) == (30, 30, 0, ())
    assert card.settings["words"] == list(WORDS)
    assert teachers.heard == [8 * list(WORDS)]


def test_synthetic_voices_are_heard_as_they_are_whatever_students_and_teachers_do() -> None:
    made = recipe()
    assert made.pretraining is not None
    varied = {"speeds": (0.9, 1.1), "colouring": ChannelConfig()}
    teacher = teacher_config(made.teacher.model_copy(update=varied), made.pretraining)
    loud = made.model_copy(update={"training": made.training.model_copy(update={**varied, "tempos": (0.8, 1.25)})})
    training = encoder_recipe(loud, made.student, made.pretraining).training
    for config in (teacher, training):
        assert (config.speeds, config.colouring) == ((1.0,), None)
    assert training.fastest == 1.0


def test_no_audio_of_the_corpus_is_opened(workspace: Workspace) -> None:
    for path in (workspace.root / "audio").iterdir():
        path.unlink()
    make(workspace)


def test_what_is_finished_is_skipped(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    teachers, card = PretrainableTeachers(), make(workspace)
    before = workspace.pretrained_encoder_path.stat().st_mtime_ns
    assert make(workspace, teachers) == card
    assert teachers.heard == []
    assert workspace.pretrained_encoder_path.stat().st_mtime_ns == before
    assert "is finished: skipped" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"seed": 1}, "seed was 0, now 1"),
        ({"recipe": recipe(utterances_per_word=9)}, "utterances_per_word was 8, now 9"),
    ],
)
def test_other_settings_are_refused_until_forced(workspace: Workspace, settings: dict[str, Any], named: str) -> None:
    first = make(workspace)
    with pytest.raises(RunError, match=rf"{named}.*--force"):
        make(workspace, **settings)
    assert read_card(workspace.pretrained_dir) == first
    second = make(workspace, force=True, **settings)
    assert second.encoder_sha256 != first.encoder_sha256


def test_a_refused_force_leaves_the_old_pretraining_whole(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(workspace)

    def refuse(*_: Any) -> None:
        raise KdspeechError("cannot be had")

    refused: tuple[tuple[Any, str, dict[str, Any]], ...] = (
        (pretraining, "synthesise", {"recipe": recipe(utterances_per_word=9)}),
        (PretrainableStudents, "build_student", {"seed": 1}),
    )
    for owner, name, settings in refused:
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, refuse)
            with pytest.raises(KdspeechError, match="cannot be had"):
                make(workspace, force=True, **settings)
        assert read_card(workspace.pretrained_dir) == first
        assert sha256_of_file(workspace.pretrained_encoder_path) == first.encoder_sha256
        assert encoder_run(workspace).is_finished
    assert make(workspace) == first


def test_voices_are_kept_where_only_the_training_changes(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make(workspace)
    monkeypatch.setattr(Synthesiser, "speak", None)  # nobody speaks again
    longer = recipe(encoder=FitConfig(epochs=3, batch_size=8, learning_rate=1e-3))
    second = make(workspace, recipe=longer, force=True)
    assert second.encoder_sha256 != first.encoder_sha256
    assert len(encoder_run(workspace).metrics_path.read_text().splitlines()) == 3


def test_the_seed_decides_the_weights(workspace: Workspace) -> None:
    def weights(seed: int) -> dict[str, torch.Tensor]:
        make(workspace, seed=seed, force=True)
        loaded: dict[str, torch.Tensor] = torch.load(workspace.pretrained_encoder_path, weights_only=True)
        return loaded

    first, again, other = weights(0), weights(0), weights(1)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["encoder.linear.weight"], other["encoder.linear.weight"])


def test_the_encoder_learns_and_the_decoder_does_not(workspace: Workspace) -> None:
    make(workspace)
    trained = torch.load(workspace.pretrained_encoder_path, weights_only=True)
    start = PretrainableStudents().build_student(recipe().student, workspace.vocabulary, seed=0).state_dict()
    changed = {key.split(".")[0] for key in start if not torch.equal(start[key], trained[key])}
    assert changed == {"encoder", "ctc_head"}
    (_, last) = encoder_run(workspace).metrics_path.read_text().splitlines()
    assert '"valid_decoder_wra": null' in last


def test_a_killed_pretraining_goes_on(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    teachers = PretrainableTeachers(failures=1)
    with pytest.raises(TeacherError, match="killed"):
        make(workspace, teachers)
    assert not (workspace.pretrained_dir / "pretrained.json").exists()
    with pytest.raises(RunError, match="none"):
        train_from(workspace)
    before = encoder_run(workspace).metrics_path.read_text()
    card = make(workspace, teachers)
    assert encoder_run(workspace).metrics_path.read_text() == before  # not trained again
    assert len(teachers.heard) == 2
    whole = make(workspace, force=True)
    assert card.teacher_sha256 == whole.teacher_sha256


def test_a_recipe_that_describes_no_pretraining_is_refused(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"no section `pretraining`.*conformer_xs_from_pretrained"):
        make(workspace, recipe=tiny_recipe())
    with pytest.raises(ConfigError, match=r"pretraining\.encoder_config"):
        make(workspace, recipe=recipe().starting_from("pretrained"))
    workspace.lexicon_path.unlink()
    with pytest.raises(KdspeechError, match="--lexicon"):
        make(workspace)


def test_the_zero_shot_table_comes_last(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def zero_shot(place: Workspace, encoder: str, *_: Any) -> dict[str, dict[str, Scores]]:
        assert read_card(place.pretrained_dir) is not None  # all is made before anybody is listened to
        assert encoder == str(workspace.pretrained_encoder_path)
        scores = (("anna", 1), ("bert", 2))
        return {name: {"ctc": Scores(4, correct), "lexicon": Scores(4, 2 * correct)} for name, correct in scores}

    monkeypatch.setattr(pretraining, "zero_shot", zero_shot)
    card = make(workspace, evaluate=True)
    table = capsys.readouterr().out
    assert "25.0 (1/4)" in table
    assert "100.0 (4/4)" in table
    assert "37.5" in table
    assert "75.0" in table
    assert "wra" not in str(card)


def train_from(workspace: Workspace, encoder: str = "pretrained", **settings: Any) -> RunFolder:
    start = tiny_recipe().starting_from(encoder)
    place = Workspace(workspace.root)
    return RunFolder(train(place, "carl", "labels", recipe=start, students=PretrainableStudents(), **settings))


def test_a_student_starts_from_it_and_the_proof_says_so(workspace: Workspace) -> None:
    card = make(workspace)
    run = train_from(workspace)
    assert run.config()["student"]["encoder"] == "pretrained"  # the same run in a workspace that was moved
    assert run.config()["inputs"]["encoder"] == card.encoder_sha256
    proof = read_json(run.proof_path)
    assert proof["unknown_provenance"] == []
    assert f"checkpoint {workspace.pretrained_encoder_path}" in proof["checked"][2]


def test_another_pretraining_is_another_run(workspace: Workspace) -> None:
    make(workspace)
    train_from(workspace)
    make(workspace, seed=1, force=True)
    with pytest.raises(RunError, match=r"inputs\.encoder was"):
        train_from(workspace)
    train_from(workspace, force=True)


def test_a_foreign_file_is_of_unknown_provenance(workspace: Workspace, tmp_path: Path) -> None:
    make(workspace)
    foreign = tmp_path / "foreign.nemo"
    foreign.write_bytes(workspace.pretrained_encoder_path.read_bytes())
    run = train_from(workspace, str(foreign))
    assert read_json(run.proof_path)["unknown_provenance"] == [f"checkpoint {foreign}"]
    assert run.config()["inputs"]["encoder"] == sha256_of_file(foreign)
