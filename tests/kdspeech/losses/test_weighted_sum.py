"""Terms and their weights."""

import pytest
import torch

from kdspeech.errors import ConfigError, RunError
from kdspeech.losses import LossSum, WeightedSum


def loss_sum(total: float, count: int) -> LossSum:
    return LossSum(torch.tensor(total), torch.tensor(count))


def test_a_weighted_sum_normalises_each_term_once() -> None:
    weighted = WeightedSum({"ctc": 0.5, "frame_kl": 0.25, "token_kl": 0.0})
    assert weighted.terms == ("ctc", "frame_kl")
    assert weighted.formula == "0.5 ctc + 0.25 frame_kl"
    loss = weighted({"ctc": loss_sum(12.0, 4), "frame_kl": loss_sum(10.0, 5)})
    assert loss.total.item() == pytest.approx(0.5 * 3 + 0.25 * 2)
    assert {name: part.item() for name, part in loss.parts.items()} == {"ctc": 3.0, "frame_kl": 2.0}


def test_a_mask_that_keeps_nothing_adds_nothing() -> None:
    assert WeightedSum({"frame_kl": 1.0})({"frame_kl": loss_sum(0.0, 0)}).total.item() == 0.0


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"ctc": 1.0, "kl": 1.0}, "unknown loss terms kl; there are ctc, cross_entropy, frame_kl, token_kl"),
        ({"ctc": -1.0}, "must not be negative: ctc"),
        ({"ctc": 0.0}, "at least one term"),
    ],
)
def test_weights_that_make_no_loss_are_refused(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        WeightedSum(weights)


def test_terms_and_data_must_match() -> None:
    weighted = WeightedSum({"ctc": 1.0, "frame_kl": 0.5})
    with pytest.raises(RunError, match=r"no data for frame_kl.*dump-teachers"):
        weighted({"ctc": loss_sum(1.0, 1)})
    with pytest.raises(RunError, match="without a weight: token_kl"):
        weighted({"ctc": loss_sum(1.0, 1), "frame_kl": loss_sum(1.0, 1), "token_kl": loss_sum(1.0, 1)})
