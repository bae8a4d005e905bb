"""Teachers: models that each know one speaker, trained here or brought by the user.

This package is a `kdspeech.protocols.TeacherFamily`. SpeechBrain and NeMo are imported when a model is built or loaded.
"""

from kdspeech.teachers.conformer import train_initial
from kdspeech.teachers.conformer_training import train_teacher
from kdspeech.teachers.pretraining import pretrain_initial
from kdspeech.teachers.registry import load_teacher, register_teacher

__all__ = ["load_teacher", "pretrain_initial", "register_teacher", "train_initial", "train_teacher"]
