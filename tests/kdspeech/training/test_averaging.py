"""The average of weights, by hand: its growing decay, BatchNorm's statistics, what is frozen, and going on."""

from typing import Any

import pytest
import torch
from torch import nn

from kdspeech.training.averaging import WeightAverage


def student() -> Any:
    return nn.Sequential(nn.Linear(1, 1, bias=False), nn.BatchNorm1d(1), nn.Linear(1, 1, bias=False))


def take(average: WeightAverage, trained: Any, values: list[float]) -> None:
    """Steps that leave these values as weight and as running mean."""
    for value in values:
        with torch.no_grad():
            trained[0].weight.fill_(value)
            trained[1].running_mean.fill_(10 * value)
            trained[1].num_batches_tracked.add_(1)
        average.update(trained)


@pytest.mark.parametrize(
    ("decay", "expected"),
    [
        (0.1, 0.1 * (0.1 * 1 + 0.9 * 2) + 0.9 * 4),
        (0.999, 3 / 12 * (2 / 11 * 1 + 9 / 11 * 2) + 9 / 12 * 4),  # the growing decay
        (0.2, 0.2 * (2 / 11 * 1 + 9 / 11 * 2) + 0.8 * 4),  # grows until it is reached
    ],
)
def test_three_steps_by_hand(decay: float, expected: float) -> None:
    trained = student()
    average = WeightAverage(trained, decay)
    take(average, trained, [1, 2, 4])
    assert average.student[0].weight.item() == pytest.approx(expected)
    assert average.student[1].running_mean.item() == pytest.approx(10 * expected)
    assert average.student[1].num_batches_tracked.item() == 3
    assert trained[0].weight.item() == 4


def test_the_first_step_takes_the_place_of_the_start() -> None:
    trained = student()
    average = WeightAverage(trained, 0.9)
    take(average, trained, [7])
    assert average.student[0].weight.item() == 7
    assert average.student[1].running_mean.item() == 70


def test_what_is_frozen_stays_to_the_last_bit() -> None:
    trained = student()
    frozen = trained[2].weight.detach().clone()
    average = WeightAverage(trained, 0.9)
    take(average, trained, [0.1 * step for step in range(50)])
    assert torch.equal(average.student[2].weight, frozen)
    assert not any(parameter.requires_grad for parameter in average.student.parameters())
    assert all(parameter.requires_grad for parameter in trained.parameters())


def test_going_on_from_a_checkpoint_equals_not_stopping() -> None:
    unbroken, again = student(), student()
    average = WeightAverage(unbroken, 0.7)
    take(average, unbroken, [1, 2, 4])
    state = average.state(unbroken)
    state["trained"] = {key: value.clone() for key, value in state["trained"].items()}
    again.load_state_dict(average.student.state_dict())
    take(average, unbroken, [3, 5])

    resumed = WeightAverage(again, 0.7)
    resumed.resume(state, again)
    assert again[0].weight.item() == 4
    take(resumed, again, [3, 5])
    for key, value in average.student.state_dict().items():
        assert torch.equal(resumed.student.state_dict()[key], value), key
