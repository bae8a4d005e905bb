"""The words of teachers who hear rightly, or take each word of a speaker for the next."""

from pathlib import Path
from types import ModuleType

import pytest

from kdspeech.config import PseudoLabelConfig
from kdspeech.dumps.dump_teachers import dump_teachers
from kdspeech.errors import KdspeechError, RunError
from kdspeech.lexicon import Lexicon
from kdspeech.recipe_file import load_recipe
from kdspeech.training.train import train
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.diagnosed import STUDENTS
from tests.diagnosed import recipe as short_recipe
from tests.doubles import Behaviour, FakeTeachers, add_teacher, make_workspace
from tests.scripts import load_script

LEXICON = Lexicon(("one", "two", "six"))
TEACHERS = ("anna", "bert", "carl")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("pseudo_words")


def _dumped(root: Path, vocabulary: Vocabulary, num_deaf: int) -> Workspace:
    """Teachers of anna, bert and carl; dora, whose words `num_deaf` of them take for the next, has none."""
    workspace = make_workspace(root, LEXICON, vocabulary, (*TEACHERS, "dora"))
    for index, name in enumerate(TEACHERS):
        add_teacher(workspace, name, Behaviour(deaf_to=(3,)) if index < num_deaf else None)
    recipe = load_recipe("conformer_xs_from_speechbrain")
    dump_teachers(workspace, list(TEACHERS), recipe=recipe, teachers=FakeTeachers(), on=["all"], kinds=["word"], jobs=1)
    return workspace


@pytest.mark.parametrize(("num_deaf", "right"), [(0, 100.0), (1, 100.0), (3, 0.0)])
def test_what_most_teachers_hear_is_the_word(
    script: ModuleType, tmp_path: Path, vocabulary: Vocabulary, num_deaf: int, right: float
) -> None:
    workspace = _dumped(tmp_path, vocabulary, num_deaf)
    found = script.right_words(script.labeller_of(workspace, "dora", TEACHERS, PseudoLabelConfig(), known=False))
    assert found == dict.fromkeys(("mean", "mean, balanced", "confusions", "confusions, balanced"), right)


def test_a_speaker_is_never_heard_by_its_own_teacher(
    script: ModuleType, tmp_path: Path, vocabulary: Vocabulary
) -> None:
    workspace = _dumped(tmp_path, vocabulary, 0)
    with pytest.raises(KdspeechError, match="no teacher but anna's own"):
        script.labeller_of(workspace, "anna", ["anna"], PseudoLabelConfig(), known=False)


def test_what_its_own_teacher_has_learnt_is_heard_by_that_one_above_all(
    script: ModuleType, tmp_path: Path, vocabulary: Vocabulary
) -> None:
    """Two of three take her words for the next; the third is her own, and four fifths of the voice."""
    workspace = make_workspace(tmp_path, LEXICON, vocabulary, TEACHERS)
    for name in TEACHERS:
        add_teacher(workspace, name, None if name == "anna" else Behaviour(deaf_to=(0,)))
    recipe = load_recipe("conformer_xs_from_speechbrain")
    dump_teachers(workspace, list(TEACHERS), recipe=recipe, teachers=FakeTeachers(), on=["all"], kinds=["word"], jobs=1)
    found = script.right_words(script.labeller_of(workspace, "anna", TEACHERS, PseudoLabelConfig(), known=True))
    assert found == {"mean": 100.0, "mean, balanced": 100.0}


def test_a_student_who_never_heard_the_voice_is_one_listener_more(
    script: ModuleType, tmp_path: Path, vocabulary: Vocabulary
) -> None:
    """All teachers take dora's words for the next, the student does not: the louder of the two is believed."""
    workspace, recipe = _dumped(tmp_path, vocabulary, 3), short_recipe()
    train(workspace, "dora", "labels", recipe=recipe, students=STUDENTS)
    found = {}
    for loudness in (1e-3, 1e3):
        config = PseudoLabelConfig(pooling="mean", student_weight=loudness)
        labeller = script.labeller_of(workspace, "dora", TEACHERS, config, known=False)
        found[loudness] = script.right_words_with_students(workspace, labeller, recipe, ["labels"], [0], STUDENTS)
    assert found == {1e-3: {"labels, seed 0": 0.0}, 1e3: {"labels, seed 0": 100.0}}
    with pytest.raises(RunError, match="no finished run"):
        script.right_words_with_students(workspace, labeller, recipe, ["labels"], [1], STUDENTS)
