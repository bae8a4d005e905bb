"""Looks for what would go wrong in the middle of a training, before it starts."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from kdspeech.audio import SAMPLE_RATE
from kdspeech.errors import RunError
from kdspeech.training.batches import FrameCounter, frame_rows, position_rows
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary, fewest_frames


def check_targets(utterances: Sequence[Utterance], targets: Mapping[str, Any], frames: bool, positions: bool) -> None:
    """Looks every needed target up once.

    Raises:
        RunError: an utterance has none of the kind that a loss needs.
    """
    for utterance in utterances if frames or positions else ():
        if frames:
            frame_rows(targets, utterance.utt_id)
        if positions:
            position_rows(targets, utterance.utt_id)


def check_frames(
    utterances: Sequence[Utterance], vocabulary: Vocabulary, frame_counter: FrameCounter, speed: float
) -> None:
    """Checks that every utterance has the frames that CTC needs, even at the fastest speed it is played at.

    Raises:
        RunError: names the utterances that are too short.
    """
    lengths = torch.tensor([int(u.duration * SAMPLE_RATE / speed) for u in utterances])
    num_frames = frame_counter(lengths).tolist()
    faults = []
    for utterance, available in zip(utterances, num_frames, strict=True):
        needed = fewest_frames(vocabulary.encode(utterance.text))
        if available < needed:
            faults.append(f"{utterance.utt_id} ({needed} frames needed, {available} there)")
    if faults:
        faster = f" at {speed:g} times the speed" if speed != 1.0 else ""
        raise RunError(
            f"{len(faults)} utterances are too short for CTC{faster}: {'; '.join(faults[:8])}. Leave them out of the "
            "manifest, or lower student.encoder_config.subsampling_factor, training.speeds or training.tempos."
        )
