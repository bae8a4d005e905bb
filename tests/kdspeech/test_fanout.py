"""Jobs side by side: results in order, failures named, one job in this process."""

import operator
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from kdspeech.errors import KdspeechError
from kdspeech.fanout import default_jobs, run_jobs
from kdspeech.files import read_json


def test_one_job_runs_in_this_process(tmp_path: Path) -> None:
    assert run_jobs(os.getpid, [(), ()], "Asking", tmp_path / "logs", jobs=1) == [os.getpid()] * 2
    assert not (tmp_path / "logs").exists()


def test_a_failure_in_this_process_is_raised_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(KdspeechError, match=r"gone\.json does not exist"):
        run_jobs(read_json, [(tmp_path / "gone.json",)], "Reading", tmp_path / "logs", jobs=1)


def test_results_of_processes_come_in_the_order_of_the_arguments(tmp_path: Path) -> None:
    arguments = [(7, 2), (9, 2), (1, 2)]
    assert run_jobs(operator.floordiv, arguments, "Dividing", tmp_path / "logs", jobs=2) == [3, 4, 0]


def test_a_refusal_in_a_process_keeps_its_message_and_says_where_its_log_is(tmp_path: Path) -> None:
    arguments = [(tmp_path / "gone.json",), (tmp_path / "gone.json",)]
    with pytest.raises(KdspeechError) as failure:
        run_jobs(read_json, arguments, "Reading cards", tmp_path / "logs", jobs=2)
    message, log = str(failure.value).split("\nThe whole log: ")
    assert message == f"Reading cards: {tmp_path / 'gone.json'} does not exist."
    assert Path(log).parent == tmp_path / "logs"
    assert Path(log).exists()


def test_a_crash_in_a_process_says_why_and_its_log_holds_the_traceback(tmp_path: Path) -> None:
    with pytest.raises(KdspeechError) as failure:
        run_jobs(operator.floordiv, [(1, 0), (1, 0)], "Dividing", tmp_path / "logs", jobs=2)
    message, log = str(failure.value).split(" The whole log: ")
    assert message.startswith("Dividing: ZeroDivisionError: ")
    assert "Traceback" in Path(log).read_text()


@pytest.mark.slow  # submitit waits 10 s for a result that may still come
def test_a_process_that_dies_is_reported(tmp_path: Path) -> None:
    with pytest.raises(KdspeechError, match="Dying: a job's process ended without a result"):
        run_jobs(os.abort, [(), ()], "Dying", tmp_path / "logs", jobs=2)


def test_no_more_jobs_than_cores_or_tasks() -> None:
    assert default_jobs(0) == 1
    assert default_jobs(1) == 1
    assert default_jobs(10_000) == len(os.sched_getaffinity(0))


OWNER = """
import os, sys, time
from pathlib import Path
from kdspeech.fanout import run_jobs

def work(folder):
    (Path(folder) / f"{os.getpid()}.job").touch()
    time.sleep(60)

run_jobs(work, [(sys.argv[1],), (sys.argv[1],)], "Working", Path(sys.argv[1]) / "logs", jobs=2)
"""


def _is_alive(process_id: int) -> bool:
    status = Path(f"/proc/{process_id}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_jobs_end_with_a_killed_command(tmp_path: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(tmp_path)])
    try:
        assert _within(60.0, lambda: len(list(tmp_path.glob("*.job"))) == 2)
    finally:
        owner.kill()
        owner.wait()
    jobs = [int(path.stem) for path in tmp_path.glob("*.job")]
    assert _within(10.0, lambda: not any(map(_is_alive, jobs)))


def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not (met := condition()) and time.monotonic() < end:
        time.sleep(0.1)
    return met
