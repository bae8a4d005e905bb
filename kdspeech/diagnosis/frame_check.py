"""Do frames lie where the sound is? A wrong frame rate squeezes or stretches what the student is told to say when.

Shapes: T frames, V vocabulary.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch

from kdspeech.audio import SAMPLE_RATE, read_recording
from kdspeech.diagnosis.case import Case, spread
from kdspeech.diagnosis.finding import Finding
from kdspeech.dumps.row_checks import FRAME_TOLERANCE, FRAME_TOLERANCE_SHARE
from kdspeech.targets.pooling import frame_map
from kdspeech.utterance import Utterance

CHECK = "frame rates"
_STUDENT = "student"
_CAUSE = "wrong frame rate"
_RATIO = (0.8, 1.25)  # of the frames' time to the audio's, in which all is well: short recordings round generously
_MISFITS = 0.2  # share of utterances with more frames too many or too few than padding explains
_ROWS, _FILES = 100, 30  # utterances looked at: of each teacher; opened as audio
_DURATION_TOLERANCE_S = 0.05
_BUNCHED = 0.12  # share of the audio before which all spikes of a teacher lie in the mean
_APART = 1.6  # factor between the last spikes' places of a teacher and of the others
_FEW_FRAMES = 0.01  # share of valid frames below which a frame loss teaches nothing


@dataclass
class _Collected:
    """Evidence as it comes in."""

    numbers: dict[str, Any] = field(default_factory=dict)
    faults: list[tuple[str, str]] = field(default_factory=list)  # cause and meaning
    samples: list[str] = field(default_factory=list)


def check_frames(case: Case) -> Finding:
    """Frames against durations, for files, teachers and student; the share of valid frames; where spikes are."""
    found = _Collected()
    sample = spread(case.fold.train, _ROWS)
    _files(sample, found)
    teacher_shifts = _teachers(case, found)
    _student(case, sample, teacher_shifts, found)
    _valid_frames(case, sample, found)
    evidence = _line(found.numbers["frame time / audio time"])
    if not found.faults:
        return _judge_spikes(evidence, teacher_shifts, found)
    return Finding(
        CHECK,
        "fail",
        evidence,
        found.faults[0][1] + (f" {len(found.faults) - 1} more like this." if len(found.faults) > 1 else ""),
        "Mend what states or makes these frames (the manifest's durations, the wrapper's frame_shift_s, padding, "
        "resampling, targets.blank_threshold); then dump and train again.",
        found.faults[0][0],
        numbers=found.numbers,
        samples=tuple(found.samples[:4]),
    )


def _judge_spikes(evidence: str, teachers: Collection[str], found: _Collected) -> Finding:
    """Where all frames are well counted, one teacher's may still run at another pace."""
    lasts = {name: spikes["last"] for name, spikes in found.numbers.get("spikes", {}).items() if name in teachers}
    bunched = [name for name, last in lasts.items() if last is not None and last < _BUNCHED]
    apart = spikes_apart(lasts)
    if not apart and not bunched:
        meaning = "Frames cover the recordings, no more and no less."
        return Finding(CHECK, "ok", evidence, meaning, numbers=found.numbers)
    places = ", ".join(f"{name} {last:.2f}" for name, last in lasts.items() if last is not None)
    return Finding(
        CHECK,
        "warn",
        f"{evidence}; last spike at this share of the audio: {places}",
        f"The spikes of {', '.join(bunched)} are bunched at the recordings' beginning: such frames say what, not when."
        if bunched
        else f"The spikes of {', '.join(apart)} end elsewhere than the other teachers'.",
        "A student cannot learn such frames with an encoder that hears less ahead: prefer --mode decoder-kd."
        if bunched
        else "Was the audio resampled or padded in another way? Frames that disagree in time spoil each other.",
        "spikes in the wrong places",
        numbers=found.numbers,
    )


def spikes_apart(lasts: Mapping[str, float | None]) -> list[str]:
    """Teachers whose last spikes lie far from the median of the others', of whom there must be two at least.

    Args:
        lasts: teacher -> mean place of the last spike, as a share of the audio; None without spikes.
    """
    known = {name: last for name, last in lasts.items() if last is not None}
    if len(known) < 3:
        return []
    medians = {name: float(np.median([v for other, v in known.items() if other != name])) for name in known}
    return [name for name, last in known.items() if not 1 / _APART <= last / medians[name] <= _APART]


def _line(ratios: Mapping[str, float]) -> str:
    teachers = [ratio for name, ratio in ratios.items() if name != _STUDENT]
    parts = [f"{len(teachers)} teachers {min(teachers):.2f}-{max(teachers):.2f}"] if teachers else []
    parts += [f"{_STUDENT} {ratios[_STUDENT]:.2f}"] if _STUDENT in ratios else []
    return f"frame time / audio time: {', '.join(parts) or 'nothing to look at'}"


def _files(sample: Sequence[Utterance], found: _Collected) -> None:
    """Are the recordings as long as the manifest says?"""
    wrong = []
    opened = spread(sample, _FILES)
    for utterance in opened:
        seconds = read_recording(utterance.audio_filepath).num_samples / SAMPLE_RATE
        if abs(seconds - utterance.duration) > _DURATION_TOLERANCE_S:
            wrong.append(f"{utterance.utt_id}: {utterance.duration:.2f} s in the manifest, {seconds:.2f} s of audio")
    found.numbers["files as long as the manifest says"] = f"{len(opened) - len(wrong)} of {len(opened)}"
    if wrong:
        meaning = f"{len(wrong)} of {len(opened)} recordings are not as long as the manifest says."
        found.faults.append(("wrong durations", meaning))
        found.samples += wrong
    found.numbers["frame time / audio time"] = {}


