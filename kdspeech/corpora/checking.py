"""Is every utterance fit to train on? Holds each transcript against its recording's measures and the task."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path

from kdspeech import console
from kdspeech.corpora.measuring import Measured
from kdspeech.errors import ManifestError
from kdspeech.faults import Fault
from kdspeech.lexicon import Lexicon
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary, fewest_frames

_DURATION_TOLERANCE_S = 0.1  # between what the corpus states and what the file holds
_SPEAKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # speakers name folders, and stand in comma-separated lists
_RESERVED = "all"


@dataclass(frozen=True)
class Task:
    """What a transcript must fit."""

    vocabulary: Vocabulary
    lexicon: Lexicon | None
    samples_per_frame: int  # samples at SAMPLE_RATE under one frame of the coarsest encoder

    @cached_property
    def words(self) -> frozenset[str]:
        """The lexicon's; none where there is no lexicon."""
        return frozenset(self.lexicon.words if self.lexicon else ())


def check_transcripts(
    utterances: Sequence[Utterance], recordings: Mapping[str, Measured], task: Task
) -> tuple[list[Utterance], list[Fault]]:
    """Checks every recording against its transcript.

    Args:
        recordings: by path; one for every utterance.

    Returns:
        The utterances without fault, with their true `duration` and `audio_sha256`, in the given order; and the faults.
    """
    sound: list[Utterance] = []
    faults: list[Fault] = []
    checked_text = cache(lambda text: _check_text(text, task))  # isolated words come back thousands of times
    for utterance in utterances:
        recording = recordings[utterance.audio_filepath]
        if found := _fault(utterance, recording, checked_text(utterance.text), task):
            faults.append(Fault.of(utterance, *found))
        else:
            sound.append(replace(utterance, duration=recording.duration_s, audio_sha256=recording.audio_sha256))
    return sound, faults


@dataclass(frozen=True)
class _CheckedText:
    fault: tuple[str, str] | None  # kind and reason
    num_tokens: int = 0
    num_frames: int = 0  # that CTC needs at least


def _check_text(text: str, task: Task) -> _CheckedText:
    if not text:
        return _CheckedText(("without transcript", "its transcript is empty"))
    tokens = task.vocabulary.encode(text)
    if (back := task.vocabulary.decode(tokens)) != text:
        return _CheckedText(
            ("outside the vocabulary", f"its text {text!r} leaves the vocabulary (comes back as {back!r})")
        )
    if task.lexicon is not None and text not in task.words:
        return _CheckedText(
            ("outside the lexicon", f"its text {text!r} is not one of the lexicon's {len(task.words)} words")
        )
    return _CheckedText(None, len(tokens), fewest_frames(tokens))


def _fault(utterance: Utterance, recording: Measured, text: _CheckedText, task: Task) -> tuple[str, str] | None:
    """Kind and reason of what is wrong with an utterance; None if nothing is."""
    if recording.fault:
        return recording.fault_kind, recording.fault
    path, stated, true = utterance.audio_filepath, utterance.duration, recording.duration_s
    if stated and abs(stated - true) > _DURATION_TOLERANCE_S:
        return "of another duration", f"{path}: lasts {true:.2f} s, the manifest states {stated:.2f} s"
    if text.fault:
        return text.fault
    num_frames = recording.num_samples // task.samples_per_frame
    if num_frames < text.num_frames:
        return "too short", (
            f"{path}: {true:.3f} s give {num_frames} encoder frames, CTC needs {text.num_frames} for the "
            f"{text.num_tokens} tokens of {utterance.text!r} (a vocabulary of longer pieces needs fewer: --lexicon, "
            "--vocabulary)"
        )
    return None


def check_speakers(utterances: Sequence[Utterance], source: Path) -> None:
    """Checks names and productions of speakers.

    Raises:
        ManifestError: a name that cannot stand for a folder, or a production of two speakers.
    """
    speaker_of: dict[str, str] = {}
    for utterance in utterances:
        speaker, production = utterance.speaker, utterance.production_id
        if not _SPEAKER.fullmatch(speaker) or speaker == _RESERVED:
            raise ManifestError(
                f"{source}: {speaker!r} cannot name a speaker (utterance {utterance.utt_id!r}): expected letters, "
                f"digits, dot, underscore and hyphen, and not the word {_RESERVED!r}. Rename the speaker."
            )
        if production and speaker_of.setdefault(production, speaker) != speaker:
            raise ManifestError(
                f"{source}: production {production!r} belongs to {speaker_of[production]} and to {speaker} "
                f"(utterance {utterance.utt_id!r}). A production is one act of speaking by one speaker: correct the "
                f"speaker, or make the ids unique, for example {speaker}_{production}."
            )


def warn_of_same_audio(utterances: Sequence[Utterance]) -> None:
    """Names recordings that stand under several ids."""
    copies = copies_of(utterances)
    pairs = [f"{first.utt_id} of {first.speaker} = {u.utt_id} of {u.speaker}" for first, *rest in copies for u in rest]
    if pairs:
        console.warn(
            f"{len(pairs)} recordings stand under two ids: {'; '.join(pairs[:5])}{'; ...' if len(pairs) > 5 else ''}. "
            "Leave the copies out: a fold refuses audio that is on both of its sides."
        )


def copies_of(utterances: Sequence[Utterance]) -> list[list[Utterance]]:
    """Groups of utterances whose files hold the same bytes."""
    groups: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        groups.setdefault(utterance.audio_sha256, []).append(utterance)
    return [group for group in groups.values() if len(group) > 1]
