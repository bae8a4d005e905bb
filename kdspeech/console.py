"""What a person sees: messages, tables and progress, on standard error and standard output.

Progress bars show a rate; they are plain lines where there is no terminal, and silent with --quiet.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

Item = TypeVar("Item")

_PLAIN_INTERVAL_S = 10.0  # seconds between two plain progress lines
_FILE_WIDTH = 2000  # columns where there is no terminal: a table of many speakers must not lose cells

_out = Console()
_err = Console(stderr=True)
_quiet = False
_drawn: Progress | None = None  # the live display, if there is one


def configure(quiet: bool) -> None:
    """Sets quietness: results and errors still print, progress and remarks do not."""
    global _quiet
    _quiet = quiet


@contextmanager
def silenced() -> Iterator[None]:
    """No progress and no remarks within, as with --quiet."""
    before = _quiet
    configure(quiet=True)
    try:
        yield
    finally:
        configure(before)


def is_interactive() -> bool:
    """True where moving progress bars make sense."""
    return _err.is_terminal and not _quiet


def remark(message: str) -> None:
    """A line about what is going on; silent with --quiet."""
    if not _quiet:
        _err.print(escape(message), highlight=False, soft_wrap=True)


def warn(message: str) -> None:
    """A loud line; printed even with --quiet."""
    _err.print(f"[bold yellow]Warning:[/] {escape(message)}", highlight=False, soft_wrap=True)


def result(message: str) -> None:
    """A line of the command's result, on standard output."""
    _out.print(escape(message), highlight=False, soft_wrap=True)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> None:
    """A table of results, on standard output; columns after the first `text_columns` are right-aligned."""
    drawn = Table(title=title, title_justify="left", title_style="bold")
    for index, column in enumerate(columns):
        drawn.add_column(
            escape(column), justify="left" if index < text_columns else "right", no_wrap=not _out.is_terminal
        )
    for row in rows:
        drawn.add_row(*(escape(cell) for cell in row))
    console = _out if _out.is_terminal else Console(width=_FILE_WIDTH)
    console.print(drawn)


class _RateColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s", style="progress.data.speed")


class Bar:
    """Handle on one running progress display."""

    def __init__(self, description: str, total: int, progress: Progress | None, done: int = 0) -> None:
        self._description, self._total, self._progress = description, total, progress
        self._task = progress.add_task(escape(description), total=total, completed=done) if progress else None
        self._before, self._done, self._start = done, done, time.monotonic()
        self._last_print = self._start

    def advance(self, count: int = 1) -> None:
        """Counts `count` more items as done."""
        self._done += count
        if self._progress is not None and self._task is not None:
            self._progress.advance(self._task, count)
        elif not _quiet and time.monotonic() - self._last_print >= _PLAIN_INTERVAL_S:
            self._last_print = time.monotonic()
            self.print_plain()

    def remove(self) -> None:
        """Takes a line out of a display that goes on."""
        if self._progress is not None and self._task is not None:
            self._progress.remove_task(self._task)

    def print_plain(self) -> None:
        """One line of progress for logs."""
        elapsed = max(time.monotonic() - self._start, 1e-9)
        rate = (self._done - self._before) / elapsed
        remark(f"{self._description}: {self._done}/{self._total} ({rate:,.1f}/s, {elapsed:.0f} s)")


@contextmanager
def progress(description: str, total: int, done: int = 0) -> Iterator[Bar]:
    """A progress display over `total` items; inside another one it becomes one more line of it.

    Args:
        done: items that an earlier call has done; they are shown, and do not count in the rate.
    """
    global _drawn
    if _drawn is not None:  # rich allows one live display at a time
        bar = Bar(description, total, _drawn, done)
        try:
            yield bar
        finally:
            bar.remove()
        return
    if is_interactive():
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _RateColumn(),
            TimeRemainingColumn(),
        )
        try:
            with Progress(*columns, console=_err) as _drawn:
                yield Bar(description, total, _drawn, done)
        finally:
            _drawn = None
        return
    start = time.monotonic()
    bar = Bar(description, total, None, done)
    yield bar
    if not _quiet and time.monotonic() - start >= 2.0:
        bar.print_plain()


def track(items: Sequence[Item], description: str) -> Iterator[Item]:
    """Iterates with a progress display."""
    with progress(description, len(items)) as bar:
        for item in items:
            yield item
            bar.advance()
