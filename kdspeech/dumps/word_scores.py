"""Word posteriors from CTC: a teacher's say over a closed lexicon, comparable across vocabularies and frame rates.

Shapes: B batch, T frames, V vocabulary, W lexicon words.
"""

from collections.abc import Sequence

import numpy as np
import torch

from kdspeech.decoding.lexicon import LexiconScorer
from kdspeech.dumps.readback import pad_rows
from kdspeech.lexicon import Lexicon
from kdspeech.logspace import normalise
from kdspeech.vocabulary import Vocabulary


class WordPosteriors:
    """log p(w | x) over the lexicon, each word equally likely beforehand."""

    def __init__(self, lexicon: Lexicon, vocabulary: Vocabulary) -> None:
        """Spells the words in the teacher's own vocabulary. Raises VocabularyError where that cannot be done."""
        self._scorer = LexiconScorer(lexicon, vocabulary)

    def __call__(self, ctc_log_probs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Normalises the words' CTC likelihoods over the lexicon.

        Args:
            ctc_log_probs: float32 [T, V+1] each.

        Returns:
            float32 [W] each; uniform where no word fits into the frames.
        """
        batch, num_frames = pad_rows(ctc_log_probs)
        with torch.inference_mode():
            scores = self._scorer.word_log_likelihoods(batch, num_frames)  # [B, W]
            return list(normalise(scores.numpy()))
