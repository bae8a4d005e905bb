"""The models that are trained. Importing this package is light; NeMo is loaded by the first call."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kdspeech.config import StudentConfig
from kdspeech.vocabulary import Vocabulary

if TYPE_CHECKING:
    import torch

    from kdspeech.hypothesis import Hypothesis
    from kdspeech.students.hybrid import HybridStudent

__all__ = ["build_student", "ctc_search", "export_encoder", "starting_speakers"]


def build_student(config: StudentConfig, vocabulary: Vocabulary, seed: int) -> "HybridStudent":
    """A student to be trained; the same seed gives the same weights.

    Raises:
        ConfigError: settings that do not fit together.
        KdspeechError: a starting checkpoint that cannot be had.
    """
    from kdspeech.students.hybrid import build_hybrid

    return build_hybrid(config, vocabulary, seed)


def starting_speakers(config: StudentConfig) -> tuple[str, ...] | None:
    """Speakers heard by the checkpoint that the student starts from.

    () from scratch and for a checkpoint that `kdspeech pretrain` made; None for a foreign one, where nobody knows.
    """
    if config.encoder is None:
        return ()
    from kdspeech.model_folders.pretrained import speakers_heard

    return speakers_heard(Path(config.encoder))


def ctc_search(
    vocabulary: Vocabulary, beam: int, lm: Path | None = None, lm_weight: float = 0.0
) -> "Callable[[torch.Tensor, torch.Tensor], list[Hypothesis]]":
    """NeMo's CTC beam search over log-probs [B, T, V+1] with num_frames [B], with an n-gram language model if given.

    Raises:
        ConfigError: a language model that NeMo cannot read.
    """
    from kdspeech.students.nemo_search import NemoCtcSearch

    return NemoCtcSearch(vocabulary, beam, lm, lm_weight)


def export_encoder(student: "HybridStudent", path: Path) -> None:
    """Writes the student's encoder and CTC head as a .nemo file."""
    from kdspeech.students.nemo_export import write_nemo

    write_nemo(student, path)
