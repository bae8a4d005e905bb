"""Three pictures of a workspace's results, as SVG, and their numbers as JSON beside them."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import comb
from pathlib import Path
from typing import cast

import click
import numpy as np

from kdspeech import console
from kdspeech.choices import TABLE_MODES, DecodeMode
from kdspeech.cli.main import run_command
from kdspeech.cli.options import common_options, folds_option, recipe_option, resolve_recipe
from kdspeech.combination.scored import Answers, combine_all
from kdspeech.combination.vote import Answer, Combined, vote
from kdspeech.comparison.systems import check_one_system
from kdspeech.dumps.store import open_store
from kdspeech.errors import KdspeechError
from kdspeech.evaluation.baselines import teacher_answers
from kdspeech.evaluation.evaluate import stored_results
from kdspeech.files import write_json, write_text
from kdspeech.model_folders.runs import RunFolder
from kdspeech.report.bar_chart import Bar, BarChart, BarGroup
from kdspeech.report.line_chart import Line, LineChart, Point
from kdspeech.report.picture import draw_bars, draw_lines
from kdspeech.report.scale import Scale
from kdspeech.scoring.formats.results import EvaluatedRun, read_run
from kdspeech.scoring.normalise import normalise
from kdspeech.targets.pooling import temper
from kdspeech.utterance import Utterance
from kdspeech.workspace import Workspace

_STUDENTS = {"labels": "labels only", "decoder-kd": "decoder-kd", "ctc-kd": "ctc-kd"}  # and each `-adapted`
_ADAPTED = "-adapted"
_VARIANTS = tuple(f"{mode}{adapted}" for adapted in ("", _ADAPTED) for mode in _STUDENTS)  # the students that are drawn
_FLOATS = 20_000_000  # pooled at a time
_BIN_WIDTH = 0.2  # of agreement
_NOTE = "bars from 0 to 100; a thin line spans the seeds; `adapted` heard the speaker's recordings, not the transcripts"


@dataclass(frozen=True)
class Fold:
    """What is known of one held-out speaker; texts are normalised. K teachers, N utterances, W words."""

    speaker: str
    references: Mapping[str, str]  # utterance id -> text
    teachers: Mapping[str, Answers]  # without the speaker's own
    words: Sequence[str]  # [W]
    posteriors: np.ndarray | None  # float32 [K, N, W], tempered log-posteriors; None without a lexicon
    students: Mapping[str, Sequence[Mapping[str, str]]]  # variant -> seeds -> utterance id -> text


def wra(texts: Mapping[str, str], references: Mapping[str, str]) -> float:
    """% of the references that were found."""
    return 100 * sum(texts.get(utt_id) == text for utt_id, text in references.items()) / len(references)


def speaker_bars(folds: Sequence[Fold], decode_mode: str) -> BarChart:
    """Every system on every held-out speaker, and the mean over speakers; `low` and `high` are those of the seeds."""
    rates: dict[str, dict[str, list[float]]] = {"mean single teacher": {}, "teacher vote": {}}
    for fold in folds:
        singles = [wra({i: answer.text for i, answer in said.items()}, fold.references) for said in _said(fold)]
        voted = {utt_id: combined.text for utt_id, combined in votes(fold).items()}
        rates["mean single teacher"][fold.speaker] = [float(np.mean(singles))]
        rates["teacher vote"][fold.speaker] = [wra(voted, fold.references)]
        for variant in _VARIANTS:
            if seeds := fold.students.get(variant):
                found = [wra(texts, fold.references) for texts in seeds]
                rates.setdefault(variant, {})[fold.speaker] = found
    order = ["mean single teacher", "teacher vote", *(variant for variant in _VARIANTS if variant in rates)]
    groups = [BarGroup("mean", [_mean_bar(name, rates[name]) for name in order if len(rates[name]) == len(folds)])]
    for fold in folds:
        known = [(name, rates[name][fold.speaker]) for name in order if fold.speaker in rates[name]]
        groups.append(BarGroup(fold.speaker, [_seeds_bar(name, found) for name, found in known]))
    caption = f"WRA (%) on speakers never heard, by {decode_mode}"
    return BarChart(caption, groups)


def _said(fold: Fold) -> list[Answers]:
    return list(fold.teachers.values())


def votes(fold: Fold) -> dict[str, Combined]:
    """What all teachers say together."""
    return combine_all(fold.teachers, lambda answers: vote(answers, _as_it_is))


def _mean_bar(name: str, by_speaker: Mapping[str, Sequence[float]]) -> Bar:
    value = float(np.mean([np.mean(found) for found in by_speaker.values()]))
    return Bar(_shown(name), value, value, value, _kind(name))


def _seeds_bar(name: str, found: Sequence[float]) -> Bar:
    return Bar(_shown(name), float(np.mean(found)), min(found), max(found), _kind(name))


def _shown(name: str) -> str:
    base = name.removesuffix(_ADAPTED)
    return f"{_STUDENTS.get(base, base)}{', adapted' if base != name else ''}"


def _kind(name: str) -> int:
    return 3 if name.endswith(_ADAPTED) else 0 if name in _STUDENTS else 1


def subsets_of(total: int, size: int, most: int, seed: int = 0) -> list[tuple[int, ...]]:
    """All subsets of `size` out of `total`, or `most` different ones that are drawn at random."""
    if comb(total, size) <= most:
        return list(itertools.combinations(range(total), size))
    rng = np.random.default_rng([seed, total, size])
    drawn: dict[tuple[int, ...], None] = {}
    while len(drawn) < most:
        drawn[tuple(sorted(int(i) for i in rng.permutation(total)[:size]))] = None
    return list(drawn)


def number_curves(folds: Sequence[Fold], decode_mode: str, most: int) -> LineChart:
    """WRA of k = 1, 2, ... teachers: the mean over subsets of k, then over held-out speakers.

    Args:
        most: subsets of each size and speaker.
    """
    measures: dict[str, Callable[[Fold, Sequence[tuple[int, ...]]], float]] = {f"vote by {decode_mode}": vote_wra}
    if all(fold.posteriors is not None for fold in folds):
        measures["pooled word posteriors"] = pooled_wra
    most_teachers = min(len(fold.teachers) for fold in folds)
    points: dict[str, list[Point]] = {name: [] for name in measures}
    for size in console.track(list(range(1, most_teachers + 1)), "Pooling subsets of the teachers"):
        drawn = {fold.speaker: subsets_of(len(fold.teachers), size, most) for fold in folds}
        for name, measure in measures.items():
            value = float(np.mean([measure(fold, drawn[fold.speaker]) for fold in folds]))
            points[name].append(Point(size, value, note=f"{len(drawn[folds[0].speaker])} subsets a speaker"))
    lines = [Line(name, found) for name, found in points.items()]
    caption = f"More teachers: WRA on speakers never heard, mean over {len(folds)} speakers"
    x_scale = Scale(1.0, float(max(2, most_teachers)), whole=True)
    rates = [point.y for line in lines for point in line.points]
    y_scale = Scale(max(0.0, 10.0 * (min(rates) // 10)), min(100.0, 10.0 * (max(rates) // 10 + 1)))
    return LineChart(caption, "number of teachers", "WRA (%)", lines, x_scale, y_scale)


def vote_wra(fold: Fold, subsets: Sequence[tuple[int, ...]]) -> float:
    """WRA % of the vote of each subset of the teachers, mean over subsets."""
    said = _said(fold)
    right = 0
    for utt_id, reference in fold.references.items():
        answers = [answers[utt_id] for answers in said]
        right += sum(vote([answers[i] for i in subset], _as_it_is).text == reference for subset in subsets)
    return 100 * right / (len(subsets) * len(fold.references))


def pooled_wra(fold: Fold, subsets: Sequence[tuple[int, ...]]) -> float:
    """WRA % of the likeliest word by the mean of the subset's tempered log-posteriors, mean over subsets.

    It is the first of `kdspeech.targets.pseudo_labels.pooled_words`, for many subsets at once.
    """
    if fold.posteriors is None:
        raise KdspeechError("without a closed word list there are no word posteriors to pool.")
    num_teachers, num_utterances, num_words = fold.posteriors.shape
    chosen = np.zeros((len(subsets), num_teachers), dtype=np.float32)  # [S, K]
    for row, subset in enumerate(subsets):
        chosen[row, list(subset)] = 1.0
    words = np.array([fold.words.index(text) if text in fold.words else -1 for text in fold.references.values()])
    right, step = 0, max(1, _FLOATS // (len(subsets) * num_words))
    for start in range(0, num_utterances, step):
        part = fold.posteriors[:, start : start + step]  # [K, n, W]
        sums = (chosen @ part.reshape(num_teachers, -1)).reshape(len(subsets), -1, num_words)
        right += int((sums.argmax(axis=2) == words[start : start + step]).sum())
    return 100 * right / (len(subsets) * num_utterances)


@dataclass(frozen=True)
class AgreementBin:
    """The utterances in which about as many teachers agree."""

    agreement: float  # %, mean share of the teachers that say what most say
    utterances: int
    vote: float  # % right
    student: float | None  # % right, mean over seeds; None where a speaker has no such student


def agreement_bins(folds: Sequence[Fold], student: str) -> list[AgreementBin]:
    """Bins of `_BIN_WIDTH`, their upper end included; teachers that all hear nothing agree on nothing."""
    entries = []  # (agreement, vote right, share of the student's seeds that are right)
    for fold in folds:
        seeds = fold.students.get(student, ())
        for utt_id, combined in votes(fold).items():
            reference = fold.references[utt_id]
            right = [texts.get(utt_id) == reference for texts in seeds]
            agreement = combined.agreement if combined.text else 0.0
            entries.append((agreement, combined.text == reference, np.mean(right) if right else np.nan))
    table = np.array(entries, dtype=float)  # [N, 3]
    number = np.maximum(np.ceil(table[:, 0] / _BIN_WIDTH - 1e-9), 1)
    bins = []
    for value in np.unique(number):
        agreement, voted, taught = 100 * table[number == value].mean(axis=0)
        known = None if np.isnan(taught) else float(taught)
        bins.append(AgreementBin(float(agreement), int((number == value).sum()), float(voted), known))
    return bins


def agreement_curves(bins: Sequence[AgreementBin], decode_mode: str, student: str) -> LineChart:
    """How right the vote and a student are, against the teachers' agreement."""
    lines = [Line("teacher vote", [Point(b.agreement, b.vote, note=f"{b.utterances} utterances") for b in bins])]
    taught = [Point(b.agreement, b.student) for b in bins if b.student is not None]
    if taught:
        lines.append(Line(f"{_shown(student)} student", taught))
    caption = f"Where the teachers agree, they are right ({decode_mode}); dashed: as right as they agree"
    scale = Scale(0.0, 100.0)
    return LineChart(caption, "teachers that say the majority word (%)", "right (%)", lines, scale, scale, (), True)


