"""Do texts survive the vocabulary, and are they scored as texts? Ids moved by one once made 80 % look like 0."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np

from kdspeech.choices import DECODE_MODES, DecodeMode, Kind
from kdspeech.diagnosis.case import Case, spread
from kdspeech.diagnosis.finding import Finding
from kdspeech.diagnosis.pairing import SHIFTS, helpful_shift, shift_columns, shift_text
from kdspeech.dumps.readback import decode_rows
from kdspeech.dumps.shard import PER_TOKEN_KINDS, Row
from kdspeech.evaluation.evaluate import results_path
from kdspeech.evaluation.results import EvaluationResult
from kdspeech.files import read_json, sha256_of_file
from kdspeech.scoring.score import normalise, score_texts
from kdspeech.vocabulary import Vocabulary

CHECK = "vocabulary"
_SHIFTED = "shifted vocabulary"
_ROWS = 100  # rows of a teacher that are tried with shifted columns
_SHIFTED_SHARE = 0.3  # of stored hypotheses that a shift explains
_SAMPLES = 4
_TOLERANCE = 0.01  # points of WRA between a stored score and the one its texts give


@dataclass
class _Fault:
    cause: str
    meaning: str
    advice: str


@dataclass
class _Collected:
    """Evidence as it comes in; the first fault counts."""

    numbers: dict[str, Any] = field(default_factory=dict)
    samples: list[str] = field(default_factory=list)
    faults: list[_Fault] = field(default_factory=list)


def check_vocabulary(case: Case) -> Finding:
    """Round trip, one vocabulary and one manifest everywhere, scores that follow from texts, no ids moved by one."""
    found = _Collected()
    for look in (_round_trip, _same_everywhere, _stored_results, _student_shift, _teacher_shift):
        look(case, found)
    texts = found.numbers["texts that survive"]
    looked_at = found.numbers.get("places searched for shifted ids", 0)
    evidence = f"{texts} texts survive decode(encode(text)); {looked_at} places searched for ids moved by one"
    if not found.faults:
        return Finding(CHECK, "ok", evidence, "Texts survive, and ids mean the same everywhere.", numbers=found.numbers)
    first = found.faults[0]
    shift = found.numbers.get("shift found")
    return Finding(
        CHECK,
        "fail",
        str(shift) if shift else evidence,
        first.meaning,
        first.advice,
        first.cause,
        numbers=found.numbers,
        samples=tuple(found.samples[:_SAMPLES]),
    )


def _round_trip(case: Case, found: _Collected) -> None:
    texts = list(dict.fromkeys(u.text for u in case.workspace.utterances))
    vocabulary = case.workspace.vocabulary
    changed = [text for text in texts if vocabulary.decode(vocabulary.encode(text)) != text]
    found.numbers["texts that survive"] = f"{len(texts) - len(changed)} of {len(texts)}"
    if changed:
        found.samples += [f"{text!r} -> {vocabulary.decode(vocabulary.encode(text))!r}" for text in changed]
        found.faults.append(
            _Fault(
                "texts do not survive the vocabulary",
                f"{len(changed)} references cannot be said with this vocabulary, so no student can ever be right.",
                "Normalise the texts, or prepare the corpus again with a vocabulary that covers them.",
            )
        )


def _same_everywhere(case: Case, found: _Collected) -> None:
    workspace, inputs = case.workspace, case.config["inputs"]
    named = {"the corpus card": workspace.corpus.vocabulary_sha256, "the run": inputs["vocabulary"]}
    named["the run's copy"] = Vocabulary.load(case.run.vocabulary_dir).sha256
    strangers = [owner for owner, sha256 in named.items() if sha256 != workspace.vocabulary.sha256]
    if strangers:
        found.faults.append(
            _Fault(
                _SHIFTED,
                f"The workspace's vocabulary is {workspace.vocabulary.sha256[:12]}, another than that of "
                f"{' and '.join(strangers)}: the same ids mean other pieces.",
                "Put the old vocabulary back, or dump and train again.",
            )
        )
    manifest = sha256_of_file(workspace.manifest_path)
    if inputs["manifest"] != manifest:
        found.faults.append(
            _Fault(
                "another manifest",
                f"The run was trained on manifest {inputs['manifest'][:12]}, the workspace now has {manifest[:12]}.",
                "Train again: nothing that this run gives can be compared.",
            )
        )


def _stored_results(case: Case, found: _Collected) -> None:
    """Do the scores in results files follow from their texts, and are the texts wrong by a shift?"""
    for mode in DECODE_MODES:
        path = results_path(case.run.path, mode)
        if path.exists():
            _stored_result(case, mode, path, found)


def _stored_result(case: Case, mode: DecodeMode, path: Path, found: _Collected) -> None:
    result, stated = EvaluationResult.load(path), read_json(path)["scores"]["wra"]
    if abs(stated - result.scores.wra) > _TOLERANCE:
        found.faults.append(
            _Fault(
                "scores that do not follow from the texts",
                f"{path.name} states a WRA of {stated:.1f} %, its own texts give {result.scores.wra:.1f} %.",
                "Score again: `kdspeech eval --force`.",
            )
        )
    vocabulary = case.workspace.vocabulary
    _count_place(found)
    for shift in SHIFTS:
        explained = [
            u
            for u in result.utterances
            if not u.correct
            and normalise(u.hypothesis) == normalise(shift_text(vocabulary, vocabulary.encode(u.reference), shift))
        ]
        share = len(explained) / max(len(result.utterances), 1)
        if share >= _SHIFTED_SHARE:
            found.numbers["shift found"] = (
                f"{path.name}: {len(explained)} of {len(result.utterances)} hypotheses are the reference with each id "
                f"moved by {shift:+d}; as stored WRA {result.scores.wra:.1f} %"
            )
            found.samples += [f"{u.utt_id}: {u.reference!r} stands as {u.hypothesis!r}" for u in spread(explained, 4)]
            found.faults.append(
                _Fault(
                    _SHIFTED,
                    f"The student is right where {path.name} says that it is wrong: its hypotheses were decoded with "
                    f"token id {shift:+d}.",
                    f"Decode again with `kdspeech eval --decode-mode {mode} --force`, and score texts, never ids.",
                )
            )


def _student_shift(case: Case, found: _Collected) -> None:
    """Would the student be right if its ids were moved by one?"""
    if not case.has_checkpoint:
        return
    references = {u.utt_id: u.text for u in case.utterances("train")}
    for mode in case.heads:
        token_ids = {utt_id: hypothesis.token_ids for utt_id, hypothesis in case.hypotheses("train", mode).items()}
        wra_of_shift = partial(_wra_of_ids, case.student.vocabulary, references, token_ids)
        _judge(found, f"the student's {mode} output", wra_of_shift)


def _wra_of_ids(
    vocabulary: Vocabulary, references: Mapping[str, str], token_ids: Mapping[str, Sequence[int]], shift: int
) -> float:
    texts = {utt_id: shift_text(vocabulary, ids, shift) for utt_id, ids in token_ids.items()}
    return score_texts(references, texts).wra


def _teacher_shift(case: Case, found: _Collected) -> None:
    """Would a teacher's rows be right if their columns were moved by one, with the blank's or without?"""
    vocabulary = case.workspace.vocabulary
    for teacher, checkpoint in case.teachers.items():
        own = spread([u for u in (*case.fold.train, *case.fold.valid) if u.speaker == teacher], _ROWS)
        references = {u.utt_id: u.text for u in own}
        for kind in PER_TOKEN_KINDS:
            if own and case.store.path(teacher, kind, teacher).exists():
                rows = case.store.read(teacher, kind, own, checkpoint_sha256=checkpoint, vocabulary=vocabulary)
                for with_last in (True, False):
                    wra_of_shift = partial(_wra_of_rows, vocabulary, references, kind, rows, with_last)
                    if _judge(found, f"teacher {teacher}'s {kind} columns", wra_of_shift):
                        break


def _wra_of_rows(
    vocabulary: Vocabulary,
    references: Mapping[str, str],
    kind: Kind,
    rows: Mapping[str, Row],
    with_last: bool,
    shift: int,
) -> float:
    moved = _Moved(rows, lambda row: shift_columns(row, shift, with_last))
    return score_texts(references, decode_rows(kind, moved, vocabulary)).wra


class _Moved(Mapping[str, Row]):
    """Rows with their columns moved, when they are looked up."""

    def __init__(self, rows: Mapping[str, Row], move: Callable[[np.ndarray], np.ndarray]) -> None:
        self._rows, self._move = rows, move

    def __getitem__(self, utt_id: str) -> Row:
        return self._move(cast(np.ndarray, self._rows[utt_id]))  # only `hypotheses` rows are texts

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows)

    def __len__(self) -> int:
        return len(self._rows)


def _count_place(found: _Collected) -> None:
    found.numbers["places searched for shifted ids"] = found.numbers.get("places searched for shifted ids", 0) + 1


def _judge(found: _Collected, where: str, wra_of_shift: Callable[[int], float]) -> bool:
    """Notes it as a fault if a shift helps; `wra_of_shift(0)` is the WRA as things are."""
    _count_place(found)
    wra = wra_of_shift(0)
    helpful = helpful_shift(wra_of_shift, wra)
    if helpful is None:
        return False
    shift, better = helpful
    found.numbers.setdefault(
        "shift found", f"{where}: WRA {wra:.1f} % as they are, {better:.1f} % with each id moved by {shift:+d}"
    )
    found.faults.append(
        _Fault(
            _SHIFTED,
            f"In {where} each id stands one place from where the vocabulary has it.",
            "Mend the wrapper's column order (the blank is last, pieces have the SentencePiece model's own ids), then "
            "dump and train again.",
        )
    )
    return True
