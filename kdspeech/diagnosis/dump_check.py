"""Do the teachers' stored rows say what was said, each at its own utterance?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdspeech import console
from kdspeech.choices import Kind
from kdspeech.diagnosis.case import Case, spread
from kdspeech.diagnosis.finding import Finding, Verdict, skipped
from kdspeech.diagnosis.pairing import Pairing, lengths_related, pair
from kdspeech.dumps.readback import decode_rows
from kdspeech.dumps.shard import PER_TOKEN_KINDS, Row
from kdspeech.scoring.score import normalise, score_texts
from kdspeech.utterance import Utterance

CHECK = "teacher dumps"
SHUFFLED = "shuffled dump rows"
SHUFFLED_ADVICE = (
    "Dump again with --force: rows are joined by utterance id, never by position or batch number. Then train again."
)
_OTHERS = 100  # utterances read of each other speaker
_SAMPLES = 4


@dataclass(frozen=True)
class _ShardReading:
    """One teacher's rows of one speaker, one kind."""

    teacher: str
    speaker: str
    kind: Kind
    wra: float  # %, of the utterances that the teacher was not trained on
    unheard: int
    pairing: Pairing  # of all that was read
    lengths_related: bool | None
    samples: tuple[str, ...]

    @property
    def own(self) -> bool:
        return self.teacher == self.speaker

    @property
    def tells_own(self) -> bool:
        """Whether it tells how well the teacher understands its own speaker: on what it was not trained on."""
        return self.own and self.unheard > 0

    @property
    def is_shuffled(self) -> bool:
        """By their lengths and texts; by the texts alone only where the teacher should know the speaker."""
        if self.lengths_related is not None:
            return not self.lengths_related and self.pairing.is_by_chance
        return self.own and self.pairing.is_random


def check_dumps(case: Case) -> Finding:
    """Each teacher's rows decoded: on its own speaker's unheard utterances, and on other speakers."""
    if not case.teachers:
        return skipped(CHECK, "the run learns from labels alone")
    readings = _read_all(case)
    if not readings:
        return skipped(CHECK, f"{case.store.root} holds no rows of the kinds {' and '.join(PER_TOKEN_KINDS)}")
    numbers = _numbers(readings)
    evidence = _line(readings)
    shuffled = [r for r in readings if r.is_shuffled]
    if shuffled:
        worst = max(shuffled, key=lambda r: (r.own, r.pairing.elsewhere))
        return Finding(
            CHECK,
            "fail",
            f"teacher {worst.teacher} on {worst.speaker} ({worst.kind}): {worst.pairing.right} of "
            f"{worst.pairing.utterances} right, chance {worst.pairing.chance:.0f}; dealt out otherwise "
            f"{worst.pairing.elsewhere} would be",
            f"Rows belong to other utterances in {len(shuffled)} of {len(readings)} shards: they say the right words "
            "in the wrong places.",
            SHUFFLED_ADVICE,
            SHUFFLED,
            numbers=numbers,
            samples=worst.samples,
        )
    own = [r for r in readings if r.tells_own]
    least = case.recipe.dump.min_own_wra
    weak = [r for r in own if r.wra < least]
    if not weak:
        meaning = "Every teacher understands its own speaker, and its rows stand at their utterances."
        if untold := sorted({r.teacher for r in readings} - {r.teacher for r in own}):
            meaning = (
                "Rows stand at their utterances. Not known whether these teachers understand their own speaker, as "
                f"they were trained on all of its recordings, or have no rows of it: {', '.join(untold)}."
            )
        return Finding(CHECK, "ok", evidence, meaning, numbers=numbers)
    sound = {r.teacher for r in own} - {r.teacher for r in weak}
    half = {r.teacher for r in own if r.wra >= least} - sound
    broken = {r.teacher for r in own} - sound - half
    verdict: Verdict = "warn" if sound or half else "fail"
    found = [f"{len(broken)} do not understand their OWN speaker: {', '.join(sorted(broken))}"] if broken else []
    found += [f"{len(half)} do by one head only: {', '.join(sorted(half))}"] if half else []
    return Finding(
        CHECK,
        verdict,
        evidence,
        f"Of the teachers, {'; '.join(found)}.",
        "Look at their training, leave them out with --teachers, or learn from the head that is sound (--mode).",
        "teachers that do not decode",
        is_symptom=True,
        numbers=numbers,
        samples=tuple(sample for r in weak for sample in r.samples)[:_SAMPLES],
    )


