"""The average of a student's weights over the steps of a stage: less noisy than the last step's, at no cost in use."""

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


class WeightAverage(nn.Module):
    """An exponential moving average of a student (Polyak & Juditsky 1992; Tarvainen & Valpola 2017, 1703.01780).

    After its n-th step the average is a_n = d a_(n-1) + (1 - d) w_n, a_1 = w_1, with d = min(decay, n / (n + 9)): the
    growing decay forgets the first, wild steps in a stage that is short for `decay`.

    BatchNorm's running statistics are averaged as the weights are, since they belong to them: those of the last step
    are of other weights. Counts (integers) are the last step's. What is frozen stays as it is, to the last bit.
    """

    def __init__(self, student: nn.Module, decay: float) -> None:
        super().__init__()
        self._decay = decay
        self._average = AveragedModel(student, multi_avg_fn=self._mix, use_buffers=True)
        self._average.requires_grad_(False)

    @property
    def student(self) -> Any:
        """The averaged student: before the first step a copy of the one that trains."""
        return self._average.module

    def update(self, student: nn.Module) -> None:
        """Takes a step's weights in."""
        self._average.update_parameters(student)

    def state(self, student: nn.Module) -> dict[str, Any]:
        """What a checkpoint keeps beside the averaged weights, to go on training."""
        return {"steps": int(self._average.n_averaged), "trained": student.state_dict()}

    def resume(self, state: Mapping[str, Any], student: nn.Module) -> None:
        """Goes on from a checkpoint.

        Args:
            state: what `state` gave.
            student: holds the averaged weights; gets those that train.
        """
        self.student.load_state_dict(student.state_dict())
        self._average.n_averaged.fill_(state["steps"])
        student.load_state_dict(state["trained"])

    def _mix(self, averaged: Any, current: Any, steps: Tensor | int) -> None:
        """Called for the tensors of one type, after the first step."""
        if averaged[0].is_floating_point():
            step = int(steps) + 1
            get_ema_multi_avg_fn(min(self._decay, step / (step + 9)))(averaged, current, steps)
        else:
            for old, new in zip(averaged, current, strict=True):
                old.copy_(new)
