"""A speaker's recordings, read into memory at several speeds, and batches of them.

Symbols: B batch, N samples, U decoder positions (tokens + end of sentence).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch.nn.utils.rnn import pad_sequence

from kdspeech.audio import SAMPLE_RATE, SAMPLES_PER_FEATURE_FRAME, load_audio, resample_to_speed
from kdspeech.errors import TeacherError
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary, fewest_frames

IGNORED = -100  # target of a padded decoder position


@dataclass(frozen=True)
class Example:
    """One utterance, ready for the model."""

    utt_id: str
    waveforms: tuple[torch.Tensor, ...]  # float32 [N] each: the recording at several speeds
    token_ids: tuple[int, ...]


Chosen = tuple[Example, torch.Tensor]  # an utterance and the one of its waveforms that is used


@dataclass(frozen=True)
class Batch:
    """Padded utterances, as SpeechBrain's modules want them."""

    waveforms: torch.Tensor  # float32 [B, N], padded with zeros
    rel_lengths: torch.Tensor  # float32 [B], samples relative to the longest
    tokens: torch.Tensor  # int64 [B, U-1]
    num_tokens: torch.Tensor  # int64 [B]
    decoder_inputs: torch.Tensor  # int64 [B, U], begin of sentence first
    decoder_targets: torch.Tensor  # int64 [B, U], end of sentence last, padded with IGNORED


def load_examples(
    speaker: str,
    utterances: Sequence[Utterance],
    vocabulary: Vocabulary,
    subsampling: int,
    speeds: Sequence[float] = (1.0,),
) -> list[Example]:
    """Reads the recordings into memory at each of the given speeds (1.1 is faster; Ko et al. 2015).

    A copy that would be too short for its transcript under CTC is left out.

    Raises:
        TeacherError: a recording itself is too short: SpeechBrain's CTC loss would silently count it as zero.
    """
    examples = []
    for utterance in utterances:
        token_ids = tuple(vocabulary.encode(utterance.text))
        needed = fewest_frames(token_ids)
        recording = load_audio(utterance.audio_filepath)
        num_frames = num_encoder_frames(len(recording), subsampling)
        if num_frames < needed:
            raise TeacherError(
                f"teacher {speaker}: {utterance.utt_id} ({len(recording) / SAMPLE_RATE:.3f} s) has {num_frames} "
                f"encoder frames, its transcript needs {needed} under CTC. Leave it out or --set teacher.subsampling=2."
            )
        copies = [resample_to_speed(recording, speed) for speed in speeds]
        usable = [copy for copy in copies if num_encoder_frames(len(copy), subsampling) >= needed] or [recording]
        examples.append(Example(utterance.utt_id, tuple(torch.from_numpy(w) for w in usable), token_ids))
    return examples


def num_encoder_frames(num_samples: int, subsampling: int) -> int:
    """Encoder frames of a waveform: a feature frame every 10 ms and one more, then the strided convolutions."""
    return math.ceil((1 + num_samples // SAMPLES_PER_FEATURE_FRAME) / subsampling)


def collate(chosen: Sequence[Chosen], bos_index: int, eos_index: int, pad_index: int) -> Batch:
    """Pads utterances to one length."""
    samples = torch.tensor([len(waveform) for _, waveform in chosen])
    token_ids = [torch.tensor(example.token_ids) for example, _ in chosen]
    begin, end = torch.tensor([bos_index]), torch.tensor([eos_index])
    return Batch(
        waveforms=pad_sequence([waveform for _, waveform in chosen], batch_first=True),
        rel_lengths=samples / samples.max(),
        tokens=pad_sequence(token_ids, batch_first=True, padding_value=pad_index),
        num_tokens=torch.tensor([len(ids) for ids in token_ids]),
        decoder_inputs=pad_sequence([torch.cat([begin, ids]) for ids in token_ids], True, pad_index),
        decoder_targets=pad_sequence([torch.cat([ids, end]) for ids in token_ids], True, IGNORED),
    )