def _teachers(case: Case, found: _Collected) -> dict[str, float]:
    """Teacher -> its frame shift in seconds, as its shards state it; CTC rows only."""
    shifts: dict[str, float] = {}
    for teacher, checkpoint in case.teachers.items():
        speakers = [s for s in case.fold.training_speakers if case.store.path(teacher, "ctc", s).exists()]
        utterances = spread([u for u in case.fold.train if u.speaker in speakers], _ROWS)
        if not utterances:
            continue
        shift_s = case.store.describe(teacher, "ctc", utterances[0].speaker)[0].frame_shift_s
        stored = case.store.read(teacher, "ctc", utterances, checkpoint_sha256=checkpoint)
        rows = [cast(np.ndarray, stored[u.utt_id]) for u in utterances]
        _judge(f"teacher {teacher}", utterances, [len(row) for row in rows], shift_s, found)
        found.numbers.setdefault("spikes", {})[teacher] = _spikes(rows, utterances, shift_s)
        shifts[teacher] = shift_s
    return shifts


def _student(case: Case, sample: Sequence[Utterance], teacher_shifts: dict[str, float], found: _Collected) -> None:
    if not case.has_checkpoint:
        return
    lengths = torch.tensor([round(u.duration * SAMPLE_RATE) for u in sample])
    counts = case.student.num_frames(lengths).tolist()
    _judge(_STUDENT, sample, counts, case.student.frame_shift_s, found)
    found.numbers["student frame shift, s"] = case.student.frame_shift_s
    found.numbers["teacher frame shifts, s"] = teacher_shifts
    if case.targets is None:
        return
    given = [case.targets[u.utt_id].ctc_log_probs for u in sample if u.utt_id in case.targets]
    rows = [row for row in given if row is not None]
    if rows and len(rows) == len(sample):
        step = case.student.frame_shift_s / case.targets.frame_shift_s
        mapped = [row[frame_map(row[:, -1], count, step)] for row, count in zip(rows, counts, strict=True)]
        found.numbers["spikes"] = {
            **found.numbers.get("spikes", {}),
            "targets on the student's frames": _spikes(mapped, sample, case.student.frame_shift_s),
        }


def _judge(
    name: str, utterances: Sequence[Utterance], counts: Sequence[int], shift_s: float, found: _Collected
) -> None:
    """Compares numbers of frames with durations."""
    expected = [u.duration / shift_s for u in utterances]
    ratio = sum(counts) / sum(expected)
    pairs = list(zip(utterances, counts, expected, strict=True))
    misfits = [
        f"{name}, {u.utt_id}: {count} frames of {shift_s:g} s for {u.duration:.2f} s of audio"
        for u, count, frames in pairs
        if abs(count - frames) > FRAME_TOLERANCE + FRAME_TOLERANCE_SHARE * frames
    ]
    found.numbers["frame time / audio time"][name] = round(ratio, 3)
    if not _RATIO[0] <= ratio <= _RATIO[1] or len(misfits) > _MISFITS * len(pairs):
        meaning = (
            f"The frames of {name} cover {100 * ratio:.0f} % of the audio's time at the {shift_s:g} s a frame that it "
            f"states ({len(misfits)} of {len(pairs)} utterances do not fit): laid onto the recording, they say "
            "things at the wrong times."
        )
        found.faults.append((_CAUSE, meaning))
        found.samples += misfits[:2]


def _valid_frames(case: Case, sample: Sequence[Utterance], found: _Collected) -> None:
    """The share of frames on which a frame loss teaches."""
    masks = [case.targets[u.utt_id].frame_mask for u in sample if u.utt_id in case.targets] if case.targets else []
    given = [mask for mask in masks if mask is not None]
    if not given:
        return
    share = sum(int(mask.sum()) for mask in given) / sum(len(mask) for mask in given)
    found.numbers["valid-frame ratio"] = round(share, 4)
    if share < _FEW_FRAMES and any(stage["losses"].get("frame_kl", 0) > 0 for stage in case.config["stages"]):
        meaning = f"The targets' mask keeps {100 * share:.2f} % of the frames: a frame loss teaches nothing."
        found.faults.append(("a mask that keeps nothing", meaning))


def _spikes(rows: Sequence[np.ndarray], utterances: Sequence[Utterance], shift_s: float) -> dict[str, float | None]:
    """Mean times of the first and last frame that is not blank, as shares of the audio; above 1 lies outside it.

    Args:
        rows: [T, V+1] each, blank last.
    """
    first, last = [], []
    for row, utterance in zip(rows, utterances, strict=True):
        (spoken,) = np.nonzero(row.argmax(axis=1) != row.shape[1] - 1)
        if len(spoken):
            first.append((spoken[0] + 0.5) * shift_s / utterance.duration)
            last.append((spoken[-1] + 0.5) * shift_s / utterance.duration)
    return {
        "first": round(float(np.mean(first)), 3) if first else None,
        "last": round(float(np.mean(last)), 3) if last else None,
        "utterances without any": round(1 - len(first) / len(rows), 3),
    }
