"""What teachers give a student, beside labels alone: the comparisons of the project's goal, with their intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from kdspeech import console, students
from kdspeech.choices import DecodeMode, Mode
from kdspeech.cli.main import run_command
from kdspeech.cli.options import (
    choices_callback,
    common_options,
    folds_option,
    recipe_options,
    resolve_recipe,
    seeds_option,
)
from kdspeech.combination.scored import combine_all, texts_of
from kdspeech.combination.vote import vote
from kdspeech.comparison.compare import compare
from kdspeech.comparison.comparison import Comparison
from kdspeech.config import Recipe
from kdspeech.dumps.store import open_store
from kdspeech.errors import ConfigError
from kdspeech.evaluation.baselines import teacher_answers
from kdspeech.evaluation.student_runs import FoldScores, StudentRun, StudentSystem, train_and_evaluate_all
from kdspeech.files import write_json, write_text
from kdspeech.heads import of_mode, taught_heads
from kdspeech.supervision import Supervision
from kdspeech.workspace import Workspace

_FEW = 0.1  # of the labels
VOTE = "vote"


def systems_of(mode: Mode) -> dict[str, StudentSystem]:
    """The students, by the names that comparisons use; `mode` is how those with teachers learn."""
    return {
        "labels": StudentSystem("labels"),
        "ctc-kd": StudentSystem("ctc-kd"),
        "decoder-kd": StudentSystem("decoder-kd"),
        "few": StudentSystem("labels", Supervision(_FEW)),
        "few-taught": StudentSystem(mode, Supervision(_FEW)),
        "taught": StudentSystem(mode, Supervision(0.0)),
        "self-all-audio": StudentSystem("labels", Supervision(all_audio=True)),
        "all-audio": StudentSystem(mode, Supervision(all_audio=True)),
        "few-all-audio": StudentSystem(mode, Supervision(_FEW, all_audio=True)),
        "taught-all-audio": StudentSystem(mode, Supervision(0.0, all_audio=True)),
        "self-adapted": StudentSystem("labels", Supervision(adapt=True)),
        "adapted": StudentSystem(mode, Supervision(adapt=True)),
    }


@dataclass(frozen=True)
class Claim:
    """B minus A, and what it must reach, in points of WRA; without a goal, how far apart the two may be."""

    text: str
    a: str
    b: str
    decode_mode: DecodeMode
    must: float
    goal: float | None = None

    def reached(self, points: float) -> str:
        """What a difference reaches; equal means of floats may differ in their last digit."""
        points = round(points, 6)
        if self.goal is None:
            return "must" if abs(points) <= self.must else "NO"
        return "goal" if points >= self.goal else "must" if points >= self.must else "NO"


def claims_of(mode: Mode) -> list[Claim]:
    """What the project sets out to show."""
    both: tuple[DecodeMode, ...] = ("ctc", "lexicon")
    return [
        Claim("adapted on unlabelled audio - labels only", "labels", "adapted", "ctc", 8, 12),
        Claim("adapted on unlabelled audio - teacher vote", VOTE, "adapted", "lexicon", 3, 6),
        Claim("10 % of the labels + teachers - 10 % alone", "few", "few-taught", "ctc", 15, 25),
        *(Claim("teachers only - all labels", "labels", "taught", by, -1, 1) for by in both),
        *(Claim("all labels + teachers - all labels", "labels", mode, by, 0, 3) for by in both),
        Claim("one inductive student - teacher vote", VOTE, mode, "lexicon", 0, 3),
        Claim("10 % + teachers, all audio - 10 % alone", "few", "few-all-audio", "ctc", 15, 25),
        *(Claim("teachers only, all audio - all labels", "labels", "taught-all-audio", by, -1, 1) for by in both),
        *(Claim("all labels + teachers, all audio - all labels", "labels", "all-audio", by, 0, 3) for by in both),
        *(Claim("the same - no teachers, all audio", "self-all-audio", "all-audio", by, 0, 3) for by in both),
        *(Claim("ctc-kd - decoder-kd", "decoder-kd", "ctc-kd", by, 3) for by in both),
    ]


def run(
    workspace: Workspace,
    recipe: Recipe,
    mode: Mode,
    folds: Sequence[str],
    seeds: Sequence[int],
    names: Sequence[str],
    jobs: int | None = None,
) -> None:
    """Trains, decodes, compares and writes.

    Args:
        names: of the systems to train; comparisons with others are left out.
        jobs: processes side by side; None takes one a core.
    """
    systems = {name: system for name, system in systems_of(mode).items() if name in names}
    _check_all_heads(recipe, systems)
    runs = [StudentRun(recipe, fold, system, seed) for seed in seeds for fold in folds for system in systems.values()]
    decoded = train_and_evaluate_all(workspace, runs, students, jobs)
    scores = {(run.held_out, run.system, run.seed): of_run for run, of_run in zip(runs, decoded, strict=True)}
    macros = {
        name: {decode: _macro(scores, system, folds, seeds, decode) for decode in workspace.table_modes}
        for name, system in systems.items()
    }
    found = []
    for claim in claims_of(mode):
        if {claim.a, claim.b} <= {*systems, VOTE} and claim.decode_mode in workspace.table_modes:
            a, b = (
                _vote_files(workspace, folds, claim.decode_mode)
                if name == VOTE
                else [run.results(workspace)[claim.decode_mode] for run in runs if run.system == systems[name]]
                for name in (claim.a, claim.b)
            )
            found.append((claim, compare(a, b, reference=workspace.manifest_path)))
    parts = [
        f"{workspace.corpus.corpus}, recipe {recipe.name}, held out in turn: {', '.join(folds)}; seeds "
        f"{', '.join(map(str, seeds))}; students with teachers learn by {mode}.",
        _macro_table(systems, macros),
        _fold_table(systems, scores, folds, seeds),
        _claim_table(found),
    ]
    report = "\n\n".join(parts) + "\n"
    write_text(workspace.reports_dir / "distillation.md", report)
    write_json(
        workspace.reports_dir / "distillation.json",
        {"macro": macros, "claims": [{"claim": claim.text, **comparison.to_dict()} for claim, comparison in found]},
    )
    for line in report.splitlines():
        console.result(line)


def _check_all_heads(recipe: Recipe, systems: Mapping[str, StudentSystem]) -> None:
    for system in systems.values():
        if missing := {"ctc", "decoder"} - taught_heads(of_mode(recipe.stages, system.mode)):
            raise ConfigError(
                f"recipe {recipe.name} teaches no {' and '.join(sorted(missing))} head in mode {system.mode}, and the "
                "comparisons are by both: choose another recipe, or see each head that is taught by `kdspeech loso`."
            )


def _macro(
    scores: Mapping[tuple[str, StudentSystem, int], FoldScores],
    system: StudentSystem,
    folds: Sequence[str],
    seeds: Sequence[int],
    decode_mode: DecodeMode,
) -> list[float]:
    """WRA %, the mean over speakers, of each seed."""
    return [_mean([scores[fold, system, seed][decode_mode].wra for fold in folds]) for seed in seeds]


def _vote_files(workspace: Workspace, folds: Sequence[str], decode_mode: DecodeMode) -> list[Path]:
    """The teachers' vote on each fold, as a file of hypotheses."""
    store, paths = open_store(workspace), []
    for fold in folds:
        utterances = [u for u in workspace.utterances if u.speaker == fold]
        others = [name for name in workspace.speakers if name != fold]
        answers = teacher_answers(store, others, utterances, decode_mode, workspace.lexicon)
        path = workspace.reports_dir / "distillation" / f"vote-{decode_mode}-{fold}.tsv"
        texts = texts_of(combine_all(answers, vote))
        write_text(path, "".join(f"{utt_id}\t{text}\n" for utt_id, text in texts.items()))
        paths.append(path)
    return paths


