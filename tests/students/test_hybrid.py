"""The hybrid student: padding, causality, frame counts and sizes."""

from dataclasses import dataclass

import pytest
import torch

from kdspeech import students
from kdspeech.config import StudentConfig
from kdspeech.errors import ConfigError
from kdspeech.protocols import Encoded
from kdspeech.recipe_file import load_recipe
from kdspeech.students.hybrid import HybridStudent
from kdspeech.vocabulary import Vocabulary

pytestmark = pytest.mark.slow  # NeMo takes ten seconds to import

LENGTHS = (16_000, 7_000, 3_333)  # samples


@dataclass(frozen=True)
class Fed:
    """Three utterances in one padded batch."""

    waveforms: torch.Tensor
    lengths: torch.Tensor
    decoder_inputs: torch.Tensor


@pytest.fixture(scope="module")
def student(tiny_config: StudentConfig, vocabulary: Vocabulary) -> HybridStudent:
    return students.build_student(tiny_config, vocabulary, seed=0).eval()


@pytest.fixture(scope="module")
def fed(vocabulary: Vocabulary) -> Fed:
    generator = torch.Generator().manual_seed(0)
    waveforms = torch.zeros(3, 20_000)
    for row, length in enumerate(LENGTHS):
        waveforms[row, :length] = 0.1 * torch.randn(length, generator=generator)
    end = vocabulary.end_id
    return Fed(waveforms, torch.tensor(LENGTHS), torch.tensor([[end, 5, 6, 7], [end, 8, end, end], [end, 9, 3, end]]))


@torch.inference_mode()
def test_padding_does_not_change_outputs(student: HybridStudent, fed: Fed) -> None:
    together = student(fed.waveforms, fed.lengths, fed.decoder_inputs)
    for row, length in enumerate(LENGTHS):
        alone = student(
            fed.waveforms[row : row + 1, :length], fed.lengths[row : row + 1], fed.decoder_inputs[row : row + 1]
        )
        num_frames = int(alone.num_frames[0])
        assert int(together.num_frames[row]) == num_frames
        torch.testing.assert_close(
            together.ctc_log_probs[row, :num_frames], alone.ctc_log_probs[0, :num_frames], rtol=0, atol=1e-5
        )
        torch.testing.assert_close(together.decoder_log_probs[row], alone.decoder_log_probs[0], rtol=0, atol=1e-5)


@torch.inference_mode()
def test_garbage_after_the_end_is_not_heard(student: HybridStudent, fed: Fed) -> None:
    dirty = fed.waveforms.clone()
    for row, length in enumerate(LENGTHS):
        dirty[row, length:] = 3.0
    clean, heard = (student.encode(waveforms, fed.lengths).states for waveforms in (fed.waveforms, dirty))
    assert torch.equal(clean, heard)


@torch.inference_mode()
def test_rows_are_distributions_and_states_beyond_the_end_are_zero(student: HybridStudent, fed: Fed) -> None:
    output = student(fed.waveforms, fed.lengths, fed.decoder_inputs)
    for log_probs in (output.ctc_log_probs, output.decoder_log_probs):
        torch.testing.assert_close(log_probs.exp().sum(-1), torch.ones(log_probs.shape[:2]), rtol=0, atol=1e-5)
        assert log_probs.shape[-1] == student.vocabulary.num_columns
    encoded = student.encode(fed.waveforms, fed.lengths)
    assert not encoded.states[2, int(encoded.num_frames[2]) :].any()
    assert student(fed.waveforms, fed.lengths).decoder_log_probs is None


@torch.inference_mode()
def test_decoder_looks_at_the_past_alone(student: HybridStudent, fed: Fed) -> None:
    encoded = student.encode(fed.waveforms, fed.lengths)
    rows = student.decoder_log_probs(encoded, fed.decoder_inputs)
    for position in range(1, 4):
        changed = fed.decoder_inputs.clone()
        changed[:, position:] = 1
        other = student.decoder_log_probs(encoded, changed)
        torch.testing.assert_close(other[:, :position], rows[:, :position], rtol=0, atol=1e-6)
        assert not torch.allclose(other[:, position], rows[:, position])
        alone = student.decoder_log_probs(encoded, fed.decoder_inputs[:, :position])
        torch.testing.assert_close(alone, rows[:, :position], rtol=0, atol=1e-6)


