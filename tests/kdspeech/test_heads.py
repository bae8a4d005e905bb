"""Which heads a run teaches, from its losses."""

import pytest

from kdspeech.choices import LossTerm, Mode
from kdspeech.heads import Head, of_mode, of_run, taught_heads, untaught
from kdspeech.recipe_file import load_recipe


@pytest.mark.parametrize(
    ("train", "losses", "taught"),
    [
        ({"encoder", "ctc_head", "decoder"}, {"ctc": 0.5, "cross_entropy": 0.5}, {"ctc", "decoder"}),
        ({"encoder", "ctc_head", "decoder"}, {"ctc": 0.0, "token_kl": 1.0}, {"decoder"}),
        ({"encoder", "ctc_head", "decoder"}, {"frame_kl": 1.0}, {"ctc"}),
        ({"encoder"}, {"word_kl": 1.0, "cross_entropy": 1.0}, {"ctc"}),  # the decoder stays as it was
        ({"decoder"}, {"ctc": 1.0, "nbest_cross_entropy": 1.0}, {"decoder"}),  # nothing that CTC hears moves
        ({"encoder", "ctc_head"}, {"consistency": 1.0, "intermediate_ctc": 1.0}, set()),
    ],
)
def test_a_head_is_taught_where_a_loss_reaches_it(
    train: set[str], losses: dict[LossTerm, float], taught: set[Head]
) -> None:
    assert taught_heads([(train, losses)]) == taught


def test_stages_add_up() -> None:
    assert taught_heads([({"decoder"}, {"token_kl": 1}), ({"encoder"}, {"ctc": 1})]) == {"ctc", "decoder"}


@pytest.mark.parametrize(("mode", "head"), [("ctc-kd", "ctc"), ("decoder-kd", "decoder")])
def test_the_predecessor_teaches_one_head(mode: Mode, head: Head) -> None:
    recipe = load_recipe("predecessor")
    assert taught_heads(of_mode(recipe.stages, mode)) == {head}
    stages = [{"train": stage.train, "losses": stage.losses[mode]} for stage in recipe.stages]
    assert taught_heads(of_run({"stages": stages})) == {head}


def test_what_a_decode_mode_listens_to() -> None:
    assert untaught("lexicon", {"decoder"}) == {"ctc"}
    assert untaught("joint", {"decoder"}) == {"ctc"}
    assert not untaught("decoder", {"decoder"})
