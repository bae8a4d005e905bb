"""Lines of a report: learning curves, rates against something measured."""

from collections.abc import Sequence
from dataclasses import dataclass

from kdspeech.report.scale import Scale, scale_over


@dataclass(frozen=True)
class Point:
    """One value, with its interval where there is one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None
    note: str = ""  # what the tooltip adds, for example the number of utterances


@dataclass(frozen=True)
class Line:
    """A named series, from left to right."""

    name: str
    points: Sequence[Point]


@dataclass(frozen=True)
class LineChart:
    """Lines over shared axes. On a page: `{{ charts.lines(chart) }}`, with its numbers beneath it."""

    caption: str
    x_label: str
    y_label: str
    lines: Sequence[Line]
    x_scale: Scale
    y_scale: Scale
    rules: Sequence[tuple[float, str]] = ()  # upright lines: place on the x axis, and what begins there
    diagonal: bool = False  # where y equals x

    @property
    def description(self) -> str:
        """The chart in a sentence or two, for those who do not see it."""
        ends = [
            f"{line.name} from {line.points[0].y:.3g} to {line.points[-1].y:.3g}" for line in self.lines if line.points
        ]
        return f"{self.caption}: {self.y_label} against {self.x_label}; {', '.join(ends)}. The numbers follow."

    @property
    def columns(self) -> tuple[str, ...]:
        """Headings of the numbers."""
        return (self.x_label, *(line.name for line in self.lines))

    @property
    def rows(self) -> list[tuple[str, ...]]:
        """The numbers: a row for each x."""
        places = sorted({point.x for line in self.lines for point in line.points})
        values = [{point.x: point for point in line.points} for line in self.lines]
        return [(f"{x:.4g}", *(_cell(known.get(x)) for known in values)) for x in places]


def line_chart(
    caption: str,
    x_label: str,
    y_label: str,
    lines: Sequence[Line],
    *,
    percent: bool = False,
    logarithmic: bool = False,
    rules: Sequence[tuple[float, str]] = (),
) -> LineChart:
    """A chart whose axes hold all points.

    Args:
        percent: the y axis goes from 0 to 100.
        logarithmic: the y axis; values that are not above 0 are left out.
    """
    kept = [Line(line.name, [p for p in line.points if p.y > 0] if logarithmic else line.points) for line in lines]
    points = [point for line in kept for point in line.points]
    heights = [value for p in points for value in (p.y, p.low, p.high) if value is not None]
    y_scale = Scale(0.0, 100.0) if percent else scale_over(heights, logarithmic, from_zero=True)
    return LineChart(caption, x_label, y_label, kept, scale_over([p.x for p in points]), y_scale, rules)


def _cell(point: Point | None) -> str:
    if point is None:
        return "–"
    interval = "" if point.low is None or point.high is None else f" ({point.low:.1f} to {point.high:.1f})"
    return f"{point.y:.4g}{interval}{f', {point.note}' if point.note else ''}"
