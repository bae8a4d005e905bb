"""A histogram of a report: bins of a round width, with their labels."""

from dataclasses import dataclass

import numpy as np

_STEPS = (1, 2, 5, 10)  # a round width is one of these times a power of ten
_TAIL = 0.005  # share of the values on each side that may go into an open first or last bin


@dataclass(frozen=True)
class Histogram:
    """Counts by bin. On a page: `{{ parts.histogram(histogram) }}`."""

    caption: str
    unit: str
    bins: tuple[tuple[str, int], ...]  # label and count
    ticks: tuple[tuple[float, str], ...]  # labels of the axis, and where they stand from 0 (left) to 1 (right)


def histogram(caption: str, unit: str, values: np.ndarray, num_bins: int = 25) -> Histogram:
    """Counts values [N] in at most `num_bins` bins of a round width, and open ones for far outliers at either end.

    The bins cover all but the outermost 0.5 % of the values on either side: one recording of an hour among those of a
    second must not push all others into one bin.
    """
    low, high = (float(np.quantile(values, q)) for q in (_TAIL, 1 - _TAIL))
    width, digits = _round_width((high - low) / (num_bins - 1))
    first, last = int(np.floor(low / width + 1e-9)), int(np.floor(high / width + 1e-9))
    places = np.floor(values / width + 1e-9).astype(int)  # [N]
    bins = [
        (f"{_edge(i, width, digits)} to {_edge(i + 1, width, digits)}", int(np.sum(places == i)))
        for i in range(first, last + 1)
    ]
    ticks = [(i - first, _edge(i, width, digits)) for i in range(first, last + 2)]
    if below := int(np.sum(places < first)):
        bins.insert(0, (f"less than {_edge(first, width, digits)}", below))
        ticks = [(place + 1, label) for place, label in ticks]
    if above := int(np.sum(places > last)):
        bins.append((f"{_edge(last + 1, width, digits)} and more", above))
    every = max(1, round(len(ticks) / 6))
    return Histogram(caption, unit, tuple(bins), tuple((place / len(bins), label) for place, label in ticks[::every]))


def _round_width(width: float) -> tuple[float, int]:
    """The next round width, and the digits behind the point that it needs."""
    if width <= 0:
        return 1.0, 0
    power = int(np.floor(np.log10(width)))
    step = next(step for step in _STEPS if step * 10.0**power >= width * (1 - 1e-9))
    return step * 10.0**power, max(0, -power - (step == 10))


def _edge(index: int, width: float, digits: int) -> str:
    return f"{index * width:.{digits}f}"
