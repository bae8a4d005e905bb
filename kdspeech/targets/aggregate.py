"""`aggregate`: the teachers' stored distributions become one target per training and validation utterance of a fold.

Nothing of the held-out speaker is opened: neither the shards of its recordings nor those of its teacher. Before anybody
trains on the targets they are decoded themselves, which is the ceiling of what the teachers can teach.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from kdspeech import console
from kdspeech.config import DumpConfig, Recipe, TargetConfig
from kdspeech.dumps.dump_teachers import dump_kinds
from kdspeech.errors import ConfigError
from kdspeech.files import read_json, sha256_of_text, write_json
from kdspeech.folds import Provenance, make_fold
from kdspeech.model_folders.teacher_folder import read_teacher_card, teachers_of
from kdspeech.targets.calibrating import Temperatures, fit_teachers
from kdspeech.targets.ceiling import Ceiling, measure_ceiling, print_ceiling
from kdspeech.targets.label_targets import IndexTargets, LabelTargets
from kdspeech.targets.pooled_targets import PooledTargets, SwitchedTargets
from kdspeech.targets.pooling import FRAME_MAP_VERSION
from kdspeech.targets.speaking import Turns, check_one_vocabulary
from kdspeech.targets.target_set import Target, TargetSet
from kdspeech.targets.teacher_rows import TeacherRows
from kdspeech.workspace import Workspace


def aggregate(
    workspace: Workspace, held_out: str, recipe: Recipe, teachers: Sequence[str] | None = None, force: bool = False
) -> TargetSet:
    """Pools a fold's teachers, keeps the targets in the workspace and prints the teachers' ceiling.

    Targets made before of the same shards by the same settings are taken as they are.

    Args:
        teachers: their ids; by default all in the workspace but the held-out speaker's.
        force: pools again.

    Raises:
        KdspeechError: an unknown speaker; too few teachers; a shard missing, damaged or of another checkpoint or
            vocabulary; teachers that disagree on the number of frames; a leak of the held-out speaker.
    """
    sources = _open_fold(workspace, held_out, recipe, teachers_of(workspace) if teachers is None else teachers)
    temperatures = _calibrated(sources) if recipe.targets.calibrate else None
    pooled = PooledTargets(sources, recipe.targets, temperatures)
    details = _details(sources, recipe, temperatures)
    path = targets_path(workspace, recipe.name, held_out, details)
    ceiling_path = path.with_suffix(".ceiling.json")
    if path.exists() and ceiling_path.exists() and not force:  # the ceiling is written last
        console.remark(f"targets are already in {path}; --force pools again.")
        targets = TargetSet.load(path)
        print_ceiling(Ceiling.from_dict(read_json(ceiling_path)))
        return targets
    TargetSet(
        _over(pooled, sources, recipe.targets, temperatures),
        frame_shift_s=sources.frame_shifts[sources.fold.teachers[0]],
        temperature=recipe.targets.temperature,
        provenance=Provenance(f"targets {path}", "statistic", sources.speakers_heard),
        details=details,
    ).save(path, recipe.dump.top_k, recipe.dump.dtype)
    targets = TargetSet.load(path)
    words = pooled.words if "word" in sources.kinds else None
    ceiling = measure_ceiling(workspace, sources.fold, targets, sources.hypotheses, words)
    write_json(ceiling_path, ceiling.to_dict())
    print_ceiling(ceiling)
    return targets


def switched_targets(targets: TargetSet, workspace: Workspace, recipe: Recipe, turns: Turns) -> TargetSet:
    """The targets of a fold with one teacher speaking at a time, read from the store as they are looked up.

    Args:
        targets: of `aggregate` by the same recipe.
        turns: whose turn it is; its epochs are started by whoever learns from the targets.
    """
    sources = _open_fold(workspace, targets.details["held_out"], recipe, list(targets.details["teachers"]))
    pooled = PooledTargets(sources, recipe.targets, targets.details.get("temperatures"))
    return TargetSet(
        SwitchedTargets(pooled, turns),
        frame_shift_s=targets.frame_shift_s,
        temperature=targets.temperature,
        provenance=targets.provenance,
        details=targets.details,
    )


def targets_path(workspace: Workspace, recipe_name: str, held_out: str, details: Mapping[str, Any]) -> Path:
    """Where the targets of these details are kept; a run has theirs in its `targets.json`."""
    name = sha256_of_text(json.dumps(details, sort_keys=True))[:12]
    return workspace.targets_dir / recipe_name / held_out / f"{name}.safetensors"


def dump_settings(config: DumpConfig) -> dict[str, Any]:
    """How targets are stored, as their details say it."""
    return {"top_k": config.top_k, "dtype": config.dtype}


def _open_fold(workspace: Workspace, held_out: str, recipe: Recipe, teachers: Sequence[str]) -> TeacherRows:
    """The fold's part of the store, after the proof that the held-out speaker is in none of it."""
    workspace.check_speakers([held_out])
    fold = make_fold(workspace.utterances, held_out, teachers)
    if len(fold.teachers) < recipe.targets.min_teachers:
        raise ConfigError(
            f"fold {held_out} has {len(fold.teachers)} teachers ({', '.join(fold.teachers) or 'none'}), "
            f"targets.min_teachers asks for {recipe.targets.min_teachers}. Train more teachers, or lower it."
        )
    cards = tuple(read_teacher_card(workspace.teacher_dir(teacher)) for teacher in fold.teachers)
    check_one_vocabulary(cards, workspace.vocabulary)
    fold.validate(
        [
            Provenance(str(workspace.vocabulary_dir), "vocabulary", workspace.corpus.vocabulary_speakers),
            *(Provenance(card.teacher_id, "teacher", card.speakers) for card in cards),
        ]
    )
    return TeacherRows(workspace, fold, cards, dump_kinds(workspace, recipe.dump))


def _calibrated(sources: TeacherRows) -> Temperatures:
    lexicon = sources.workspace.lexicon if "word" in sources.kinds else None
    return fit_teachers(sources.cards, sources.fold.valid, sources.rows, sources.workspace.vocabulary, lexicon)


def _over(
    pooled: PooledTargets, sources: TeacherRows, config: TargetConfig, temperatures: Temperatures | None
) -> Mapping[str, Target]:
    """The targets of single recordings, or pooled further over recordings of their label."""
    utterances = list(sources.utterances.values())
    if config.over == "label":
        return LabelTargets(pooled, utterances, config.pooling)
    if config.over == "index":
        plain = config.model_copy(update={"temperature": 1.0, "blank": "mask"})
        return IndexTargets(pooled, PooledTargets(sources, plain, temperatures), utterances, config)
    return pooled


def _details(sources: TeacherRows, recipe: Recipe, temperatures: Temperatures | None) -> dict[str, Any]:
    """Everything that decides the targets; equal details, equal targets."""
    config = recipe.targets
    knows_speakers = config.who != "all" or config.own_share is not None or config.calibrate
    return {
        **({"speakers": {card.teacher_id: card.speakers for card in sources.cards}} if knows_speakers else {}),
        **({} if temperatures is None else {"temperatures": temperatures}),
        **({"frame_map": FRAME_MAP_VERSION} if len(set(sources.frame_shifts.values())) > 1 else {}),
        "held_out": sources.fold.held_out,
        "teachers": {card.teacher_id: card.checkpoint_sha256 for card in sources.cards},
        "settings": config.model_dump(),
        "dump": dump_settings(recipe.dump),
        "inputs": sources.payloads,
        "utterances_sha256": sha256_of_text("\n".join(sources.utterances)),
    }