@torch.inference_mode()
def test_decoder_survives_an_utterance_without_frames(student: HybridStudent, fed: Fed) -> None:
    encoded = student.encode(fed.waveforms, fed.lengths)
    nothing = Encoded(encoded.states, torch.tensor([0, 3, 5]))
    assert student.decoder_log_probs(nothing, fed.decoder_inputs).isfinite().all()


def test_the_callers_waveform_is_never_changed(tiny_config: StudentConfig, vocabulary: Vocabulary, fed: Fed) -> None:
    student = students.build_student(tiny_config, vocabulary, seed=0).train()
    before = fed.waveforms.clone()
    student(fed.waveforms, fed.lengths)
    assert torch.equal(fed.waveforms, before)


def test_spec_augment_works_in_training_only(tiny_config: StudentConfig, vocabulary: Vocabulary, fed: Fed) -> None:
    student = students.build_student(tiny_config, vocabulary, seed=0)
    inputs: list[torch.Tensor] = []
    student.encoder.encoder.register_forward_pre_hook(
        lambda _module, _args, kwargs: inputs.append(kwargs["audio_signal"]), with_kwargs=True
    )
    for training in (True, False, False):
        student.train(training)
        student.encode(fed.waveforms, fed.lengths)
    assert torch.equal(inputs[1], inputs[2])
    assert (inputs[0] == 0).sum() > (inputs[1] == 0).sum()


@pytest.mark.parametrize(("kind", "factor"), [("striding", 2), ("striding", 4), ("striding", 8), ("dw_striding", 4)])
def test_frames_can_be_counted_without_running(
    tiny_config: StudentConfig, vocabulary: Vocabulary, kind: str, factor: int
) -> None:
    settings = {**(tiny_config.encoder_config or {}), "subsampling": kind, "subsampling_factor": factor}
    config = tiny_config.model_copy(update={"encoder_config": settings})
    student = students.build_student(config, vocabulary, seed=0).eval()
    assert student.frame_shift_s == 0.01 * factor
    lengths = torch.tensor([1_600, 1_759, 1_760, 2_239, 2_240, 7_999, 8_000, 15_999, 16_000])
    with torch.inference_mode():
        encoded = student.encode(torch.zeros(len(lengths), 16_000), lengths)
    assert student.num_frames(lengths).tolist() == encoded.num_frames.tolist()
    assert encoded.num_frames.tolist()[-1] == 100 // factor + (100 % factor > 0)


def test_the_seed_decides_the_weights(tiny_config: StudentConfig, vocabulary: Vocabulary) -> None:
    torch.manual_seed(7)
    state = torch.get_rng_state()
    first = students.build_student(tiny_config, vocabulary, seed=3).state_dict()
    assert torch.equal(torch.get_rng_state(), state)  # the caller's random numbers stay
    again = students.build_student(tiny_config, vocabulary, seed=3).state_dict()
    other = students.build_student(tiny_config, vocabulary, seed=4).state_dict()
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["ctc_head.weight"], other["ctc_head.weight"])


def test_parts_cover_every_parameter_once(student: HybridStudent) -> None:
    parts = student.parts()
    assert list(parts) == ["encoder", "ctc_head", "decoder"]
    inside = [id(p) for part in parts.values() for p in part.parameters()]
    assert sorted(inside) == sorted(id(p) for p in student.parameters())


def test_decoder_of_another_size_gets_a_projection(
    tiny_config: StudentConfig, vocabulary: Vocabulary, fed: Fed
) -> None:
    wide = students.build_student(tiny_config.model_copy(update={"decoder_size": 40}), vocabulary, seed=0)
    assert wide.decoder.adapter.weight.shape == (40, 32)
    assert wide(fed.waveforms, fed.lengths, fed.decoder_inputs).decoder_log_probs.isfinite().all()
    with pytest.raises(ConfigError, match=r"size 33 must be even and divisible"):
        students.build_student(tiny_config.model_copy(update={"decoder_size": 33}), vocabulary, seed=0)


def with_intermediate(config: StudentConfig, layer: int) -> StudentConfig:
    return config.model_copy(update={"intermediate_layer": layer})


