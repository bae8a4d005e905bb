"""`dump_teachers`: every named teacher scores every utterance of the named speakers, once and for all folds.

What was stored is then read back and decoded: a table of teacher by speaker, in which a teacher that fails on its own
speaker stands out before anything is trained on it.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from kdspeech import console
from kdspeech.audio import load_audio
from kdspeech.choices import KINDS, Kind
from kdspeech.config import DumpConfig, Recipe
from kdspeech.dumps.dump_matrix import report_matrix
from kdspeech.dumps.row_checks import check_scores, check_teacher
from kdspeech.dumps.shard import PER_TOKEN_KINDS, Row, ShardHeader, ShardKey
from kdspeech.dumps.store import LogProbStore
from kdspeech.dumps.word_scores import WordPosteriors
from kdspeech.errors import ConfigError
from kdspeech.fanout import default_jobs, run_jobs
from kdspeech.lexicon import Lexicon
from kdspeech.model_folders.teacher_folder import read_teacher_card
from kdspeech.protocols import Teacher, TeacherCard, TeacherLoader
from kdspeech.utterance import Utterance
from kdspeech.workspace import Workspace

Unit = TypeVar("Unit")

_BATCH = 16  # utterances a teacher scores in one call


@dataclass(frozen=True)
class _Unit:
    """The smallest piece of work: one teacher, one speaker's recordings, the kinds that are still to be stored."""

    teacher_id: str
    speaker: str
    kinds: tuple[Kind, ...]


def dump_teachers(
    workspace: Workspace,
    speakers: Sequence[str],
    *,
    recipe: Recipe,
    teachers: TeacherLoader,
    on: Sequence[str] | None = None,
    kinds: Sequence[Kind] | None = None,
    jobs: int | None = None,
    force: bool = False,
) -> None:
    """Stores what teachers say of recordings, then decodes what it stored and prints the table.

    Shards that are there and were made of the same checkpoint, recordings and settings are kept.

    Args:
        speakers: whose teachers score; `["all"]` for all.
        on: whose recordings are scored, all splits; by default those of `speakers`.
        kinds: by default the recipe's, without `word` where the corpus has no lexicon.
        jobs: processes side by side; by default one a core.
        force: scores again what is there.

    Raises:
        KdspeechError: an unknown speaker or kind, a missing or foreign teacher, unreadable audio, or a teacher whose
            output breaks its contract; the message names the teacher and the utterance.
    """
    names = workspace.check_speakers(list(speakers))
    audio_speakers = workspace.check_speakers(list(on)) if on is not None else names
    wanted = dump_kinds(workspace, recipe.dump, kinds)
    cards = {name: read_teacher_card(workspace.teacher_dir(name)) for name in names}
    for card in cards.values():
        if set(wanted) & set(PER_TOKEN_KINDS):
            workspace.vocabulary.check_same(card.vocabulary_sha256, f"teacher {card.teacher_id}")
    units = _units_to_do(workspace, recipe.dump, cards, audio_speakers, wanted, force)
    kept = len(cards) * len(audio_speakers) * len(wanted) - sum(len(unit.kinds) for unit in units)
    if kept:
        console.remark(f"{kept} shards are already stored; --force scores them again.")
    if units:
        _run(workspace, recipe.dump, teachers, units, jobs or default_jobs(len(units)))
    report_matrix(workspace, cards, audio_speakers, wanted, recipe.dump.min_own_wra)


def dump_kinds(workspace: Workspace, config: DumpConfig, kinds: Sequence[Kind] | None = None) -> tuple[Kind, ...]:
    """The kinds to store: those asked for, or the recipe's as far as the corpus allows.

    Raises:
        ConfigError: an unknown kind.
        KdspeechError: `word` was asked for and the corpus has no lexicon.
    """
    if kinds is None:
        return tuple(kind for kind in config.kinds if kind != "word" or workspace.has_lexicon)
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise ConfigError(f"unknown kind {', '.join(map(repr, unknown))}; there are {', '.join(KINDS)}.")
    if "word" in kinds:
        _ = workspace.lexicon  # says what is missing
    return tuple(dict.fromkeys(kinds))


def _units_to_do(
    workspace: Workspace,
    config: DumpConfig,
    cards: dict[str, TeacherCard],
    speakers: Sequence[str],
    kinds: Sequence[Kind],
    force: bool,
) -> list[_Unit]:
    store, lexicon = LogProbStore(workspace.dumps_dir), _lexicon(workspace)
    units = []
    for card in cards.values():
        for speaker in speakers:
            keys = [ShardKey.of(card, kind, _utterances(workspace, speaker), config, lexicon) for kind in kinds]
            missing = tuple(key.kind for key in keys if force or not store.has(key))
            if missing:
                units.append(_Unit(card.teacher_id, speaker, missing))
    return units


