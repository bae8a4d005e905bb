"""Learning curves: everything that a run's log of epochs holds, over its stages."""

from collections.abc import Mapping, Sequence
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


def learning_curves(subject: Subject) -> list[LineChart]:
    """Losses, validation WRA, learning rates, gradient norm and movement; what the log does not hold has no chart."""
    epochs = subject.epochs
    stages = _stages(epochs)
    columns = dict.fromkeys(name for epoch in epochs for name, value in epoch.items() if _is_number(value))
    losses = [c for c in columns if c.startswith("train_") and not c.startswith(_STEERING)] + ["valid_ctc_loss"]
    rates = [c for c in columns if c.startswith("train_learning_rate")]
    moved = [c for c in columns if c.startswith("moved_")]
    wanted = (
        ("Loss terms", "loss, logarithmic", losses, {"logarithmic": True}),
        ("WRA on validation utterances of the training speakers", "WRA %", ["valid_ctc_wra", "valid_decoder_wra"],
         {"percent": True}),
        ("Learning rate, mean over an epoch's steps", "learning rate", rates, {}),
        ("Gradient norm before clipping", "norm", ["train_gradient_norm"], {}),
        ("Share of frames that the targets use", "share", ["train_valid_frame_ratio"], {}),
        ("How far each part moved in an epoch", "change / size, logarithmic", moved, {"logarithmic": True}),
    )  # fmt: skip
    charts = []
    for caption, y_label, names, options in wanted:
        lines = [line for name in names if (line := _line(epochs, name)).points]
        if lines:
            charts.append(line_chart(caption, "epoch", y_label, lines, rules=stages, **options))
    return charts


def curves_together(subjects: Sequence[Subject]) -> list[LineChart]:
    """Two to eight runs over one another: validation WRA, and the loss that they minimise."""
    if not 2 <= len(subjects) <= _MOST_TOGETHER:
        return []
    charts = []
    for caption, y_label, column, options in (
        ("Validation WRA of all runs, greedy CTC", "WRA %", "valid_ctc_wra", {"percent": True}),
        ("Weighted sum of the losses of all runs, train", "loss, logarithmic", "train_loss", {"logarithmic": True}),
    ):
        lines = [Line(s.name, line.points) for s in subjects if (line := _line(s.epochs, column)).points]
        if len(lines) > 1:
            charts.append(line_chart(caption, "epoch", y_label, lines, **options))
    return charts


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
