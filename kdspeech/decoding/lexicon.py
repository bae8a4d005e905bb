"""Closed-lexicon decoding: the exact CTC likelihood of every word of the task.

Shapes: B batch, T frames, V vocabulary, W words.
"""

import torch

from kdspeech.decoding.hypothesis import Hypothesis
from kdspeech.decoding.prefix_tree import build_tree
from kdspeech.decoding.tree_scores import tree_log_likelihoods
from kdspeech.errors import VocabularyError
from kdspeech.lexicon import Lexicon
from kdspeech.logspace import LOG_ZERO
from kdspeech.vocabulary import Vocabulary


class LexiconScorer:
    """Scores every word of a lexicon by the CTC forward recursion over the tree of their spellings."""

    def __init__(self, lexicon: Lexicon, vocabulary: Vocabulary) -> None:
        """Spells the words.

        Each word has one spelling, the vocabulary's own, and gives itself back when decoded; so no two words share one.

        Raises:
            VocabularyError: a word needs the unknown piece or does not survive the vocabulary.
        """
        self.lexicon = lexicon
        self.vocabulary = vocabulary
        self.token_ids: tuple[tuple[int, ...], ...] = tuple(_spell(word, vocabulary) for word in lexicon.words)
        self._tree = build_tree(self.token_ids)

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

    def decode(self, log_probs: torch.Tensor, num_frames: torch.Tensor) -> list[Hypothesis]:
        """The likeliest word of each utterance; an empty text where no word fits into the frames.

        Args:
            log_probs: [B, T, V+1], blank last.
            num_frames: int64 [B].

        Returns:
            B hypotheses; `log_prob` is the word's log p(w | x).
        """
        values, indices = self.word_log_likelihoods(log_probs, num_frames).max(dim=1)
        return [
            Hypothesis(self.lexicon.words[index], self.token_ids[index], value)
            if value > LOG_ZERO
            else Hypothesis("", (), LOG_ZERO)
            for value, index in zip(values.tolist(), indices.tolist(), strict=True)
        ]


def _spell(word: str, vocabulary: Vocabulary) -> tuple[int, ...]:
    token_ids = tuple(vocabulary.encode(word))
    if not token_ids or vocabulary.special_ids.intersection(token_ids) or vocabulary.decode(token_ids) != word:
        pieces = " ".join(vocabulary.pieces[token] for token in token_ids) or "nothing"
        raise VocabularyError(
            f"lexicon word {word!r} is spelt {pieces} in the vocabulary (sha256 {vocabulary.sha256[:12]}) and does not "
            "come back from it. Correct the lexicon's case or letters, or train the vocabulary on this lexicon."
        )
    return token_ids
