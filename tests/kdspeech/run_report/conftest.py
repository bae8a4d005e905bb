"""A workspace with evaluated runs whose every figure is known."""

from dataclasses import replace
from pathlib import Path

import pytest

from kdspeech.dumps.dump_teachers import dump_teachers
from kdspeech.evaluation.evaluate import evaluate, results_path
from kdspeech.evaluation.results import EvaluationResult
from kdspeech.lexicon import Lexicon
from kdspeech.recipe_file import load_recipe
from kdspeech.training.train import train
from kdspeech.utterance import write_manifest
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import Behaviour, FakeStudents, FakeTeachers, add_teacher, make_workspace

RECIPE = load_recipe("conformer_xs_from_speechbrain", ("stages.0.epochs=2",))
WORDS = ("one", "two", "six")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary) -> Workspace:
    """Runs for anna and bert, of a student that is made to miss a third of bert's words: all his `six`.

    anna's teacher is deaf to bert, so that of his two teachers one is right.
    """
    lexicon = Lexicon(WORDS)
    workspace = make_workspace(tmp_path_factory.mktemp("report") / "w", lexicon, vocabulary)
    bands = {"anna": "HIGH", "bert": "LOW", "carl": "LOW"}
    write_manifest(workspace.manifest_path, [replace(u, band=bands[u.speaker]) for u in workspace.utterances])
    workspace = Workspace(workspace.root)
    add_teacher(workspace, "anna", Behaviour(deaf_to=(1,)))
    add_teacher(workspace, "bert")
    add_teacher(workspace, "carl")
    dump_teachers(workspace, ("anna", "bert", "carl"), recipe=RECIPE, teachers=FakeTeachers(), jobs=1)
    students = FakeStudents(lexicon)
    for speaker in ("anna", "bert"):
        run = train(workspace, speaker, "labels", recipe=RECIPE, students=students)
        for mode in ("ctc", "lexicon"):
            evaluate(workspace, run, mode, students=students)
            if speaker == "bert":
                spoil(results_path(run, mode))
    return workspace


def spoil(path: Path) -> None:
    """Every `six` is heard as `one`."""
    result = EvaluationResult.load(path)
    heard = [replace(u, hypothesis="one", correct=False) if u.reference == "six" else u for u in result.utterances]
    replace(result, utterances=tuple(heard)).save(path)


@pytest.fixture
def students() -> FakeStudents:
    return FakeStudents(Lexicon(WORDS))


def run_of(workspace: Workspace, speaker: str) -> Path:
    """The run that holds a speaker out."""
    return workspace.run_dir(RECIPE.name, speaker, "labels", 0)
