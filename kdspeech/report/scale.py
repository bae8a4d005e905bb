"""Where numbers stand on an axis, and the round labels beside it."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

_STEPS = (1, 2, 2.5, 5, 10)  # a round distance is one of these times a power of ten


@dataclass(frozen=True)
class Scale:
    """An axis from `low` to `high`."""

    low: float
    high: float
    logarithmic: bool = False
    whole: bool = False  # only whole numbers are labelled

    def place(self, value: float) -> float:
        """From 0 at the low end to 1 at the high end; what lies beyond stands at the end."""
        low, high, value = (self._unit(number) for number in (self.low, self.high, value))
        return min(1.0, max(0.0, (value - low) / (high - low))) if high > low else 0.5

    def ticks(self, most: int = 6) -> tuple[tuple[float, str], ...]:
        """Places and labels of round values, about `most` of them."""
        values = self._decades() if self.logarithmic else self._even(most)
        return tuple((round(self.place(value), 4), f"{value:g}") for value in values)

    def _unit(self, value: float) -> float:
        return math.log10(max(value, self.low)) if self.logarithmic else value

    def _even(self, most: int) -> list[float]:
        rough = (self.high - self.low) / most
        if rough <= 0:
            return [self.low]
        power = 10.0 ** math.floor(math.log10(rough))
        step = next(power * s for s in _STEPS if power * s >= rough * (1 - 1e-9))
        if self.whole:
            step = float(math.ceil(step - 1e-9))
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [round(index * step, 12) for index in range(first, last + 1)]

    def _decades(self) -> list[float]:
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        factors = (1, 2, 5) if len(powers) <= 3 else (1,)
        values = [factor * 10.0**power for power in powers for factor in factors]
        return [value for value in values if self.low * (1 - 1e-9) <= value <= self.high * (1 + 1e-9)]


def scale_over(values: Iterable[float], logarithmic: bool = False, from_zero: bool = False) -> Scale:
    """An axis that holds all values; a logarithmic one those above 0."""
    known = [value for value in values if math.isfinite(value) and (value > 0 or not logarithmic)]
    if not known:
        return Scale(1.0, 10.0, logarithmic) if logarithmic else Scale(0.0, 1.0)
    low, high = (0.0 if from_zero and not logarithmic else min(known)), max(known)
    if low == high:
        low, high = (low / 2, high * 2) if logarithmic else (low - 0.5, high + 0.5)
    whole = not logarithmic and all(float(value).is_integer() for value in known)
    return Scale(low, high, logarithmic, whole)