def test_intermediate_head_hears_the_layer_that_it_names(
    tiny_config: StudentConfig, vocabulary: Vocabulary, student: HybridStudent, fed: Fed
) -> None:
    two_heads = students.build_student(with_intermediate(tiny_config, 1), vocabulary, seed=0).eval()
    plain = student.state_dict()
    extra = {key for key in two_heads.state_dict() if key not in plain}
    assert extra == {"intermediate_head.weight", "intermediate_head.bias"}
    assert all(torch.equal(two_heads.state_dict()[key], value) for key, value in plain.items())
    heard = two_heads(fed.waveforms, fed.lengths)
    assert heard.intermediate_log_probs is not None
    shorter = students.build_student(tiny_config, vocabulary, seed=0).eval()
    shorter.encoder.encoder.layers = shorter.encoder.encoder.layers[:1]
    states = shorter.encode(fed.waveforms, fed.lengths).states
    assert two_heads.intermediate_head is not None
    expected = two_heads.intermediate_head(states).log_softmax(dim=-1)
    for log_probs, rows, count in zip(heard.intermediate_log_probs, expected, heard.num_frames, strict=True):
        torch.testing.assert_close(log_probs[:count], rows[:count])
    assert student(fed.waveforms, fed.lengths).intermediate_log_probs is None

    heard.intermediate_log_probs[..., 0].sum().backward()
    first, second = two_heads.encoder.encoder.layers
    assert all(p.grad is None for p in second.parameters())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in first.parameters())


def test_intermediate_head_trains_with_the_ctc_head(tiny_config: StudentConfig, vocabulary: Vocabulary) -> None:
    test_parts_cover_every_parameter_once(students.build_student(with_intermediate(tiny_config, 1), vocabulary, seed=0))
    with pytest.raises(ConfigError, match=r"intermediate_layer is 2; the encoder has 2 layers"):
        students.build_student(with_intermediate(tiny_config, 2), vocabulary, seed=0)


def test_two_views_of_one_recording_are_masked_differently(tiny_config: StudentConfig, vocabulary: Vocabulary) -> None:
    """What consistency between views needs: with no dropout at all, SpecAugment alone makes the difference."""
    still = dict.fromkeys(("dropout", "dropout_emb", "dropout_att", "dropout_pre_encoder"), 0.0)
    masks = {"freq_masks": 2, "freq_width": 10, "time_masks": 2, "time_width": 0.2}
    encoder = {**(tiny_config.encoder_config or {}), **still}
    config = tiny_config.model_copy(update={"encoder_config": encoder, "spec_augment": masks})
    student = students.build_student(config, vocabulary, seed=0).train()
    waveform = torch.randn(1, 16_000).expand(2, -1).clone()
    torch.manual_seed(0)
    first, second = student(waveform, torch.tensor([16_000, 16_000])).ctc_log_probs
    assert not torch.allclose(first, second, atol=1e-3)


def size_in_millions(module: torch.nn.Module) -> float:
    return sum(p.numel() for p in module.parameters()) / 1e6


def test_small_recipes_encoder_has_about_600_thousand_parameters(vocabulary: Vocabulary) -> None:
    student = students.build_student(load_recipe("conformer_xs_from_speechbrain").student, vocabulary, seed=0)
    assert 0.55 < size_in_millions(student.encoder) < 0.70


def test_published_conformer_small_makes_a_student_of_about_18_million_parameters() -> None:
    published = {  # of stt_en_conformer_ctc_small
        "n_layers": 16,
        "d_model": 176,
        "n_heads": 4,
        "ff_expansion_factor": 4,
        "conv_kernel_size": 31,
        "subsampling": "striding",
        "subsampling_factor": 4,
        "subsampling_conv_channels": 176,
    }
    recipe = load_recipe("conformer_small_from_speechbrain").student
    config = recipe.model_copy(update={"encoder": None, "encoder_config": published})
    generator = torch.Generator().manual_seed(0)
    letters = torch.randint(97, 123, (4_000, 7), generator=generator)
    pieces = Vocabulary.train(("".join(map(chr, row)) for row in letters.tolist()), size=1024)
    student = students.build_student(config, pieces, seed=0)
    assert pieces.size == 1024
    assert size_in_millions(student.encoder) == pytest.approx(13.0, abs=0.2)
    assert size_in_millions(student) == pytest.approx(18.3, rel=0.03)
