"""Messages, tables and progress: results on standard output, all else on standard error, and quiet when asked."""

import contextlib
import io

import pytest
from rich.console import Console

from kdspeech import console

Capture = pytest.CaptureFixture[str]


def test_remarks_go_to_standard_error_and_results_to_standard_output(capsys: Capture) -> None:
    console.remark("working")
    console.result("42")
    output = capsys.readouterr()
    assert (output.out, output.err) == ("42\n", "working\n")


def test_quiet_silences_remarks_and_progress_only(capsys: Capture) -> None:
    console.configure(quiet=True)
    console.remark("working")
    list(console.track([1, 2], "Counting"))
    assert capsys.readouterr().err == ""
    console.warn("careful")
    console.result("42")
    output = capsys.readouterr()
    assert (output.out, output.err) == ("42\n", "Warning: careful\n")


def test_silence_ends_where_it_began(capsys: Capture) -> None:
    with contextlib.suppress(ValueError), console.silenced():
        console.remark("working")
        raise ValueError
    console.remark("done")
    console.configure(quiet=True)
    with console.silenced():
        pass
    console.remark("quiet as before")
    assert capsys.readouterr().err == "done\n"


def test_brackets_are_text_not_markup(capsys: Capture) -> None:
    console.result("[bold]speaker[/] [x]")
    console.table("T [1]", ["[a]"], [["[red]b"]])
    output = capsys.readouterr().out
    for text in ("[bold]speaker[/] [x]", "T [1]", "[a]", "[red]b"):
        assert text in output


def test_long_lines_are_not_broken_where_there_is_no_terminal(capsys: Capture) -> None:
    console.result("word " * 100)
    assert capsys.readouterr().out.count("\n") == 1


def test_a_table_keeps_every_cell_whole(capsys: Capture) -> None:
    cells = [f"column-number-{index}" for index in range(40)]
    console.table("Wide", cells, [cells])
    lines = [line for line in capsys.readouterr().out.splitlines() if "column-number-0" in line]
    assert len(lines) == 2
    assert all(cell in line for line in lines for cell in cells)


def test_track_gives_every_item_in_order() -> None:
    assert list(console.track("abc", "Spelling")) == ["a", "b", "c"]


def test_progress_is_plain_lines_with_a_rate_where_there_is_no_terminal(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = iter(range(0, 1000, 4))  # each look at the clock is four seconds later
    monkeypatch.setattr("kdspeech.console.time.monotonic", lambda: float(next(seconds)))
    with console.progress("Counting", 6) as bar:
        for _ in range(6):
            bar.advance()
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("Counting: 6/6 (")
    assert all("/s" in line and "\x1b" not in line for line in lines)
    assert 2 <= len(lines) <= 6


def test_what_an_earlier_call_has_done_is_shown_and_not_in_the_rate(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter([0.0, 0.0, 2.0, 2.0, 2.0])  # seconds
    monkeypatch.setattr("kdspeech.console.time.monotonic", lambda: next(clock))
    with console.progress("Counting", 30, done=20) as bar:
        bar.advance(10)
    assert capsys.readouterr().err == "Counting: 30/30 (5.0/s, 2 s)\n"


def test_short_work_prints_nothing(capsys: Capture) -> None:
    list(console.track([1, 2, 3], "Counting"))
    assert capsys.readouterr().err == ""


def test_a_progress_inside_another_is_one_more_line(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(console, "_err", Console(file=screen, force_terminal=True, width=100))

    for fold in console.track(range(2), "Folds"):
        with contextlib.suppress(ZeroDivisionError), console.progress("Epochs", 3) as bar:
            bar.advance(1 // fold)  # the first fold fails
    with console.progress("Later", 1) as bar:
        bar.advance()

    shown = screen.getvalue()
    assert "Folds" in shown
    assert "2/2" in shown
    assert "Later" in shown