def _line(readings: Sequence[_ShardReading]) -> str:
    kinds = dict.fromkeys(r.kind for r in readings)
    own = [f"{_range([r.wra for r in readings if r.tells_own and r.kind == kind])} {kind}" for kind in kinds]
    others = [f"{_range([r.wra for r in readings if not r.own and r.kind == kind])} {kind}" for kind in kinds]
    return f"own speaker {', '.join(own)}; others {', '.join(others)}"


def _read_all(case: Case) -> list[_ShardReading]:
    by_speaker: dict[str, list[Utterance]] = {}
    for utterance in (u for u in case.workspace.utterances if u.speaker != case.held_out):
        by_speaker.setdefault(utterance.speaker, []).append(utterance)
    places = [
        (teacher, speaker, kind)
        for kind in PER_TOKEN_KINDS
        for teacher in case.teachers
        for speaker in by_speaker
        if case.store.path(teacher, kind, speaker).exists()
    ]
    return [
        _read(case, teacher, kind, by_speaker[speaker])
        for teacher, speaker, kind in console.track(places, "Reading the dumps")
    ]


def _read(case: Case, teacher: str, kind: Kind, utterances: Sequence[Utterance]) -> _ShardReading:
    speaker = utterances[0].speaker
    chosen = list(utterances) if speaker == teacher else spread(utterances, _OTHERS)
    vocabulary = case.workspace.vocabulary
    rows = case.store.read(teacher, kind, chosen, checkpoint_sha256=case.teachers[teacher], vocabulary=vocabulary)
    texts = decode_rows(kind, rows, vocabulary)
    unheard = [u for u in chosen if speaker != teacher or u.split != "train"]
    wrong = [u for u in chosen if normalise(texts[u.utt_id]) != normalise(u.text)]
    return _ShardReading(
        teacher,
        speaker,
        kind,
        score_texts({u.utt_id: u.text for u in unheard}, {u.utt_id: texts[u.utt_id] for u in unheard}).wra,
        len(unheard),
        pair({u.utt_id: u.text for u in chosen}, texts),
        _lengths(kind, rows, chosen, case),
        tuple(f"{u.utt_id}: {u.text!r}, the row says {texts[u.utt_id]!r}" for u in spread(wrong, _SAMPLES)),
    )


def _lengths(kind: Kind, rows: Mapping[str, Row], utterances: Sequence[Utterance], case: Case) -> bool | None:
    """Frames follow the durations; positions are the reference's tokens and the end of sentence, exactly."""
    counts = [len(rows[u.utt_id]) for u in utterances]
    if kind == "ctc":
        return lengths_related(counts, [u.duration for u in utterances])
    expected = [len(case.workspace.vocabulary.encode(u.text)) + 1 for u in utterances]
    return None if counts == expected or sorted(counts) != sorted(expected) else False


def _range(values: Sequence[float]) -> str:
    if not values:
        return "-"
    lowest, highest = f"{min(values):.0f}", f"{max(values):.0f}"
    return f"{lowest} %" if lowest == highest else f"{lowest}-{highest} %"


def _numbers(readings: Sequence[_ShardReading]) -> dict[str, Any]:
    """Kind -> teacher -> speaker -> WRA and counts."""
    numbers: dict[str, Any] = {}
    for r in readings:
        numbers.setdefault(r.kind, {}).setdefault(r.teacher, {})[r.speaker] = {
            "wra": round(r.wra, 2) if r.unheard else None,
            "unheard_utterances": r.unheard,
            "read": r.pairing.utterances,
            "right": r.pairing.right,
            "right_by_chance": round(r.pairing.chance, 2),
            "right_if_dealt_out_otherwise": r.pairing.elsewhere,
            "lengths_fit": r.lengths_related,
        }
    return numbers