def read_folds(
    workspace: Workspace, recipe: str, speakers: Sequence[str], decode_mode: DecodeMode, temperature: float
) -> list[Fold]:
    """Everything about these speakers, whose recordings all other teachers have scored.

    Raises:
        KdspeechError: dumps are missing, or students of one mode are of different settings.
    """
    _check_students(workspace, recipe, speakers, decode_mode)
    store = open_store(workspace)
    lexicon = workspace.lexicon if workspace.has_lexicon else None
    folds = []
    for speaker in console.track(list(speakers), "Reading what the teachers said"):
        utterances = [u for u in workspace.utterances if u.speaker == speaker]
        others = [name for name in workspace.speakers if name != speaker]
        answers = teacher_answers(store, others, utterances, decode_mode, lexicon)
        if not answers:
            raise KdspeechError(f"not every teacher decodes by {decode_mode}. Choose another --decode-mode.")
        posteriors = None
        if lexicon is not None:
            given = [store.read(name, "word", utterances, lexicon=lexicon) for name in others]
            rows = [np.stack([cast(np.ndarray, read[u.utt_id]) for u in utterances]) for read in given]
            posteriors = np.stack([temper(row, temperature) for row in rows]).astype(np.float32)
        folds.append(
            Fold(
                speaker,
                {u.utt_id: normalise(u.text) for u in utterances},
                {
                    name: {i: Answer(normalise(a.text), a.score) for i, a in said.items()}
                    for name, said in answers.items()
                },
                [normalise(word) for word in lexicon.words] if lexicon is not None else [],
                posteriors,
                _student_texts(workspace, recipe, speaker, decode_mode, utterances),
            )
        )
    return folds


