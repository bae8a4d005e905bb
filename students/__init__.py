"""The models that are trained. Importing this package is light; NeMo is loaded by the first call."""

from typing import TYPE_CHECKING

from kdspeech.config import StudentConfig
from kdspeech.vocabulary import Vocabulary

if TYPE_CHECKING:
    from kdspeech.students.hybrid import HybridStudent

__all__ = ["build_student", "starting_speakers"]


def build_student(config: StudentConfig, vocabulary: Vocabulary, seed: int) -> "HybridStudent":
    """A student to be trained; the same seed gives the same weights.

    Raises:
        ConfigError: settings that do not fit together.
        KdspeechError: a starting checkpoint that cannot be had.
    """
    from kdspeech.students.hybrid import build_hybrid

    return build_hybrid(config, vocabulary, seed)


def starting_speakers(config: StudentConfig) -> tuple[str, ...] | None:
    """Speakers heard by the checkpoint that the student starts from; () from scratch, None where nobody knows."""
    return () if config.encoder is None else None
