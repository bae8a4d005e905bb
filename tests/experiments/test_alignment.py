"""The table of displaced spikes, of teachers and a student whose spikes are known."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from kdspeech.dumps.dump_teachers import dump_teachers
from kdspeech.errors import KdspeechError
from kdspeech.lexicon import Lexicon
from kdspeech.recipe_file import load_recipe
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import Behaviour, FakeStudent, FakeTeachers, add_teacher, make_workspace
from tests.scripts import load_script

LEXICON = Lexicon(("one", "two", "six"))


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("alignment")


@pytest.fixture
def workspace(tmp_path: Path, vocabulary: Vocabulary) -> Workspace:
    """Teachers of anna and bert have frames of 40 ms; carl, who is held out, has no teacher."""
    place = make_workspace(tmp_path / "workspace", LEXICON, vocabulary)
    for name in ("anna", "bert"):
        add_teacher(place, name)
    return place


def _dump(workspace: Workspace) -> None:
    recipe = load_recipe("conformer_xs_from_speechbrain")
    dump_teachers(
        workspace, ["anna", "bert"], recipe=recipe, teachers=FakeTeachers(), on=["all"], kinds=["ctc"], jobs=1
    )


def test_systems_of_one_timing_agree(script: ModuleType, workspace: Workspace) -> None:
    _dump(workspace)
    heard = [u for u in workspace.utterances if u.speaker == "carl"]
    student = FakeStudent(workspace.vocabulary, LEXICON.words)
    rows = script.rows_of(workspace, "carl", {"labels": student}, heard)
    assert [(row.name, row.pairs) for row in rows] == [
        ("teacher against teacher", 1),
        ("labels student against teacher", 2),
    ]
    num_tokens = sum(len(workspace.vocabulary.encode(u.text)) for u in heard)
    for row in rows:
        assert (row.tokens, row.displaced, row.later_ms, row.displaced_of_right) == (num_tokens, (0, 0, 0), 0, 0)


def test_a_teacher_of_shorter_frames_spikes_earlier(script: ModuleType, workspace: Workspace) -> None:
    add_teacher(workspace, "bert", Behaviour(frame_shift_s=0.02))
    _dump(workspace)
    heard = [u for u in workspace.utterances if u.speaker == "carl"]
    (row,) = script.rows_of(workspace, "carl", {}, heard)
    # Spikes lie in frames 1, 3, 5: at 60, 140, 220 ms by anna's teacher, at 30, 70, 110 ms by bert's. His frames count.
    late = np.concatenate([0.03 + 0.04 * np.arange(len(workspace.vocabulary.encode(u.text))) for u in heard])
    expected = [float((late > (limit + 0.5) * 0.02 + 1e-9).mean()) for limit in (0, 1, 2)]
    assert row.displaced == pytest.approx(expected)
    assert row.later_ms == pytest.approx(1000 * float(np.median(late)))


def test_what_is_heard_wrongly_is_left_out_of_the_last_column(script: ModuleType, workspace: Workspace) -> None:
    add_teacher(workspace, "bert", Behaviour(deaf_to=(2,)))  # bert's teacher hears another word of carl
    _dump(workspace)
    heard = [u for u in workspace.utterances if u.speaker == "carl"]
    (row,) = script.rows_of(workspace, "carl", {}, heard)
    assert np.isnan(row.displaced_of_right)


def test_one_teacher_has_nobody_to_agree_with(script: ModuleType, workspace: Workspace) -> None:
    _dump(workspace)
    with pytest.raises(KdspeechError, match="1 teachers beside anna's"):
        script.rows_of(workspace, "anna", {}, workspace.utterances)