def _student_files(workspace: Workspace, recipe: str, speaker: str, decode_mode: DecodeMode) -> list[Path]:
    found = sorted((workspace.runs_dir / recipe / speaker).glob(f"*/seed*/results-{decode_mode}.json"))
    return [path for path in found if path.parts[-3] in _VARIANTS]


def _check_students(workspace: Workspace, recipe: str, speakers: Sequence[str], decode_mode: DecodeMode) -> None:
    """Seeds and folds of a variant are one system."""
    variants: dict[str, dict[Path, EvaluatedRun]] = {}
    for speaker in speakers:
        for path in _student_files(workspace, recipe, speaker, decode_mode):
            variants.setdefault(path.parts[-3], {})[path] = read_run(path)
    for runs in variants.values():
        check_one_system(runs)


def _student_texts(
    workspace: Workspace, recipe: str, speaker: str, decode_mode: DecodeMode, utterances: Sequence[Utterance]
) -> dict[str, list[dict[str, str]]]:
    """Variant -> seeds -> utterance id -> text, of every run that was evaluated."""
    found: dict[str, list[dict[str, str]]] = {}
    for path in _student_files(workspace, recipe, speaker, decode_mode):
        results, stale = stored_results(RunFolder(path.parent))
        if path.name in stale:
            raise KdspeechError(f"{path} was made of an earlier checkpoint. Run `kdspeech eval` for this run again.")
        texts = {u.utt_id: normalise(u.hypothesis) for u in results[decode_mode].utterances}
        if texts.keys() != {u.utt_id for u in utterances}:
            raise KdspeechError(f"{path} was made for another manifest. Run `kdspeech eval --force`.")
        found.setdefault(path.parts[-3], []).append(texts)
    return found


