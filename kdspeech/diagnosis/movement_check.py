"""Does each part move where it should train, and rest where it is frozen? Weights and BatchNorm statistics apart."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdspeech.choices import DECODER_TERMS
from kdspeech.diagnosis.case import Case
from kdspeech.diagnosis.finding import Finding, skipped
from kdspeech.model_folders.pretrained import resolve_student
from kdspeech.training.movement import Movement, PartMovement, movement_columns, read_movement

CHECK = "what trains"
_PARTS = ("encoder", "ctc_head", "decoder")
_HARDLY = 1e-4  # of a part's norm, over all epochs of the run


@dataclass(frozen=True)
class _StageMovement:
    """What a stage did to each part."""

    name: str
    epochs: int
    trains: tuple[str, ...]  # parts that it trains on a loss which reaches them
    moved: Mapping[str, PartMovement]


def check_movement(case: Case) -> Finding:
    """From the log of epochs; for a log without it, by the start rebuilt from the seed against the last checkpoint."""
    stages = _from_log(case) or _from_start(case)
    if not stages:
        return skipped(CHECK, "the run has not finished an epoch")
    numbers = {stage.name: {"epochs": stage.epochs, **movement_columns(stage.moved)} for stage in stages}
    evidence = "; ".join(_line(stage) for stage in stages)
    for stage in stages:
        resting = [name for name in stage.trains if stage.moved[name].weights == 0]
        if resting:
            return Finding(
                CHECK,
                "fail",
                evidence,
                f"Stage {stage.name} should train the {' and the '.join(resting)}, but not one weight has moved.",
                "Look at what the stage freezes and at what the optimiser was given: a part that is unfrozen after the "
                "optimiser was built, or after a resume, stays frozen without a word.",
                f"frozen {resting[0]}",
                numbers=numbers,
            )
        drifting = [name for name in stage.moved if name not in stage.trains and _moves(stage.moved[name])]
        if drifting:
            return Finding(
                CHECK,
                "fail",
                evidence,
                f"Stage {stage.name} freezes the {' and the '.join(drifting)}, and yet it moves: by its weights "
                f"{_percent([stage.moved[n].weights for n in drifting])}, by its statistics "
                f"{_percent([stage.moved[n].statistics or 0.0 for n in drifting])}.",
                "A frozen part must be put back into eval mode after every train(), or BatchNorm goes on learning.",
                f"{drifting[0]} moves while frozen",
                numbers=numbers,
            )
    hardly = [name for name in _PARTS if _trained_in(stages, name) and _total(stages, name) < _HARDLY]
    if hardly:
        meaning = f"The {' and the '.join(hardly)} hardly moved."
        advice = "Is the learning rate far too low?"
        return Finding(CHECK, "warn", evidence, meaning, advice, "parts that hardly move", numbers=numbers)
    return Finding(CHECK, "ok", evidence, "What should train moves, what is frozen rests.", numbers=numbers)


def _from_log(case: Case) -> list[_StageMovement]:
    """Summed over a stage's epochs."""
    if not case.run.metrics_path.exists():
        return []
    rows = [json.loads(line) for line in case.run.metrics_path.read_text(encoding="utf-8").splitlines()]
    stages = []
    for stage in case.config["stages"]:
        read = [read_movement(row, _PARTS) for row in rows if row["stage"] == stage["name"]]
        known = [moved for moved in read if moved is not None]
        if known:
            total = {name: sum((m[name] for m in known[1:]), known[0][name]) for name in _PARTS}
            stages.append(_StageMovement(stage["name"], len(known), _reached(stage), total))
    return stages


def _from_start(case: Case) -> list[_StageMovement]:
    """All stages as one; frozen is what none of them trains."""
    if not case.has_checkpoint:
        return []
    start = resolve_student(case.workspace, case.recipe.student)
    fresh = case.students.build_student(start, case.workspace.vocabulary, case.config["seed"])
    trains = {name for stage in case.config["stages"] for name in _reached(stage)}
    name = "all, against the start rebuilt from the seed"
    return [_StageMovement(name, 0, tuple(p for p in _PARTS if p in trains), Movement(fresh).of(case.student))]


def _reached(stage: Mapping[str, Any]) -> tuple[str, ...]:
    """The parts that a stage trains and a loss of it reaches: the encoder by any, each head by its own."""
    terms = [term for term, weight in stage["losses"].items() if weight > 0]
    by_decoder = any(term in DECODER_TERMS for term in terms)
    by_ctc = any(term not in DECODER_TERMS for term in terms)
    reached = {"encoder": bool(terms), "ctc_head": by_ctc, "decoder": by_decoder}
    return tuple(name for name in stage["train"] if reached[name])


def _moves(part: PartMovement) -> bool:
    return part.weights > 0 or (part.statistics or 0.0) > 0


def _trained_in(stages: Sequence[_StageMovement], name: str) -> bool:
    return any(name in stage.trains for stage in stages)


def _total(stages: Sequence[_StageMovement], name: str) -> float:
    return sum(stage.moved[name].weights for stage in stages)


def _line(stage: _StageMovement) -> str:
    parts = [f"{name} {_percent([stage.moved[name].weights])}" for name in _PARTS]
    epochs = f" in {stage.epochs} epoch{'s'[: stage.epochs > 1]}" if stage.epochs else ""
    return f"{stage.name}: {', '.join(parts)}{epochs}"


def _percent(values: Sequence[float]) -> str:
    return ", ".join("0" if value == 0 else f"{100 * value:.3g} %" for value in values)
