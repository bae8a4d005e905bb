"""Four teachers that have scored a small corpus, to be pooled into targets."""

from kdspeech.config import Recipe
from kdspeech.dumps.dump_teachers import dump_teachers
from kdspeech.recipe_file import load_recipe
from kdspeech.workspace import Workspace
from tests.doubles import FakeTeachers

SPEAKERS = ("anna", "bert", "carl", "dora")


def recipe(**targets: object) -> Recipe:
    """The small shipped recipe with other settings of its targets."""
    base = load_recipe("conformer_xs_from_speechbrain")
    return base.model_copy(update={"targets": base.targets.model_copy(update=targets)})


def dump(workspace: Workspace, speakers: tuple[str, ...] = SPEAKERS) -> None:
    """These speakers' teachers score them all."""
    dump_teachers(workspace, speakers, recipe=recipe(), teachers=FakeTeachers(), jobs=1)
