"""The encoder as it comes: what it hears, what is kept, and what it may lack."""

import shutil
from pathlib import Path

import pytest

from kdspeech.evaluation.zero_shot import decode_zero_shot, zero_shot
from kdspeech.lexicon import Lexicon
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import Behaviour, FakeTeacher, PublishedTeachers, add_teacher, make_workspace


@pytest.fixture
def workspace(tmp_path: Path, lexicon: Lexicon, vocabulary: Vocabulary) -> Workspace:
    """The model `anna` does not understand bert."""
    workspace = make_workspace(tmp_path, lexicon, vocabulary, speakers=("anna", "bert"), repetitions=3)
    add_teacher(workspace, "anna", Behaviour(deaf_to=(1,)))
    return workspace


def test_both_decode_modes_are_scored(workspace: Workspace) -> None:
    scores = zero_shot(workspace, "anna", PublishedTeachers(), ["anna", "bert"])
    assert scores is not None
    assert {fold: {mode: s.correct for mode, s in found.items()} for fold, found in scores.items()} == {
        "anna": {"ctc": 30, "lexicon": 30},
        "bert": {"ctc": 0, "lexicon": 0},
    }


def test_texts_are_made_once_for_a_checkpoint(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    first = zero_shot(workspace, "anna", PublishedTeachers(), ["bert"])
    with monkeypatch.context() as patch:
        patch.setattr(FakeTeacher, "score", None)  # not asked again
        assert zero_shot(workspace, "anna", PublishedTeachers(), ["bert"]) == first

    add_teacher(workspace, "anna")  # another checkpoint, which hears everybody
    again = zero_shot(workspace, "anna", PublishedTeachers(), ["bert"])
    assert again is not None
    assert again["bert"]["ctc"].correct == 30


def test_an_encoder_without_ctc_head_has_no_row(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    add_teacher(workspace, "anna", Behaviour(has_ctc=False))
    assert zero_shot(workspace, "anna", PublishedTeachers(), ["bert"]) is None
    assert "no CTC log-probs" in capsys.readouterr().err
    shutil.rmtree(workspace.teacher_dir("anna"))
    assert zero_shot(workspace, "anna", PublishedTeachers(), ["bert"]) is None


def test_pieces_that_cannot_spell_the_lexicon_leave_it_out(workspace: Workspace) -> None:
    teacher = PublishedTeachers().load_teacher(workspace.teacher_dir("anna"))
    utterances = workspace.utterances[:3]
    assert list(decode_zero_shot(teacher, utterances, Lexicon(("ONE", "TWO")))) == ["ctc"]
    assert list(decode_zero_shot(teacher, utterances, None)) == ["ctc"]
    assert list(decode_zero_shot(teacher, utterances, workspace.lexicon)) == ["ctc", "lexicon"]