def _as_it_is(text: str) -> str:
    return text


def draw_all(folds: Sequence[Fold], decode_mode: DecodeMode, student: str, most: int, output: Path) -> list[Path]:
    """Computes, draws and writes; returns the pictures."""
    bins = agreement_bins(folds, student)
    bars, curves = speaker_bars(folds, decode_mode), number_curves(folds, decode_mode, most)
    agreement = agreement_curves(bins, decode_mode, student)
    counts = ("utterances:", [(b.agreement, f"{b.utterances:,}") for b in bins])
    pictures = {
        "speakers": draw_bars(bars, _NOTE),
        "teachers": draw_lines(curves),
        "agreement": draw_lines(agreement, beneath=counts),
    }
    numbers = {
        name: [list(chart.columns), *(list(row) for row in chart.rows)]
        for name, chart in (("speakers", bars), ("teachers", curves), ("agreement", agreement))
    }
    write_json(output / f"plots-{decode_mode}.json", numbers)
    for name, picture in pictures.items():
        write_text(output / f"{name}-{decode_mode}.svg", picture)
    return [output / f"{name}-{decode_mode}.svg" for name in pictures]


@click.command()
@click.option("--decode-mode", type=click.Choice(TABLE_MODES), default="lexicon", show_default=True)
@click.option(
    "--student",
    type=click.Choice(_VARIANTS),
    default="decoder-kd",
    show_default=True,
    help="Beside the teachers' agreement.",
)
@click.option(
    "--subsets", type=click.IntRange(min=1), default=200, show_default=True, help="Of each number of teachers."
)
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder.  [default: reports/plots of the workspace]",
)
@folds_option
@recipe_option
@common_options
def command(
    workspace: Path,
    decode_mode: DecodeMode,
    student: str,
    subsets: int,
    output: Path | None,
    folds: list[str] | None,
    recipe: str | None,
) -> None:
    """Draw three pictures of a workspace's results, as SVG, with their numbers as JSON beside them.

    \b
    speakers-MODE.svg   WRA on every held-out speaker: single teachers, their vote, students (mean of seeds)
    teachers-MODE.svg   WRA of the vote and of the pooled word posteriors of 1, 2, ... teachers: all subsets, or some
    agreement-MODE.svg  how often the vote and a student are right where few or many teachers agree

    Students are those of all labels, and of all labels and teachers, adapted or not, that were evaluated.
    Needs the dumps of every teacher for every speaker held out, and evaluated runs (`kdspeech loso`); trains nothing.

    \b
    python experiments/plots.py --folds M08,F02 --output DIR
    """
    place = Workspace(workspace)
    chosen = resolve_recipe(place, recipe)
    speakers = place.check_speakers(folds or ["all"])
    found = read_folds(place, chosen.name, speakers, decode_mode, chosen.pseudo_labels.temperature)
    written = draw_all(found, decode_mode, student, subsets, output or place.reports_dir / "plots")
    console.remark(f"Wrote {', '.join(map(str, written))}.")


if __name__ == "__main__":
    run_command(command)
