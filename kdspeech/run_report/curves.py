"""Learning curves: everything that a run's log of epochs holds, over its stages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdspeech.report.line_chart import Line, LineChart, Point, line_chart
from kdspeech.run_report.subject import Subject

_STEERING = ("train_learning_rate", "train_gradient_norm", "train_valid_frame_ratio")
_MOST_TOGETHER = 8  # runs: more lines cannot be told apart
_NAMES = {
    "train_loss": "weighted sum, train",
    "valid_ctc_loss": "ctc, validation",
    "valid_ctc_wra": "greedy CTC",
    "valid_decoder_wra": "attention decoder",
    "train_gradient_norm": "gradient norm",
    "train_valid_frame_ratio": "frames that the targets use",
}


@dataclass(frozen=True)
class _Wanted:
    """A chart and the columns of the log that it shows."""

    caption: str
    y_label: str
    columns: Sequence[str]
    percent: bool = False
    logarithmic: bool = False

    def drawn(self, lines: Sequence[Line], stages: Sequence[tuple[float, str]] = ()) -> LineChart:
        known = [line for line in lines if line.points]
        return line_chart(
            self.caption,
            "epoch",
            self.y_label,
            known,
            percent=self.percent,
            logarithmic=self.logarithmic,
            rules=stages,
        )


def learning_curves(subject: Subject) -> list[LineChart]:
    """Losses, validation WRA, learning rates, gradient norm and movement; what the log does not hold has no chart."""
    epochs = subject.epochs
    columns = dict.fromkeys(name for epoch in epochs for name, value in epoch.items() if _is_number(value))
    losses = [c for c in columns if c.startswith("train_") and not c.startswith(_STEERING)] + ["valid_ctc_loss"]
    rates = [c for c in columns if c.startswith("train_learning_rate")]
    moved = [c for c in columns if c.startswith("moved_")]
    wanted = (
        _Wanted("Loss terms", "loss, logarithmic", losses, logarithmic=True),
        _Wanted(
            "WRA on validation utterances of the training speakers",
            "WRA %",
            ["valid_ctc_wra", "valid_decoder_wra"],
            percent=True,
        ),
        _Wanted("Learning rate, mean over an epoch's steps", "learning rate", rates),
        _Wanted("Gradient norm before clipping", "norm", ["train_gradient_norm"]),
        _Wanted("Share of frames that the targets use", "share", ["train_valid_frame_ratio"]),
        _Wanted("How far each part moved in an epoch", "change / size, logarithmic", moved, logarithmic=True),
    )
    found = ((chart, [_line(epochs, column) for column in chart.columns]) for chart in wanted)
    return [chart.drawn(lines, _stages(epochs)) for chart, lines in found if any(line.points for line in lines)]


def curves_together(subjects: Sequence[Subject]) -> list[LineChart]:
    """Two to eight runs over one another: validation WRA, and the loss that they minimise."""
    if not 2 <= len(subjects) <= _MOST_TOGETHER:
        return []
    wanted = (
        _Wanted("Validation WRA of all runs, greedy CTC", "WRA %", ["valid_ctc_wra"], percent=True),
        _Wanted("Weighted sum of the losses of all runs", "loss, logarithmic", ["train_loss"], logarithmic=True),
    )
    found = ((chart, [Line(s.name, _line(s.epochs, chart.columns[0]).points) for s in subjects]) for chart in wanted)
    return [chart.drawn(lines) for chart, lines in found if any(line.points for line in lines)]


def _line(epochs: Sequence[Mapping[str, Any]], column: str) -> Line:
    points = [Point(n, epoch[column]) for n, epoch in enumerate(epochs, 1) if _is_number(epoch.get(column))]
    default = column.removeprefix("moved_").replace("_", " ")
    if column.startswith("train_"):
        default = f"{column.removeprefix('train_').replace('_', ' ')}, train"
    return Line(_NAMES.get(column, default), points)


def _stages(epochs: Sequence[Mapping[str, Any]]) -> list[tuple[float, str]]:
    """Where each stage begins and its name; nothing to show for a single one."""
    begins: list[tuple[float, str]] = []
    last = None
    for number, epoch in enumerate(epochs, 1):
        if (stage := epoch.get("stage")) != last:
            begins.append((number if number == 1 else number - 0.5, str(stage)))
            last = stage
    return begins if len(begins) > 1 else []


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