def _macro_table(
    systems: Mapping[str, StudentSystem], macros: Mapping[str, Mapping[DecodeMode, Sequence[float]]]
) -> str:
    """The mean over speakers: of all seeds, and of each."""
    decode_modes = list(next(iter(macros.values())))
    lines = [
        f"| system | {' | '.join(f'{decode}: mean (seeds)' for decode in decode_modes)} |",
        f"| --- |{' ---: |' * len(decode_modes)}",
    ]
    for name, system in systems.items():
        cells = [
            f"{_mean(rates):.1f} ({', '.join(f'{rate:.1f}' for rate in rates)})"
            for rates in (macros[name][decode] for decode in decode_modes)
        ]
        lines.append(f"| {system.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _fold_table(
    systems: Mapping[str, StudentSystem],
    scores: Mapping[tuple[str, StudentSystem, int], FoldScores],
    folds: Sequence[str],
    seeds: Sequence[int],
) -> str:
    """Each held-out speaker, the mean over seeds."""
    decode_modes = list(next(iter(scores.values())))
    lines = [f"| {' / '.join(decode_modes)} | {' | '.join(folds)} |", f"| --- |{' ---: |' * len(folds)}"]
    for system in systems.values():
        cells = [
            " / ".join(f"{_mean([scores[fold, system, s][decode].wra for s in seeds]):.1f}" for decode in decode_modes)
            for fold in folds
        ]
        lines.append(f"| {system.name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _claim_table(found: Sequence[tuple[Claim, Comparison]]) -> str:
    lines = [
        "| comparison | by | difference, 95 % interval | p | must | goal | reached |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for claim, comparison in found:
        estimate = comparison.evidence.estimates["macro"]
        wanted = f"±{claim.must:g} | " if claim.goal is None else f"{claim.must:+g} | {claim.goal:+g}"
        lines.append(
            f"| {claim.text} | {claim.decode_mode} | {estimate} | {comparison.evidence.p_value} | {wanted} | "
            f"{claim.reached(estimate.value)} |"
        )
    return "\n".join(lines)


def _mean(rates: Sequence[float]) -> float:
    return sum(rates) / len(rates)


_NAMES = tuple(systems_of("decoder-kd"))  # whatever the mode


@click.command()
@click.option(
    "--mode",
    type=click.Choice(["ctc-kd", "decoder-kd"]),
    default="decoder-kd",
    show_default=True,
    help="How students with teachers learn.",
)
@click.option(
    "--systems",
    callback=choices_callback(_NAMES),
    metavar="NAME,...",
    help=f"Students to train, of {', '.join(_NAMES)}.  [default: all]",
)
@folds_option
@seeds_option
@recipe_options
@common_options
def command(
    workspace: Path,
    mode: Mode,
    systems: tuple[str, ...] | None,
    folds: list[str] | None,
    seeds: list[int],
    recipe: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Compare what teachers give a student with labels alone.

    Trains what is missing (what is done is skipped), decodes it, and writes reports/distillation.md and .json: the WRA
    of every system, macro mean and speaker by speaker, and each comparison's difference in WRA with a 95 % interval.
    All students of a comparison have the same size, start and, but for rounding, number of steps. Rows that hear the
    held-out speaker's audio are transductive and say so.

    \b
    kdspeech prepare CORPUS && kdspeech train-teachers --speakers all && kdspeech dump-teachers --speakers all
    python experiments/distillation.py --seeds 0,1,2 --folds M08,F02
    """
    place = Workspace(workspace)
    chosen = resolve_recipe(place, recipe, overrides)
    run(place, chosen, mode, place.check_speakers(folds or ["all"]), seeds, systems or _NAMES)


if __name__ == "__main__":
    run_command(command)
