"""How well the student does: train, validation and held-out side by side, and whether a new speaker is the trouble."""

from collections.abc import Mapping
from typing import Any, get_args

from kdspeech.choices import DecodeMode
from kdspeech.diagnosis.case import Case, Split
from kdspeech.diagnosis.finding import Finding, Verdict, skipped
from kdspeech.evaluation.baselines import teacher_baselines
from kdspeech.evaluation.evaluate import results_path
from kdspeech.evaluation.results import EvaluationResult
from kdspeech.heads import Head
from kdspeech.scoring.score import Scores

SPLIT_CHECK = "train, validation, held-out"
HELD_OUT_CHECK = "included or held-out"
_UNLEARNT, _POOR = 20.0, 50.0  # % WRA on the training set
_WIDE_GAP = 25.0  # points of WRA between training and validation set
_DOMAIN_GAP = 20.0  # points of WRA between included speakers and the held-out one
_BANDS = ((70.0, "works"), (50.0, "partial"), (20.0, "mixed"), (0.0, "broken"))  # from this WRA (%) on
_VERDICTS: Mapping[str, Verdict] = {"works": "ok", "partial": "warn", "mixed": "warn", "broken": "fail"}
_DOMAIN_ADVICE = (
    "Try more and more varied training speakers, with and without student.spec_augment, training.colouring and "
    "training.speeds, --mode decoder-kd or ctc-kd with all teachers, and the closed lexicon."
)
_TRAINING_ADVICE = (
    "Try more epochs, another learning rate, --mode labels for comparison, and a pretrained encoder (`kdspeech "
    "pretrain`)."
)


def check_splits(case: Case) -> Finding:
    """WRA of every decode mode on a sample of the training set, the validation set and the held-out speaker."""
    if not case.has_checkpoint:
        return skipped(SPLIT_CHECK, "the run has not finished an epoch")
    splits: tuple[Split, ...] = get_args(Split)
    scores = {split: {mode: case.scores(split, mode) for mode in case.decode_modes} for split in splits}
    numbers: dict[str, Any] = {split: {m: _counts(s) for m, s in row.items()} for split, row in scores.items()}
    shown = [f"{split} {' / '.join(f'{s.wra:.0f}' for s in row.values())} %" for split, row in scores.items()]
    evidence = f"{', '.join(shown)} ({' / '.join(case.decode_modes)})"
    train, valid = _best_head(case, "train")[1], _best_head(case, "valid")[1]
    if train < _POOR:
        return Finding(
            SPLIT_CHECK,
            "fail" if train < _UNLEARNT else "warn",
            evidence,
            f"The student is right on {train:.0f} % of what it was trained on: it has not learnt its own training set.",
            _TRAINING_ADVICE,
            "training set not learnt",
            is_symptom=True,
            numbers=numbers,
        )
    if train - valid > _WIDE_GAP:
        return Finding(
            SPLIT_CHECK,
            "warn",
            evidence,
            f"{train - valid:.0f} points are lost between training and validation recordings of the same speakers.",
            "The student learns by heart: fewer epochs, training.speeds, SpecAugment, a smaller student.",
            "overfitting",
            numbers=numbers,
        )
    return Finding(SPLIT_CHECK, "ok", evidence, "The student has learnt its training set.", numbers=numbers)


def check_held_out(case: Case) -> Finding:
    """A domain shift, or a broken training? By the better of the two heads, with the spread of the seeds that exist."""
    if not case.has_checkpoint:
        return skipped(HELD_OUT_CHECK, "the run has not finished an epoch")
    head, held_out = _best_head(case, "held-out")
    included = case.scores("valid", head).wra
    band = next(name for bound, name in _BANDS if held_out >= bound)
    seeds = _seeds(case, head)
    teachers = _teachers(case)
    numbers: dict[str, Any] = {
        "head": head,
        "held_out_wra": round(held_out, 2),
        "included_wra": round(included, 2),
        "band": band,
        "seeds": seeds,
        **teachers,
    }
    evidence = f"held-out {case.held_out} {held_out:.0f} %, included speakers {included:.0f} % by {head}: {band}"
    if len(seeds) > 1:
        evidence += f"; {len(seeds)} seeds {min(seeds.values()):.0f}-{max(seeds.values()):.0f} %"
    if teachers:
        evidence += f"; teachers on {case.held_out} {teachers['mean_teacher_wra']:.0f} % in the mean"
    if band == "works":
        return Finding(HELD_OUT_CHECK, "ok", evidence, "The student understands a new speaker.", numbers=numbers)
    if included - held_out >= _DOMAIN_GAP and included >= _POOR:
        cause, advice = "domain shift", _DOMAIN_ADVICE
        meaning = f"The student understands the speakers it was trained on, and {case.held_out} less: a domain shift."
    elif included < _POOR:
        cause, advice = "weak training", _TRAINING_ADVICE
        meaning = (
            "The student does not understand the speakers it was trained on either: the training, not the speaker."
        )
    else:
        cause, advice = "a student in the middle", f"{_TRAINING_ADVICE} {_DOMAIN_ADVICE}"
        meaning = "The student does about as well on the new speaker as on those it knows."
    return Finding(
        HELD_OUT_CHECK, _VERDICTS[band], evidence, meaning, advice, cause, is_symptom=included < _POOR, numbers=numbers
    )


def _counts(scores: Scores) -> dict[str, Any]:
    return {"wra": round(scores.wra, 2), "correct": scores.correct, "utterances": scores.utterances}


def _best_head(case: Case, split: Split) -> tuple[Head, float]:
    """The head that is right more often, greedy, and its WRA (%); the closed lexicon helps, and is not counted."""
    heads = {head: case.scores(split, head).wra for head in case.heads}
    best = max(heads, key=lambda mode: heads[mode])
    return best, heads[best]


def _seeds(case: Case, head: DecodeMode) -> dict[str, float]:
    """Seed's folder -> held-out WRA (%), of all runs with the same recipe, speaker and mode that were evaluated."""
    paths = sorted(results_path(folder, head) for folder in case.run.path.parent.glob("seed*"))
    return {path.parent.name: round(EvaluationResult.load(path).scores.wra, 2) for path in paths if path.exists()}


def _teachers(case: Case) -> dict[str, float]:
    """What the run's teachers hear of the held-out speaker, where that was stored: a speaker may be hard for all."""
    teachers = list(case.teachers)
    if not teachers or not all(case.store.path(t, "hypotheses", case.held_out).exists() for t in teachers):
        return {}
    baselines = teacher_baselines(case.store, teachers, case.fold.test, ("ctc",), None)
    if "ctc" not in baselines:
        return {}
    found = baselines["ctc"]
    return {
        "mean_teacher_wra": round(found.mean_single.wra, 2),
        "best_teacher_wra": round(found.singles[found.best_single].wra, 2),
        "any_teacher_right": round(found.any_right.wra, 2),
    }
