"""Environment of all tests, and the fixtures that several of them share."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
import torch

from kdspeech.lexicon import Lexicon
from kdspeech.vocabulary import Vocabulary

torch.set_num_threads(1)

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@pytest.fixture(scope="session")
def lexicon() -> Lexicon:
    """The ten digits."""
    return Lexicon(DIGITS)


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """SentencePiece pieces of the ten digits, in SpeechBrain's id layout."""
    return Vocabulary.train(DIGITS, size=40, model_type="bpe")
