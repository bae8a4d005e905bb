"""Batches of recordings."""

import torch

from kdspeech.teachers.examples import IGNORED, Example, collate


def test_collate_pads_and_frames_the_transcripts() -> None:
    long, short = torch.ones(400), torch.ones(100)
    batch = collate([(Example("a", (long,), (7, 8)), long), (Example("b", (short,), (9,)), short)], 1, 2, 0)
    assert batch.waveforms.shape == (2, 400)
    assert batch.waveforms[1].sum() == 100
    assert batch.rel_lengths.tolist() == [1.0, 0.25]
    assert batch.tokens.tolist() == [[7, 8], [9, 0]]
    assert batch.num_tokens.tolist() == [2, 1]
    assert batch.decoder_inputs.tolist() == [[1, 7, 8], [1, 9, 0]]
    assert batch.decoder_targets.tolist() == [[7, 8, 2], [9, 2, IGNORED]]
