"""What a student hears where: the CTC path of a student that is known, and true attention weights."""

import numpy as np
import pytest
import torch
from torch import nn

from kdspeech.audio import SAMPLE_RATE
from kdspeech.lexicon import Lexicon
from kdspeech.run_report.alignment import look, recorded_attention
from kdspeech.vocabulary import Vocabulary
from tests.doubles import FakeStudent, synthetic_waveform


@pytest.fixture
def student(vocabulary: Vocabulary) -> FakeStudent:
    return FakeStudent(vocabulary, ("one", "two", "six"))


def _encode(student: FakeStudent, word: int) -> object:
    waveform = torch.from_numpy(synthetic_waveform(word, 0, duration=0.8))
    return student.encode(waveform[None], torch.tensor([len(waveform)]))


def test_the_ctc_path_is_cut_into_tokens(student: FakeStudent, vocabulary: Vocabulary, lexicon: Lexicon) -> None:
    (found,) = look(student, _encode(student, 1), has_decoder=True)  # type: ignore[arg-type]
    assert (found.ctc_text, found.decoder_text) == ("two", "two")
    assert found.num_frames == round(0.8 / student.frame_shift_s)
    tokens = vocabulary.encode("two")
    assert [(span.start, span.end) for span in found.spans] == [(2 * n + 1, 2 * n + 2) for n in range(len(tokens))]
    assert "".join(span.piece for span in found.spans).replace("␣", "") == "two"
    assert found.spans[0].curve[1] == pytest.approx(student.peak)
    assert found.spans[0].curve.shape == (found.num_frames,)
    assert len(found.decoder_pieces) == len(tokens) + 1
    assert found.attention is None  # this student's decoder attends to nothing


def test_an_untrained_decoder_is_not_asked(student: FakeStudent) -> None:
    (found,) = look(student, _encode(student, 0), has_decoder=False)  # type: ignore[arg-type]
    assert (found.decoder_text, found.attention) == (None, None)


def test_attention_weights_are_those_of_the_layer() -> None:
    torch.manual_seed(0)
    layers = nn.ModuleList(nn.TransformerDecoderLayer(8, 2, 16, 0.0, batch_first=True, norm_first=True) for _ in "ab")
    queries, memory = torch.randn(1, 3, 8), torch.randn(1, 5, 8)
    beyond = torch.tensor([[False, False, False, True, True]])
    layers.eval()
    with torch.inference_mode(), recorded_attention(layers) as weights:
        hidden = queries
        for layer in layers:
            hidden = layer(hidden, memory, memory_key_padding_mask=beyond)
    assert [tuple(w.shape) for w in weights] == [(1, 3, 5), (1, 3, 5)]  # self-attention is not among them
    assert torch.allclose(weights[0].sum(dim=2), torch.ones(1, 3))
    assert float(weights[0][..., 3:].abs().max()) == 0.0
    with torch.inference_mode():
        plain = queries
        for layer in layers:
            plain = layer(plain, memory, memory_key_padding_mask=beyond)
        normed = layers[0].norm1(queries)  # type: ignore[operator]
        heard = queries + layers[0].self_attn(normed, normed, normed)[0]  # type: ignore[operator]
        expected = layers[0].multihead_attn(layers[0].norm2(heard), memory, memory, beyond)[1]  # type: ignore[operator]
    assert torch.allclose(plain, hidden, atol=1e-6)  # watching changes nothing
    assert np.allclose(weights[0], expected, atol=1e-6)
    assert len(weights) == 2  # and ends with the block


def test_frames_are_placed_in_time(student: FakeStudent) -> None:
    (found,) = look(student, _encode(student, 0), has_decoder=True)  # type: ignore[arg-type]
    assert found.num_frames * found.frame_shift_s == pytest.approx(0.8)
    assert round(0.8 * SAMPLE_RATE) == 12_800
