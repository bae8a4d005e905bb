"""Who is compared on a page: students, and what a new speaker gets without one."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from kdspeech.combination.scored import combine_all, score_systems, texts_of
from kdspeech.combination.vote import vote
from kdspeech.comparison.comparison import Estimate
from kdspeech.dumps.store import LogProbStore, open_store
from kdspeech.errors import StoreError
from kdspeech.evaluation.baselines import teacher_answers
from kdspeech.evaluation.zero_shot import kept_zero_shot, starting_checkpoint
from kdspeech.run_report.subject import Subject
from kdspeech.scoring.bootstrap import bootstrap_intervals, macro, observed
from kdspeech.scoring.normalise import normalise
from kdspeech.scoring.score import Scores, score_texts
from kdspeech.scoring.units import SpeakerUnits, group_units
from kdspeech.workspace import Workspace

STUDENT, BASELINE, ORACLE = 0, 1, 2
QUICK = 2_000  # replicates of the bootstrap where there are many bars or points


@dataclass(frozen=True)
class Contender:
    """One system under one decode mode, on every speaker that it was tested on."""

    name: str
    kind: int  # STUDENT, BASELINE or ORACLE
    decoding: str
    shares: Mapping[str, float]  # utterance id -> 1 right, 0 wrong; between them the mean over seeds or teachers
    scores: Scores


@dataclass(frozen=True)
class Field:
    """All contenders, and what is known of the utterances."""

    contenders: tuple[Contender, ...]
    speaker_of: Mapping[str, str]  # utterance id -> speaker
    production_of: Mapping[str, str]  # utterance id -> production, where it is known
    band_of: Mapping[str, str]  # utterance id -> band, where there is one

    @cached_property
    def decodings(self) -> tuple[str, ...]:
        """Of the students, in the order of the page."""
        return tuple(dict.fromkeys(c.decoding for c in self.contenders if c.kind == STUDENT))

    def of(self, decoding: str) -> list[Contender]:
        """Those of one decode mode."""
        return [contender for contender in self.contenders if contender.decoding == decoding]

    def units(self, contenders: Sequence[Contender], utt_ids: Iterable[str]) -> list[SpeakerUnits]:
        """Productions of each speaker, a column for each contender."""
        ids = list(utt_ids)
        right = np.array([[contender.shares[i] for contender in contenders] for i in ids])
        return group_units([self.speaker_of[i] for i in ids], [self.production_of.get(i, "") for i in ids], right)

    def wra(self, contender: Contender, utt_ids: Iterable[str], num_replicates: int = QUICK) -> Estimate:
        """% right, each speaker counting the same, with its interval."""
        return estimate(self.units([contender], utt_ids), num_replicates)


def estimate(units: Sequence[SpeakerUnits], num_replicates: int = QUICK) -> Estimate:
    """The macro mean of the first column, %, with its interval: over speakers and productions, as far as there are."""
    (interval,) = bootstrap_intervals(units, [macro(1)], num_replicates)
    return Estimate(float(macro(1)(observed(units))[0]), interval)


def make_field(workspace: Workspace, subjects: Sequence[Subject]) -> tuple[Field, list[str]]:
    """Pools runs of one system over speakers and seeds, and asks the store for the teachers.

    Returns:
        The field, and why baselines are missing, a line each.
    """
    results = [(s, name, result) for s in subjects for name, result in s.results.items()]
    spoken = {utt_id: u for subject in subjects for utt_id, u in subject.utterances.items()}
    baselines, reasons = _baselines(workspace, subjects)
    field = Field(
        contenders=(*_students(subjects), *baselines),
        speaker_of={u.utt_id: u.speaker for _, _, result in results for u in result.utterances}
        | {utt_id: u.speaker for utt_id, u in spoken.items()},
        production_of={utt_id: u.production_id for utt_id, u in spoken.items()},
        band_of={utt_id: u.band for utt_id, u in spoken.items() if u.band},
    )
    return field, reasons


def _students(subjects: Sequence[Subject]) -> list[Contender]:
    keys = dict.fromkeys((s.system, decoding) for s in subjects for decoding in s.results)
    decodings = list(dict.fromkeys(decoding for _, decoding in keys))
    contenders = []
    for system, decoding in sorted(keys, key=lambda key: decodings.index(key[1])):
        results = [s.results[decoding] for s in subjects if s.system == system and decoding in s.results]
        answers: dict[str, list[bool]] = {}
        for result in results:
            for u in result.utterances:
                answers.setdefault(u.utt_id, []).append(u.correct)
        shares = {utt_id: sum(right) / len(right) for utt_id, right in answers.items()}
        contenders.append(Contender(system, STUDENT, decoding, shares, Scores.total(r.scores for r in results)))
    return contenders


def _baselines(workspace: Workspace, subjects: Sequence[Subject]) -> tuple[list[Contender], list[str]]:
    """Of every held-out speaker: the encoder as it came, and the teachers that never heard this speaker."""
    store = open_store(workspace)
    parts: dict[tuple[str, str], list[Contender]] = {}
    reasons = []
    for held_out in dict.fromkeys(s.held_out for s in subjects if s.utterances):
        starts = {starting_checkpoint(workspace, s.config) for s in subjects if s.held_out == held_out}
        found = _zero_shot(workspace, held_out, starts)
        try:
            found += _of_teachers(workspace, store, held_out)
        except StoreError as error:
            reasons.append(f"Baselines of {held_out}: {error}")
        for contender in found:
            parts.setdefault((contender.name, contender.decoding), []).append(contender)
    return [_joined(found) for found in parts.values()], reasons


def _zero_shot(workspace: Workspace, held_out: str, starts: Collection[str | None]) -> list[Contender]:
    """The encoder from which a student started, before any training, where `loso` or `pretrain` has decoded it."""
    references = {u.utt_id: u.text for u in workspace.utterances if u.speaker == held_out}
    spoken = {utt_id: normalise(text) for utt_id, text in references.items()}
    return [
        Contender("zero-shot encoder", BASELINE, mode, _right(spoken, texts), score_texts(references, texts))
        for mode, texts in kept_zero_shot(workspace, held_out, starts).items()
    ]


def _of_teachers(workspace: Workspace, store: LogProbStore, held_out: str) -> list[Contender]:
    """Single teachers, and all of them together."""
    utterances = [u for u in workspace.utterances if u.speaker == held_out]
    references = {u.utt_id: u.text for u in utterances}
    spoken = {utt_id: normalise(text) for utt_id, text in references.items()}
    teachers = [name for name in workspace.speakers if name != held_out]
    lexicon = workspace.lexicon if workspace.has_lexicon else None
    contenders = []
    for mode in workspace.table_modes:
        answers = teacher_answers(store, teachers, utterances, mode, lexicon)
        if not answers:
            continue
        scores = score_systems(references, answers)
        singles = {name: _right(spoken, texts_of(said)) for name, said in answers.items()}
        voted = combine_all(answers, vote)
        rows = list(singles.values())
        mean = {i: sum(row[i] for row in rows) / len(rows) for i in references}
        anyone = {i: max(row[i] for row in rows) for i in references}
        contenders += [
            Contender("mean single teacher", BASELINE, mode, mean, scores.mean_single),
            Contender("teacher vote", BASELINE, mode, _right(spoken, texts_of(voted)), scores.vote),
            Contender(
                "best single teacher (oracle)",
                ORACLE,
                mode,
                singles[scores.best_single],
                scores.singles[scores.best_single],
            ),
            Contender("any teacher right (oracle)", ORACLE, mode, anyone, scores.any_right),
        ]
    return contenders


def _right(spoken: Mapping[str, str], texts: Mapping[str, str]) -> dict[str, float]:
    return {utt_id: float(normalise(texts[utt_id]) == text) for utt_id, text in spoken.items()}


def _joined(parts: Sequence[Contender]) -> Contender:
    first = parts[0]
    shares = {utt_id: share for part in parts for utt_id, share in part.shares.items()}
    return Contender(first.name, first.kind, first.decoding, shares, Scores.total(part.scores for part in parts))
