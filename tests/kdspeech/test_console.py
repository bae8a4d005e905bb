"""Progress inside progress."""

import io

import pytest
from rich.console import Console

from kdspeech import console


def test_a_progress_inside_another_is_one_more_line(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(console, "_err", Console(file=screen, force_terminal=True, width=100))

    for _ in console.track(range(2), "Folds"):
        with pytest.raises(ValueError, match="step"), console.progress("Epochs", 3) as bar:
            bar.advance()
            raise ValueError("step")
    with console.progress("Later", 1) as bar:
        bar.advance()

    shown = screen.getvalue()
    assert "Folds" in shown
    assert "2/2" in shown
    assert "Later" in shown
