"""Closed-lexicon decoding: the exact CTC likelihood of every word of the task.

Shapes: B batch, T frames, V vocabulary, W words.
"""

from collections.abc import Mapping

import numpy as np
import torch

from kdspeech.decoding.prefix_tree import build_tree
from kdspeech.decoding.tree_scores import tree_log_likelihoods
from kdspeech.errors import VocabularyError
from kdspeech.hypothesis import Hypothesis, best_of
from kdspeech.lexicon import Lexicon
from kdspeech.logspace import LOG_ZERO, normalise
from kdspeech.vocabulary import Vocabulary


class LexiconScorer:
    """Scores every word of a lexicon by the CTC forward recursion over the tree of their spellings."""

    def __init__(self, lexicon: Lexicon, vocabulary: Vocabulary, priors: Mapping[str, float] | None = None) -> None:
        """Spells the words.

        Each word has one spelling, the vocabulary's own, and gives itself back when decoded; so no two words share one.

        Args:
            priors: probability of every word; without them all are equally likely.

        Raises:
            VocabularyError: a word needs the unknown piece or does not survive the vocabulary.
        """
        self.lexicon = lexicon
        self.vocabulary = vocabulary
        self.token_ids: tuple[tuple[int, ...], ...] = tuple(_spell(word, vocabulary) for word in lexicon.words)
        self._tree = build_tree(self.token_ids)
        self._log_priors = np.array([np.log(priors[word]) if priors else 0.0 for word in lexicon.words])

    def word_log_likelihoods(self, log_probs: torch.Tensor, num_frames: torch.Tensor) -> torch.Tensor:
        """Log of the summed probability of all alignments of each word.

        Gradients flow back into `log_probs` where it asks for them, so that a loss on word posteriors can call this.

        Args:
            log_probs: [B, T, V+1], blank last; -inf is allowed.
            num_frames: int64 [B]; later frames are padding and are not looked at.

        Returns:
            float32 [B, W]; LOG_ZERO where the audio has too few frames for the word, and never below it.

        Raises:
            VocabularyError: the log-probs have another number of columns than the vocabulary.
        """
        self.vocabulary.check_columns(log_probs.shape[-1])
        self._tree = self._tree.to(log_probs.device)
        return tree_log_likelihoods(self._tree, log_probs.float(), num_frames.to(log_probs.device))

    def scores(self, log_probs: torch.Tensor, num_frames: torch.Tensor) -> list[np.ndarray]:
        """log p(x | w) + log p(w) of every word: float32 [W] for each of B utterances, LOG_ZERO where it cannot be.

        Args:
            log_probs: [B, T, V+1], blank last.
            num_frames: int64 [B].
        """
        likelihoods = self.word_log_likelihoods(log_probs, num_frames).cpu().numpy()
        return [np.where(row > LOG_ZERO, row + self._log_priors, LOG_ZERO).astype(np.float32) for row in likelihoods]

    def hypothesis(self, scores: np.ndarray, n_best: int = 1, temperature: float = 1.0) -> Hypothesis:
        """The likeliest word; an empty text with confidence 0 where no word fits into the frames.

        Args:
            scores: [W], one row of `scores`.
            n_best: so many words are listed, the likeliest first; 1 lists none.
            temperature: the confidence is softmax(scores / temperature), the posterior over the whole list.

        Returns:
            A hypothesis whose `log_prob` is the word's score.
        """
        confidences = np.exp(normalise(scores.astype(np.float64) / temperature).astype(np.float64))
        order = np.argsort(-scores, kind="stable")[:n_best]
        ranked = [
            Hypothesis(self.lexicon.words[w], self.token_ids[w], float(scores[w]), min(1.0, float(confidences[w])))
            for w in order.tolist()
            if scores[w] > LOG_ZERO
        ]
        return best_of(ranked) if n_best > 1 or not ranked else ranked[0]

    def decode(self, log_probs: torch.Tensor, num_frames: torch.Tensor, n_best: int = 1) -> list[Hypothesis]:
        """The likeliest word of each utterance, see `hypothesis`.

        Args:
            log_probs: [B, T, V+1], blank last.
            num_frames: int64 [B].
        """
        return [self.hypothesis(row, n_best) for row in self.scores(log_probs, num_frames)]


def _spell(word: str, vocabulary: Vocabulary) -> tuple[int, ...]:
    token_ids = tuple(vocabulary.encode(word))
    if not token_ids or vocabulary.special_ids.intersection(token_ids) or vocabulary.decode(token_ids) != word:
        pieces = " ".join(vocabulary.pieces[token] for token in token_ids) or "nothing"
        raise VocabularyError(
            f"lexicon word {word!r} is spelt {pieces} in the vocabulary (sha256 {vocabulary.sha256[:12]}) and does not "
            "come back from it. Correct the lexicon's case or letters, or train the vocabulary on this lexicon."
        )
    return token_ids
