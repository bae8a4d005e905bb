"""Live views of a training: TensorBoard always, Weights & Biases where it is asked for.

They show what the run's log of epochs holds (`metrics.jsonl`), nothing else.
"""

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lightning.pytorch.loggers import Logger, TensorBoardLogger, WandbLogger

from kdspeech.errors import ConfigError
from kdspeech.files import read_json, sha256_of_text
from kdspeech.model_folders.runs import RunFolder

SAMPLES = "valid_samples"  # the column of sample hypotheses
_PROJECT = "kdspeech"  # at Weights & Biases; WANDB_PROJECT names another


def check_wandb() -> None:
    """Finds out before long work that W&B cannot be had.

    Raises:
        ConfigError: it is not installed.
    """
    if importlib.util.find_spec("wandb") is None:
        raise ConfigError("--wandb needs the package wandb. Run `pip install 'kdspeech[wandb]'`, or leave it out.")


@contextmanager
def open_loggers(run: RunFolder, wandb: bool) -> Iterator[list[Logger]]:
    """A run's loggers, closed at the end; those of a continued run go on where it stopped.

    W&B obeys its own environment variables: with WANDB_MODE=offline it writes into the run folder and needs no network.
    """
    loggers: list[Logger] = [TensorBoardLogger(run.path, name="tensorboard", version="")]
    if not wandb:
        yield loggers
        return
    shown = _wandb_logger(run)
    failed = True
    try:
        yield [*loggers, shown]
        failed = False
    finally:  # else the next run of this process would be drawn into this one's curves
        shown.experiment.finish(exit_code=int(failed))


def log_epoch(loggers: Sequence[Logger], row: Mapping[str, Any], step: int) -> None:
    """Shows an epoch's row: its numbers as curves, its sample hypotheses as a table.

    Args:
        step: finished epochs of the run, all stages.
    """
    numbers = {name: value for name, value in row.items() if isinstance(value, int | float)}
    samples: Sequence[Mapping[str, str | None]] = row.get(SAMPLES, ())
    columns = list(samples[0]) if samples else []
    cells = [[sample[name] or "" for name in columns] for sample in samples]
    for logger in loggers:
        logger.log_metrics(numbers, step=step)
        if not samples:
            continue
        if isinstance(logger, WandbLogger):
            logger.log_text(SAMPLES, columns=columns, data=cells, step=step)
        elif isinstance(logger, TensorBoardLogger):
            logger.experiment.add_text(SAMPLES, _markdown(columns, cells), global_step=step)


def _wandb_logger(run: RunFolder) -> WandbLogger:
    """Under one id for all stages and for the run continued, and another one for the run done again."""
    config, started = run.config(), read_json(run.path / "provenance.json")["started"]
    name = "/".join(run.path.parts[-4:])
    identity = sha256_of_text(f"{run.path.absolute()} {started}")[:16]
    folder = run.path / "wandb"
    folder.mkdir(exist_ok=True)
    logger = WandbLogger(name=name, id=identity, project=_PROJECT, save_dir=run.path, resume="allow")
    logger.log_hyperparams(config)
    return logger


def _markdown(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', ' ') for cell in line)} |" for line in lines)
