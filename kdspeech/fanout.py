"""Independent jobs side by side in submitit's local processes, or one after another in this process."""

import os
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import submitit
from submitit.core.utils import FailedJobError

from kdspeech import console
from kdspeech.errors import KdspeechError

_POLL_S = 0.2  # seconds between two looks at the running jobs
_COUNT_S = 2.0  # and between two counts of their work: each may look at hundreds of files


def default_jobs(count: int) -> int:
    """One job for each core that this process may use: a scheduler may lend few of many. No more than there are."""
    return max(1, min(count, len(os.sched_getaffinity(0))))


def run_jobs(
    function: Callable[..., Any],
    arguments: Sequence[tuple[Any, ...]],
    description: str,
    log_dir: Path,
    jobs: int,
    counter: tuple[int, Callable[[], int]] | None = None,
) -> list[Any]:
    """Calls `function(*arguments[i])` for each i, at most `jobs` at a time.

    Args:
        function: importable by name; with more than one job it runs in a process of its own, on one thread.
        log_dir: where submitit keeps the jobs' output.
        jobs: 1 runs in this process.
        counter: what the progress display counts instead of jobs: how many units of work there are in all, and a
            function that tells how many are done.

    Returns:
        The results in the order of `arguments`.

    Raises:
        KdspeechError: a job failed; the others are stopped first. The message ends with where its log is.
    """
    if jobs <= 1 or len(arguments) <= 1:
        return [function(*argument) for argument in console.track(arguments, description)]
    log_dir.mkdir(parents=True, exist_ok=True)
    submitter = submitit.AutoExecutor(folder=log_dir, cluster="local")
    submitter.update_parameters(timeout_min=7 * 24 * 60, name=description.split()[0].lower())
    waiting = list(enumerate(arguments))
    running: dict[int, submitit.Job[Any]] = {}
    results: dict[int, Any] = {}
    total, count_done = counter or (len(arguments), lambda: len(results))
    shown, counted_at = count_done(), time.monotonic()
    with console.progress(description, total, shown) as bar:
        try:
            while waiting or running:
                while waiting and len(running) < jobs:
                    index, argument = waiting.pop(0)
                    running[index] = submitter.submit(_single_threaded, function, argument, os.getpid())
                for index, job in list(running.items()):
                    if job.done():
                        results[index] = _result_of(job, description)
                        del running[index]
                if not running or time.monotonic() - counted_at >= _COUNT_S:
                    done, counted_at = count_done(), time.monotonic()
                    bar.advance(done - shown)
                    shown = done
                time.sleep(_POLL_S)
        finally:
            for job in running.values():
                job.cancel(check=False)
    return [results[index] for index in range(len(arguments))]


@dataclass(frozen=True)
class _Refusal:
    """A KdspeechError on its way from a job's process to this one."""

    message: str


def _single_threaded(function: Callable[..., Any], argument: tuple[Any, ...], owner: int) -> Any:
    import torch

    threading.Thread(target=_end_with, args=(owner,), daemon=True).start()
    torch.set_num_threads(1)
    console.configure(quiet=True)
    try:
        return function(*argument)
    except KdspeechError as error:
        return _Refusal(str(error))


def _end_with(owner: int) -> None:
    """Ends this process when the one that started it is gone.

    A killed command cannot stop its jobs; without this they would go on and write into the same folders as the command
    that the user then starts again.
    """
    while True:
        try:
            os.kill(owner, 0)  # only asks whether it is there
        except ProcessLookupError:
            os._exit(1)
        time.sleep(_POLL_S)


def _result_of(job: "submitit.Job[Any]", description: str) -> Any:
    error = job.exception()
    if isinstance(error, FailedJobError):
        # The job's traceback stands between two rules; its last line says what went wrong.
        traceback = str(error).split("-" * 22 + "\n")[1]
        raise KdspeechError(f"{description}: {traceback.strip().splitlines()[-1]}. {_log_of(job)}") from error
    if error is not None:
        raise KdspeechError(
            f"{description}: a job's process ended without a result: killed, or out of memory? {_log_of(job)}"
        ) from error
    outcome = job.result()
    if isinstance(outcome, _Refusal):
        raise KdspeechError(f"{description}: {outcome.message}\n{_log_of(job)}")
    return outcome


def _log_of(job: "submitit.Job[Any]") -> str:
    return f"The whole log: {job.paths.stderr}"