def _run(workspace: Workspace, config: DumpConfig, teachers: TeacherLoader, units: Sequence[_Unit], jobs: int) -> None:
    """Scores all units, in this process or in several, each with an equal share of the audio."""
    costs = {speaker: len(_utterances(workspace, speaker)) for speaker in {unit.speaker for unit in units}}
    total, title = sum(costs[unit.speaker] for unit in units), "Scoring utterances"
    if jobs == 1:
        with console.progress(title, total) as bar:
            _score_units(workspace, config, teachers, units, bar)
        return
    shares = balanced_shares(units, [costs[unit.speaker] for unit in units], jobs)
    store, started = LogProbStore(workspace.dumps_dir), time.time()

    def scored() -> int:
        return sum(costs[u.speaker] for u in units if all(_written_since(p, started) for p in _paths(store, u)))

    run_jobs(
        _score_units,
        [(Workspace(workspace.root), config, teachers, share) for share in shares],
        title,
        workspace.root / "logs" / "dump-teachers",
        jobs,
        counter=(total, scored),
    )


def balanced_shares(units: Sequence[Unit], costs: Sequence[float], jobs: int) -> list[list[Unit]]:
    """Cuts a list of units into at most `jobs` runs of about equal cost.

    Runs, not a deal: neighbouring units share a teacher, so a model is loaded once, or twice where a cut falls on it.
    """
    target = sum(costs) / jobs
    shares: list[list[Unit]] = [[] for _ in range(jobs)]
    before = 0.0
    for unit, cost in zip(units, costs, strict=True):
        shares[min(int((before + cost / 2) / target), jobs - 1)].append(unit)
        before += cost
    return [share for share in shares if share]


def _score_units(
    workspace: Workspace,
    config: DumpConfig,
    teachers: TeacherLoader,
    units: Sequence[_Unit],
    bar: console.Bar | None = None,
) -> None:
    teacher: Teacher | None = None
    for unit in units:
        if teacher is None or teacher.card.teacher_id != unit.teacher_id:
            teacher = teachers.load_teacher(workspace.teacher_dir(unit.teacher_id))
        _score_unit(workspace, config, teacher, unit, bar)


def _score_unit(
    workspace: Workspace, config: DumpConfig, teacher: Teacher, unit: _Unit, bar: console.Bar | None
) -> None:
    """Scores one speaker's recordings and writes their shards, all of them after the last utterance."""
    utterances, lexicon = _utterances(workspace, unit.speaker), _lexicon(workspace)
    check_teacher(teacher, unit.kinds, [utterance.text for utterance in utterances])
    words = WordPosteriors(lexicon, teacher.vocabulary) if "word" in unit.kinds and lexicon else None
    store = LogProbStore(workspace.dumps_dir)
    writers = {}
    for kind in unit.kinds:
        key = ShardKey.of(teacher.card, kind, utterances, config, lexicon)
        writers[kind] = store.writer(_header(key, teacher, utterances, lexicon))
    for start in range(0, len(utterances), _BATCH):
        batch = utterances[start : start + _BATCH]
        for utterance, rows in zip(batch, _score_batch(teacher, batch, unit.kinds, words), strict=True):
            for kind, writer in writers.items():
                writer.add(utterance.utt_id, rows[kind])
        if bar is not None:
            bar.advance(len(batch))
    for writer in writers.values():
        writer.write()


def _score_batch(
    teacher: Teacher, utterances: Sequence[Utterance], kinds: Iterable[Kind], words: WordPosteriors | None
) -> list[dict[Kind, Row]]:
    waveforms = [load_audio(utterance.audio_filepath) for utterance in utterances]
    token_ids = [teacher.vocabulary.encode(utterance.text) for utterance in utterances]
    scores = teacher.score(waveforms, token_ids)
    check_scores(teacher, utterances, waveforms, token_ids, scores, kinds)
    rows: list[dict[Kind, Row]] = []
    for one in scores:
        given: dict[Kind, Row | None] = {
            "ctc": one.ctc_log_probs,
            "decoder": one.decoder_log_probs,
            "hypotheses": one.hypotheses,
        }
        rows.append({kind: row for kind, row in given.items() if row is not None})
    if words is not None:
        posteriors = words([one.ctc_log_probs for one in scores if one.ctc_log_probs is not None])
        for row, posterior in zip(rows, posteriors, strict=True):
            row["word"] = posterior
    return rows


def _header(key: ShardKey, teacher: Teacher, utterances: Sequence[Utterance], lexicon: Lexicon | None) -> ShardHeader:
    widths: dict[Kind, int | None] = {
        "ctc": teacher.vocabulary.num_columns,
        "decoder": teacher.vocabulary.num_columns,
        "word": len(lexicon.words) if lexicon else None,
        "hypotheses": None,
    }
    return ShardHeader(
        key=key,
        teacher_speakers=teacher.card.speakers,
        num_columns=widths[key.kind],
        blank_id=teacher.vocabulary.blank_id if key.kind in PER_TOKEN_KINDS else None,
        frame_shift_s=teacher.frame_shift_s,
        utterance_ids=tuple(utterance.utt_id for utterance in utterances),
    )


def _utterances(workspace: Workspace, speaker: str) -> list[Utterance]:
    return [utterance for utterance in workspace.utterances if utterance.speaker == speaker]


def _lexicon(workspace: Workspace) -> Lexicon | None:
    return workspace.lexicon if workspace.has_lexicon else None


def _paths(store: LogProbStore, unit: _Unit) -> list[Path]:
    return [store.path(unit.teacher_id, kind, unit.speaker) for kind in unit.kinds]


def _written_since(path: Path, started: float) -> bool:
    return path.exists() and path.stat().st_mtime >= started
