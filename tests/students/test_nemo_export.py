"""A student's encoder as a .nemo file: NeMo restores it, and hears what the student heard."""

from pathlib import Path

import pytest
import torch

from kdspeech import students
from kdspeech.config import StudentConfig
from kdspeech.errors import ConfigError
from kdspeech.students.hybrid import HybridStudent
from kdspeech.students.nemo_export import nemo_config
from kdspeech.students.nemo_import import quiet_nemo
from kdspeech.vocabulary import Vocabulary

pytestmark = pytest.mark.slow  # NeMo takes ten seconds to import

LENGTHS = (16_000, 7_000)  # samples


@pytest.fixture(scope="module")
def student(tiny_config: StudentConfig, vocabulary: Vocabulary) -> HybridStudent:
    """Without a decoder, as pretraining builds it; BatchNorm has seen something."""
    config = tiny_config.model_copy(update={"decoder_layers": 0, "preprocessor_config": {"normalize": "all_features"}})
    student = students.build_student(config, vocabulary, seed=0).train()
    student(0.1 * torch.randn(4, 16_000, generator=torch.Generator().manual_seed(1)), torch.tensor([16_000] * 4))
    return student.eval()


@pytest.fixture(scope="module")
def exported(student: HybridStudent, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "encoder.nemo"
    state = torch.get_rng_state()
    students.export_encoder(student, path)
    assert torch.equal(torch.get_rng_state(), state)  # the caller's random numbers stay
    assert [file.name for file in path.parent.iterdir()] == ["encoder.nemo"]
    return path


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    waveforms = torch.zeros(2, LENGTHS[0])
    for row, length in enumerate(LENGTHS):
        waveforms[row, :length] = 0.1 * torch.randn(length, generator=torch.Generator().manual_seed(row))
    return waveforms, torch.tensor(LENGTHS)


@torch.inference_mode()
def test_nemo_itself_gives_the_students_log_probs(
    exported: Path, student: HybridStudent, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    with quiet_nemo():
        from nemo.collections.asr.models import ASRModel, EncDecCTCModelBPE

        model = ASRModel.restore_from(str(exported), map_location="cpu").eval()
    assert isinstance(model, EncDecCTCModelBPE)
    theirs, their_frames, _ = model(input_signal=batch[0], input_signal_length=batch[1])
    ours = student(*batch)
    assert ours.num_frames.tolist() == their_frames.tolist()
    for row, num_frames in enumerate(their_frames.tolist()):
        torch.testing.assert_close(ours.ctc_log_probs[row, :num_frames], theirs[row, :num_frames], rtol=0, atol=1e-5)
    assert model.tokenizer.ids_to_text(student.vocabulary.encode("seven")) == "seven"


@torch.inference_mode()
def test_a_student_that_starts_from_it_hears_the_same(
    exported: Path, student: HybridStudent, batch: tuple[torch.Tensor, torch.Tensor]
) -> None:
    start = student.config.model_copy(update={"encoder": str(exported), "encoder_config": None, "decoder_layers": 2})
    again = students.build_student(start, student.vocabulary, seed=5).eval()
    torch.testing.assert_close(again(*batch).ctc_log_probs, student(*batch).ctc_log_probs, rtol=0, atol=1e-5)
    alone = again(batch[0][1:, : LENGTHS[1]], batch[1][1:])  # padding does not change it
    num_frames = int(alone.num_frames[0])
    torch.testing.assert_close(
        again(*batch).ctc_log_probs[1, :num_frames], alone.ctc_log_probs[0, :num_frames], rtol=0, atol=1e-5
    )


def test_an_encoder_that_is_not_described_cannot_be_exported(vocabulary: Vocabulary, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"student\.encoder=nvidia/x"):
        nemo_config(StudentConfig(encoder="nvidia/x"), vocabulary, tmp_path, 32)
