"""What each ingredient of the recipe is worth: trains the rows of ablation.yaml and compares each with its full one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from omegaconf import OmegaConf

from kdspeech import console, students
from kdspeech.choices import DecodeMode, Mode
from kdspeech.cli.main import run_command
from kdspeech.cli.options import common_options, folds_option, names_callback, recipe_options, seeds_option
from kdspeech.comparison.compare import compare
from kdspeech.config import Recipe
from kdspeech.errors import ConfigError
from kdspeech.evaluation.student_runs import StudentRun, StudentSystem, train_and_evaluate_all
from kdspeech.files import write_text
from kdspeech.recipe_file import load_recipe
from kdspeech.supervision import Supervision
from kdspeech.workspace import Workspace

_ROWS = Path(__file__).with_name("ablation.yaml")
_MISSING = "–"


@dataclass(frozen=True)
class Row:
    """One student of the table."""

    name: str
    mode: Mode
    labels: float = 1.0
    adapt: bool = False
    all_audio: bool = False
    against: str | None = None  # the row that has what this one lacks
    set: tuple[str, ...] = ()

    @property
    def system(self) -> StudentSystem:
        return StudentSystem(self.mode, Supervision(self.labels, self.adapt, self.all_audio))

    def recipe(self, base: str, overrides: Sequence[str]) -> Recipe:
        """The base recipe without the row's ingredient; its name is the row's: its runs have their own folder."""
        recipe = load_recipe(base, (*overrides, *self.set))
        name = f"{recipe.name}+{self.name.replace(' ', '-')}"
        return recipe.model_copy(update={"name": name}) if self.set else recipe

    def changes(self, base: str, overrides: Sequence[str]) -> bool:
        """False if the recipe has every setting of the row already."""
        plain = load_recipe(base, overrides)
        return not self.set or self.recipe(base, overrides).model_copy(update={"name": plain.name}) != plain


def read_rows(path: Path = _ROWS, names: Sequence[str] = ()) -> list[Row]:
    """The rows of these names, or all, and what they are compared with.

    Raises:
        ConfigError: a row that is not there, or is compared with one of other labels or other audio.
    """
    values: Any = OmegaConf.to_container(OmegaConf.load(path))
    rows = {row["name"]: Row(**{**row, "set": tuple(row.get("set", ()))}) for row in values["rows"]}
    unknown = [name for name in (*names, *(row.against for row in rows.values() if row.against)) if name not in rows]
    if unknown:
        raise ConfigError(f"{path} has no row {', '.join(map(repr, unknown))}. Its rows: {', '.join(rows)}.")
    for row in rows.values():
        if row.against and rows[row.against].labels != row.labels:
            raise ConfigError(f"{path}: {row.name!r} and {row.against!r} have different shares of labels.")
        if row.against and rows[row.against].adapt != row.adapt:
            raise ConfigError(f"{path}: of {row.name!r} and {row.against!r} one hears the held-out speaker's audio.")
    wanted = {*names, *(rows[name].against for name in names)} if names else set(rows)
    return [row for row in rows.values() if row.name in wanted]


def run(
    workspace: Workspace,
    base: str,
    rows: Sequence[Row],
    folds: Sequence[str],
    seeds: Sequence[int],
    overrides: Sequence[str] = (),
    jobs: int | None = None,
) -> str:
    """Trains and decodes the rows, and compares them.

    Returns:
        The table, as Markdown; it is also in reports/ablation.md.
    """
    runs: dict[str, list[StudentRun]] = {}
    for row in rows:
        if row.changes(base, overrides):
            recipe = row.recipe(base, overrides)
            runs[row.name] = [StudentRun(recipe, fold, row.system, seed) for fold in folds for seed in seeds]
        else:
            console.remark(f"Row {row.name!r}: the recipe has {', '.join(row.set)} already; nothing to compare.")
    train_and_evaluate_all(workspace, [run for of_row in runs.values() for run in of_row], students, jobs)
    files = {name: _files(workspace, of_row) for name, of_row in runs.items()}
    report = _markdown(workspace, rows, files, folds, seeds)
    write_text(workspace.reports_dir / "ablation.md", report)
    return report


def _files(workspace: Workspace, runs: Sequence[StudentRun]) -> dict[DecodeMode, list[Path]]:
    """Decode mode -> the results of all runs of a row."""
    results = [run.results(workspace) for run in runs]
    return {mode: [paths[mode] for paths in results] for mode in results[0]}


def _markdown(
    workspace: Workspace,
    rows: Sequence[Row],
    files: Mapping[str, Mapping[DecodeMode, Sequence[Path]]],
    folds: Sequence[str],
    seeds: Sequence[int],
) -> str:
    lines = [
        f"{workspace.corpus.corpus}, held out in turn: {', '.join(folds)}; seeds {', '.join(map(str, seeds))}.",
        "",
        "| row | " + " | ".join(f"{mode} WRA % | difference (95 % interval)" for mode in workspace.table_modes) + " |",
        "| --- |" + " ---: | ---: |" * len(workspace.table_modes),
    ]
    for row in rows:
        if row.name not in files:
            continue
        cells = []
        other = files.get(row.against or "")  # not trained where it is only what a row's own rival is compared with
        for mode in workspace.table_modes:
            cells += _cells(workspace, files[row.name].get(mode), other.get(mode) if other else None)
        against = f" (against {row.against})" if other else ""
        transductive = " (transductive)" if row.adapt else ""
        lines.append(f"| {row.name}{transductive}{against} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _cells(workspace: Workspace, own: Sequence[Path] | None, other: Sequence[Path] | None) -> tuple[str, str]:
    """A row's WRA and its difference in one decode mode; a head that a row does not teach says nothing."""
    if own is None:
        return _MISSING, _MISSING
    estimates = compare(other or own, own, reference=workspace.manifest_path).evidence.estimates
    return f"{estimates['b_macro'].value:.1f}", _MISSING if other is None else str(estimates["macro"])


@click.command()
@click.option("--rows", callback=names_callback, metavar="NAME,...", help="Rows of ablation.yaml.  [default: all]")
@folds_option
@seeds_option
@recipe_options
@common_options
def command(
    workspace: Path,
    rows: list[str] | None,
    folds: list[str] | None,
    seeds: list[int],
    recipe: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Train the rows of ablation.yaml, and compare each with its full one.

    Needs teachers and dumps. Each row's runs have a folder of their own in the workspace; what is done is skipped.
    Writes reports/ablation.md: WRA % (macro mean over speakers) and the difference with its 95 % interval, by each head
    that the row teaches. A row that changes nothing of the recipe is named, and not trained. --set holds for every row.

    \b
    python experiments/ablation.py --folds A,B --seeds 0,1 --rows "no balance,adapted"
    """
    place = Workspace(workspace)
    base = recipe or place.corpus.recipe
    table = run(place, base, read_rows(names=rows or ()), place.check_speakers(folds or ["all"]), seeds, overrides)
    for line in table.splitlines():
        console.result(line)


if __name__ == "__main__":
    run_command(command)
