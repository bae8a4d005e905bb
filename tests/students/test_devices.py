"""On a GPU: a step's terms, their gradients and every decode mode are what they are on a CPU."""

from collections.abc import Mapping

import pytest
import torch
from lightning.fabric.utilities import move_data_to_device

from kdspeech import students
from kdspeech.choices import LOSS_TERMS, DecodeMode, LossTerm
from kdspeech.config import FrameKlConfig, StudentConfig
from kdspeech.decoding.lexicon import LexiconScorer
from kdspeech.decoding.options import DecodeOptions, resolve
from kdspeech.decoding.recogniser import make_recogniser
from kdspeech.lexicon import Lexicon
from kdspeech.losses import NBest
from kdspeech.training.batches import Batch
from kdspeech.training.terms import TermSettings, listen, loss_terms
from kdspeech.vocabulary import Vocabulary

pytestmark = pytest.mark.gpu

GPU = torch.device("cuda")
LENGTHS = (16_000, 9_000)  # samples


@pytest.fixture(scope="module")
def config(tiny_config: StudentConfig) -> StudentConfig:
    """With a head in the middle, so that every term has something to hear."""
    return tiny_config.model_copy(update={"intermediate_layer": 1})


def make_batch(config: StudentConfig, vocabulary: Vocabulary, num_words: int) -> Batch:
    """`one` and `seven` over noise, with drawn targets of every kind; on a CPU."""
    generator = torch.Generator().manual_seed(0)
    spelt = [vocabulary.encode(word) for word in ("one", "seven")]
    longest, end = max(map(len, spelt)), vocabulary.end_id
    decoder_targets = torch.tensor([[*ids, *[end] * (longest + 1 - len(ids))] for ids in spelt])
    begins = torch.full((2, 1), end)
    num_tokens = torch.tensor([len(ids) for ids in spelt])
    decoder_mask = torch.arange(longest + 1) <= num_tokens[:, None]
    waveforms = 0.1 * torch.randn(2, LENGTHS[0], generator=generator)
    waveforms[1, LENGTHS[1] :] = 0.0
    lengths = torch.tensor(LENGTHS)
    num_frames = students.build_student(config, vocabulary, seed=0).num_frames(lengths)
    frames = int(num_frames.max())

    def drawn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator).log_softmax(dim=-1)

    tokens = decoder_targets[:, :-1]
    return Batch(
        utt_ids=("a", "b"),
        texts=("one", "seven"),
        waveforms=waveforms,
        lengths=lengths,
        tokens=tokens,
        num_tokens=num_tokens,
        decoder_inputs=torch.cat([begins, tokens], dim=1),
        decoder_targets=decoder_targets,
        decoder_mask=decoder_mask,
        weights=torch.tensor([1.0, 0.5]),
        frame_targets=drawn(2, frames, vocabulary.num_columns),
        frame_mask=torch.arange(frames) < num_frames[:, None],
        token_targets=drawn(2, longest + 1, vocabulary.num_columns),
        token_mask=decoder_mask,
        word_targets=drawn(2, num_words),
        word_mask=torch.tensor([True, True]),
        hypotheses=NBest(tokens, num_tokens, torch.tensor([0, 0]), torch.tensor([0.7, 0.3])),
        has_frame_targets=torch.tensor([True, True]),
    )


@pytest.fixture(autouse=True)
def _full_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """No TF32: its ten bits would hide differences, or look like some."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


@pytest.mark.parametrize(
    ("name", "options"),
    [*((name, None) for name in LOSS_TERMS), ("frame_kl", FrameKlConfig(symmetric=2, delay=1))],
)
def test_every_term_and_its_gradient(
    config: StudentConfig, vocabulary: Vocabulary, lexicon: Lexicon, name: LossTerm, options: FrameKlConfig | None
) -> None:
    batch = make_batch(config, vocabulary, len(lexicon.words))

    def step(device: torch.device) -> tuple[torch.Tensor, Mapping[str, torch.Tensor]]:
        student = students.build_student(config, vocabulary, seed=0).to(device).eval()
        settings = TermSettings(
            vocabulary.blank_id, 2.0, label_smoothing=0.1, scorer=LexiconScorer(lexicon, vocabulary), frame_kl=options
        )
        term = loss_terms((name,), listen(student, move_data_to_device(batch, device), (name,)), settings)[name].mean
        term.backward()
        return term.detach(), {key: p.grad for key, p in student.named_parameters() if p.grad is not None}

    (expected, wanted), (found, gradients) = step(torch.device("cpu")), step(GPU)
    assert found.device.type == GPU.type
    assert gradients.keys() == wanted.keys()
    torch.testing.assert_close(found.cpu(), expected, rtol=1e-4, atol=1e-5)
    for key, gradient in gradients.items():
        torch.testing.assert_close(gradient.cpu(), wanted[key], rtol=1e-2, atol=1e-4, msg=f"gradient of {key}")


@torch.inference_mode()
@pytest.mark.parametrize("mode", ["ctc", "decoder", "joint", "lexicon", "ctc-beam"])
def test_every_decode_mode(config: StudentConfig, vocabulary: Vocabulary, lexicon: Lexicon, mode: DecodeMode) -> None:
    batch = make_batch(config, vocabulary, len(lexicon.words))
    heard = []
    for device in (torch.device("cpu"), GPU):
        student = students.build_student(config, vocabulary, seed=0).to(device).eval()
        recogniser = make_recogniser(
            student, mode, resolve(mode, DecodeOptions()), lexicon=lambda: lexicon, searches=students
        )
        encoded = student.encode(batch.waveforms.to(device), batch.lengths.to(device))
        heard.append([recogniser.hypothesis(finding) for finding in recogniser.search(encoded)])
    for expected, found in zip(*heard, strict=True):
        assert found.text == expected.text
        assert found.log_prob == pytest.approx(expected.log_prob, rel=1e-3)
