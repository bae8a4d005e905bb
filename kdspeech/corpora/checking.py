"""Is every utterance fit to train on? Opens each recording once and collects what is wrong with it."""

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from kdspeech import console
from kdspeech.audio import SAMPLE_RATE, load_audio
from kdspeech.corpora.utterance import Utterance
from kdspeech.errors import AudioError, ManifestError
from kdspeech.files import sha256_of_file
from kdspeech.lexicon import Lexicon
from kdspeech.vocabulary import Vocabulary

_DURATION_TOLERANCE_S = 0.1  # between what the corpus states and what the file holds
_SPEAKER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")  # speakers name folders, and stand in comma-separated lists
_RESERVED = "all"


@dataclass(frozen=True)
class Fault:
    """Why an utterance cannot be used."""

    utt_id: str
    reason: str


@dataclass(frozen=True)
class Task:
    """What a transcript must fit."""

    vocabulary: Vocabulary
    lexicon: Lexicon | None
    samples_per_frame: int  # samples at SAMPLE_RATE under one frame of the coarsest encoder


def check_recordings(utterances: Sequence[Utterance], task: Task) -> tuple[list[Utterance], list[Fault]]:
    """Checks every recording against its transcript.

    Returns:
        The utterances without fault, with their true `duration` and `audio_sha256`, in the given order; and the faults.
    """
    sound: list[Utterance] = []
    faults: list[Fault] = []
    threads = min(8, os.cpu_count() or 1)  # decoding and hashing release the interpreter lock
    with ThreadPoolExecutor(threads) as pool, console.progress("Checking recordings", len(utterances)) as bar:
        for outcome in pool.map(lambda u: _check(u, task), utterances):
            if isinstance(outcome, Fault):
                faults.append(outcome)
            else:
                sound.append(outcome)
            bar.advance()
    _warn_of_same_audio(sound)
    return sound, faults


def _check(utterance: Utterance, task: Task) -> Utterance | Fault:
    try:
        num_samples = len(load_audio(utterance.audio_filepath))
        audio_sha256 = sha256_of_file(Path(utterance.audio_filepath))
    except AudioError as error:
        return Fault(utterance.utt_id, str(error))
    reason = next(_reasons(utterance, num_samples, task), None)
    if reason is not None:
        return Fault(utterance.utt_id, reason)
    return replace(utterance, duration=num_samples / SAMPLE_RATE, audio_sha256=audio_sha256)


def _reasons(utterance: Utterance, num_samples: int, task: Task) -> Iterator[str]:
    """What is wrong with an utterance whose recording can be read."""
    text, duration = utterance.text, num_samples / SAMPLE_RATE
    if utterance.duration and abs(utterance.duration - duration) > _DURATION_TOLERANCE_S:
        yield f"{utterance.audio_filepath}: lasts {duration:.2f} s, the manifest states {utterance.duration:.2f} s"
    if not text:
        yield "its transcript is empty"
    tokens = task.vocabulary.encode(text)
    if (back := task.vocabulary.decode(tokens)) != text:
        yield f"its text {text!r} leaves the vocabulary (comes back as {back!r})"
    if task.lexicon is not None and text not in task.lexicon.words:
        yield f"its text {text!r} is not one of the lexicon's {len(task.lexicon.words)} words"
    num_frames, needed = num_samples // task.samples_per_frame, len(tokens) + _num_adjacent_repeats(tokens)
    if num_frames < needed:
        yield (
            f"{utterance.audio_filepath}: {duration:.3f} s give {num_frames} encoder frames, CTC needs {needed} for "
            f"the {len(tokens)} tokens of {text!r} (a vocabulary of longer pieces needs fewer: --lexicon, --vocabulary)"
        )


def _num_adjacent_repeats(tokens: Sequence[int]) -> int:
    """Equal neighbours need a blank between them, one frame more each."""
    return sum(left == right for left, right in pairwise(tokens))


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


def _warn_of_same_audio(utterances: Sequence[Utterance]) -> None:
    first: dict[str, Utterance] = {}
    pairs = [
        f"{twin.utt_id} of {twin.speaker} = {u.utt_id} of {u.speaker}"
        for u in utterances
        if (twin := first.setdefault(u.audio_sha256, u)) is not u
    ]
    if pairs:
        console.warn(
            f"{len(pairs)} recordings stand under two ids: {'; '.join(pairs[:5])}{'; ...' if len(pairs) > 5 else ''}. "
            "Leave the copies out: a fold refuses audio that is on both of its sides."
        )
