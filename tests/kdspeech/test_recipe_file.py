"""Every shipped recipe is read and built; overrides and faulty files."""

import re
from pathlib import Path

import pytest

from kdspeech.choices import MODES
from kdspeech.errors import ConfigError
from kdspeech.recipe_file import load_recipe, recipe_names

_FOLDER = Path(__file__).parents[2] / "experiments"
_SHIPPED = sorted((_FOLDER / "recipes").glob("*.yaml"))
_SMALL = "conformer_xs_from_speechbrain"


def test_all_recipes_are_found() -> None:
    assert len(_SHIPPED) >= 2
    assert [path.stem for path in _SHIPPED] == recipe_names()


@pytest.mark.parametrize("path", _SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_recipe_is_built(path: Path) -> None:
    recipe = load_recipe(str(path))
    assert recipe == load_recipe(path.stem)
    assert recipe.name == path.stem
    for stage in recipe.stages:
        assert set(stage.losses) == set(MODES)
        assert all(weight > 0 for terms in stage.losses.values() for weight in terms.values())


@pytest.mark.parametrize("path", _SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_recipe_says_what_it_needs_and_how_to_run_it(path: Path) -> None:
    comment = path.read_text().split("\n\n")[0]
    assert "# Needs:" in comment
    assert "kdspeech " in comment
    assert re.fullmatch(r"\w+_from_\w+|predecessor", path.stem)  # what others did is no student of ours


def test_an_override_works() -> None:
    assert load_recipe(_SMALL).targets.temperature == 2.0
    assert load_recipe(_SMALL, ("targets.temperature=4",)).targets.temperature == 4.0


def test_an_override_below_a_shared_value_changes_one_place_and_loses_nothing() -> None:
    both = {"ctc": 0.5, "cross_entropy": 0.5, "token_kl": 0.1}
    first = load_recipe("conformer_xs_from_simulated", ("stages.0.losses.decoder-kd.word_kl=0.2",))
    assert [stage.losses["decoder-kd"] for stage in first.stages] == [{**both, "word_kl": 0.2}, both]
    every = load_recipe("conformer_xs_from_simulated", ("stages.*.losses.decoder-kd.word_kl=0.2", "stages.*.epochs=1"))
    assert [stage.losses["decoder-kd"] for stage in every.stages] == [{**both, "word_kl": 0.2}] * 2
    assert [stage.epochs for stage in every.stages] == [1, 1]
    shared = load_recipe("conformer_xs_from_simulated", ("anchors.losses.decoder-kd.ctc=0.7",))
    assert [stage.losses["decoder-kd"]["ctc"] for stage in shared.stages] == [0.7, 0.7]


def test_every_fault_is_named() -> None:
    with pytest.raises(ConfigError, match=r"targets\.temprature.*training\.batchsize"):
        load_recipe(_SMALL, ("targets.temprature=4", "training.batchsize=8"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stage.*.epochs=1", r"stage\.\*\.epochs=1: 'stage' is no list.* Expected stages\.\*\.epochs"),
        ("targets.*.temperature=1", r"'targets' is no list"),
        ("anchors.nonsense=3", r"anchors\.nonsense: .* Expected anchors\.losses"),
        ("anchors=3", r"Expected anchors\.losses"),
        ("student.spec_augment", r"student\.spec_augment: no value.* student\.spec_augment=null"),
        ("=3", "no value. Expected KEY=VALUE"),
    ],
)
def test_an_override_that_changes_nothing_is_refused(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe("conformer_xs_from_simulated", (override,))


def test_no_such_recipe(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"there is no recipe 'gone': .*{_SMALL}"):
        load_recipe("gone")


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [", "a: ${nothing.here}\n", "just words\n"])
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"mine\.yaml"):
        load_recipe(str(path))


def test_a_recipe_extends_a_shipped_one(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("extends: conformer_xs_from_speechbrain\ntargets: {temperature: 3.5}\n")
    mine, base = load_recipe(str(path)), load_recipe(_SMALL)
    assert mine.name == "mine"
    assert mine.targets == base.targets.model_copy(update={"temperature": 3.5})
    assert mine.model_copy(update={"name": base.name, "targets": base.targets}) == base


def test_a_recipe_extends_a_file_beside_it_and_lists_take_the_others_place(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(f"extends: {_SMALL}\nanchors: {{rate: 0.5}}\ntraining: {{batch_size: 7}}\n")
    stage = "{name: short, train: [decoder], epochs: 1, learning_rate: 0.1, losses: {labels: {cross_entropy: 1}}}"
    (tmp_path / "mine.yaml").write_text(
        f"extends: base.yaml\ntraining: {{gradient_clip: '${{anchors.rate}}'}}\nstages: [{stage}]\n"
    )
    mine = load_recipe(str(tmp_path / "mine.yaml"), ("anchors.rate=0.25",))
    assert (mine.training.batch_size, mine.training.gradient_clip) == (7, 0.25)
    assert mine.training.speeds == load_recipe(_SMALL).training.speeds
    assert [stage.name for stage in mine.stages] == ["short"]


@pytest.mark.parametrize(
    ("extended", "message"),
    [
        ("gone.yaml", r"mine\.yaml extends .*gone\.yaml', but there is no recipe"),
        ("other.yaml", r"extends itself: .*mine\.yaml -> .*other\.yaml -> .*mine\.yaml"),
        ("sub/../other.yaml", r"extends itself: "),
        ("around.yaml", r"extends itself: "),
        ("list.yaml", r"list\.yaml: expected a mapping"),
        ("number.yaml", r"number\.yaml: .*int"),
    ],
)
def test_a_recipe_that_extends_none_is_refused(tmp_path: Path, extended: str, message: str) -> None:
    (tmp_path / "other.yaml").write_text("extends: mine.yaml\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "around.yaml").write_text("extends: sub/../around.yaml\n")
    (tmp_path / "list.yaml").write_text("- a\n")
    (tmp_path / "number.yaml").write_text("42\n")
    (tmp_path / "mine.yaml").write_text(f"extends: {extended}\n")
    with pytest.raises(ConfigError, match=message):
        load_recipe(str(tmp_path / "mine.yaml"))
