"""Recipes are strict, frozen data."""

import pytest

from kdspeech.errors import ConfigError
from kdspeech.recipe_file import load_recipe, recipe_names

_SMALL = "conformer_xs_from_speechbrain"


def test_settings_that_came_later_are_not_written_at_their_default() -> None:
    plain, changed = load_recipe(_SMALL), load_recipe(_SMALL, ("targets.who=own", "training.speakers=first"))
    assert "who" not in plain.targets.model_dump()
    assert not {"speakers", "tempos"} & set(plain.training.model_dump(mode="json"))
    assert "vocal_tract" not in plain.student.model_dump()
    assert changed.targets.model_dump()["who"] == "own"
    assert changed.training.model_dump(mode="json")["speakers"] == "first"


def test_a_recipe_that_differs_by_a_field_is_another_value() -> None:
    assert load_recipe(_SMALL, ("training.batch_size=8",)) != load_recipe(_SMALL)


def test_the_fastest_a_recording_is_played_is_the_highest_speed_at_the_highest_tempo() -> None:
    recipe = load_recipe(_SMALL, ("training.speeds=[0.5,2.0]", "training.tempos=[1.25,0.8]"))
    assert recipe.training.fastest == 2.5
    assert load_recipe(_SMALL).training.fastest == 1.1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("targets.temprature=4", "targets.temprature"),
        ("targets.temperature=0", "targets.temperature"),
        ("targets.temperature=warm", "targets.temperature"),
        ("stages=[]", "stages"),
        ("student.encoder=x.nemo", "student"),
        ("targets.who=nobody", "targets.who"),
        ("targets.min_agreement=2", "targets.min_agreement"),
        ("student.vocal_tract=[0,1.1]", "student.vocal_tract"),
        ("training.tempos=[]", "training.tempos"),
        ("training.gradient_clip=0", "training.gradient_clip"),
        ("teacher.speeds=[-1]", "teacher.speeds"),
        ("teacher.epochs=0", "teacher.epochs"),
        ("stages.0.train=[]", "stages.0.train"),
        ("stages.0.losses.labels.ctc=-1", "stages.0.losses.labels.ctc"),
        ("stages.0.losses.labels.ctc=.nan", "stages.0.losses.labels.ctc"),
        ("no-equals-sign", "no-equals-sign"),
    ],
)
def test_a_wrong_setting_is_refused_by_name(override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(_SMALL, (override,))


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("targets.who=own", "targets.own_share=0.5"), "with who=own they never meet"),
        (("targets.who=own", "targets.min_agreement=0.5"), "with who=own one speaks alone"),
        (("targets.switch=true", "targets.over=label"), "over=label pools several recordings"),
        (("targets.align=true", "targets.over=index"), "over=index pools rows by their number"),
        (("targets.align=true", "targets.switch=true"), "with switch one speaks alone"),
        (("pseudo_labels.student_weight=0",), "from_start=false waits for the student"),
        (("stages.0.losses.labels={ctc: 0, cross_entropy: 0}",), "no loss term of mode labels has a weight above 0"),
        (
            ("stages.0.train=[ctc_head]", "stages.0.losses.labels.ctc=0"),
            "mode labels .cross_entropy. reach decoder and encoder, and only ctc_head may learn",
        ),
    ],
)
def test_settings_that_cannot_go_together_are_refused(overrides: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_recipe(_SMALL, overrides)


@pytest.mark.parametrize(
    ("overrides", "share"),
    [
        ((), 0.8),
        (("pseudo_labels.own_share=null",), None),
        (("pseudo_labels.own_share=0.6", "targets.own_share=0.5"), 0.5),
    ],
)
def test_a_speakers_own_teacher_has_its_share_of_words(overrides: tuple[str, ...], share: float | None) -> None:
    assert load_recipe(_SMALL, overrides).own_share_of_words == share


def test_a_recipe_is_frozen() -> None:
    recipe = load_recipe(_SMALL)
    with pytest.raises(ValueError, match="frozen"):
        recipe.name = "other"  # type: ignore[misc]


def test_any_encoder_takes_the_place_of_a_pretrained_one() -> None:
    pretrained = load_recipe("conformer_xs_from_pretrained")
    assert pretrained.student.encoder == "pretrained"
    named = load_recipe(pretrained.name, ("student.encoder=x.nemo",))
    assert named.student.encoder == "x.nemo"
    assert pretrained.starting_from("x.nemo") == named
    assert load_recipe(_SMALL).starting_from("x.nemo").student.encoder_config is None


def test_the_described_encoder_is_found_wherever_it_stands() -> None:
    small, pretrained = load_recipe(_SMALL), load_recipe("conformer_xs_from_pretrained")
    assert small.encoder_config == small.student.encoder_config
    assert pretrained.encoder_config == small.encoder_config  # the two shipped recipes train the same model
    assert pretrained.starting_from("x.nemo").encoder_config is None


@pytest.mark.parametrize("name", ["pretraining.voices.rate", "pretraining.colouring.snr_db", "student.vocal_tract"])
def test_a_range_that_is_upside_down_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match="first value must not be above the second"):
        load_recipe("conformer_xs_from_pretrained", (f"{name}=[300,200]",))


@pytest.mark.parametrize(
    ("term", "overrides", "needed"),
    [
        ("consistency", (), "student.spec_augment"),
        ("intermediate_frame_kl", (), "student.intermediate_layer"),
        ("nbest_ctc", ("dump.kinds=[ctc,decoder]",), "hypotheses"),
    ],
)
def test_terms_without_what_they_need_are_refused(term: str, overrides: tuple[str, ...], needed: str) -> None:
    weight = f"stages.0.losses.ctc-kd.{term}"
    with pytest.raises(ConfigError, match=f"the loss terms {term} need .*{needed}"):
        load_recipe("conformer_xs_from_speechbrain", (f"{weight}=0.1", *overrides))
    without = load_recipe("conformer_xs_from_speechbrain", (f"{weight}=0", *overrides))
    assert without == load_recipe("conformer_xs_from_speechbrain", overrides)


def test_a_frozen_encoder_hears_no_two_views() -> None:
    """The last stage of every shipped recipe trains the encoder, the first one may not."""
    with pytest.raises(ConfigError, match=r"stage 'frozen-encoder' does not train the encoder.*consistency"):
        load_recipe("conformer_xs_from_pretrained", ("stages.0.losses.ctc-kd.consistency=1",))
    for name in recipe_names():
        last = len(load_recipe(name).stages) - 1
        masks = "student.spec_augment={freq_masks: 2, freq_width: 15}"
        changed = load_recipe(name, (masks, f"stages.{last}.losses.ctc-kd.consistency=1"))
        assert changed.stages[last].losses["ctc-kd"]["consistency"] == 1
