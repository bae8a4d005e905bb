"""Closed-lexicon decoding: the exact CTC likelihood of every word of the task.

Shapes: B batch, T frames, V vocabulary, W words, S states of a word's CTC graph (blanks and tokens, alternating).
"""

import torch
from torch.nn.utils.rnn import pad_sequence

from kdspeech.decoding.hypothesis import Hypothesis
from kdspeech.errors import VocabularyError
from kdspeech.lexicon import Lexicon
from kdspeech.logspace import LOG_ZERO
from kdspeech.vocabulary import Vocabulary

_MAX_CELLS = 4_000_000  # of one [B, W, S] float32 array (16 MB); more words go in chunks


class LexiconScorer:
    """Scores every word of a lexicon by the CTC forward recursion."""

    def __init__(self, lexicon: Lexicon, vocabulary: Vocabulary) -> None:
        """Spells the words.

        Each word has one spelling, the vocabulary's own, and gives itself back when decoded; so no two words share one.

        Raises:
            VocabularyError: a word needs the unknown piece or does not survive the vocabulary.
        """
        self.lexicon = lexicon
        self.vocabulary = vocabulary
        self.token_ids: tuple[tuple[int, ...], ...] = tuple(_spell(word, vocabulary) for word in lexicon.words)

    def word_log_likelihoods(self, log_probs: torch.Tensor, num_frames: torch.Tensor) -> torch.Tensor:
        """Log of the summed probability of all alignments of each word.

        log p(w | x) by the forward variable of Graves et al. 2006 (Connectionist Temporal Classification), eq. 5-8.

        Args:
            log_probs: [B, T, V+1], blank last; -inf is allowed.
            num_frames: int64 [B]; later frames are padding and are not looked at.

        Returns:
            float32 [B, W]; LOG_ZERO where the audio has too few frames for the word, and never below it.

        Raises:
            VocabularyError: the log-probs have another number of columns than the vocabulary.
        """
        self.vocabulary.check_columns(log_probs.shape[-1])
        log_probs, num_frames = log_probs.detach().float(), num_frames.to(log_probs.device)
        num_states = 2 * max(map(len, self.token_ids)) + 1
        words_at_once = max(1, _MAX_CELLS // max(1, len(log_probs) * num_states))
        chunks = [
            _forward_log_likelihoods(log_probs, num_frames, self.token_ids[i : i + words_at_once])
            for i in range(0, len(self.token_ids), words_at_once)
        ]
        return torch.cat(chunks, dim=1).clamp(min=LOG_ZERO)

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


def _forward_log_likelihoods(
    log_probs: torch.Tensor, num_frames: torch.Tensor, words: tuple[tuple[int, ...], ...]
) -> torch.Tensor:
    """The CTC forward recursion of all words and utterances side by side: [B, W], -inf where infeasible."""
    batch_size, max_frames, num_columns = log_probs.shape
    device, blank_id = log_probs.device, num_columns - 1
    tokens = pad_sequence([torch.tensor(word) for word in words], batch_first=True, padding_value=blank_id)  # [W, L]
    lengths = torch.tensor([len(word) for word in words], device=device)  # [W]
    states = torch.full((len(words), 2 * tokens.shape[1] + 1), blank_id, device=device)  # [W, S]
    states[:, 1::2] = tokens.to(device)
    may_skip = torch.zeros_like(states, dtype=torch.bool)  # over the blank between two different tokens
    may_skip[:, 2:] = (states[:, 2:] != blank_id) & (states[:, 2:] != states[:, :-2])

    alpha = log_probs.new_full((batch_size, *states.shape), -torch.inf)  # [B, W, S]
    alpha[:, :, 0] = 0.0  # before the first frame: as if a blank had just been left
    for frame in range(max_frames):
        emissions = log_probs[:, frame, states.flatten()].view(alpha.shape)  # [B, W, S]
        before_one = _shifted(alpha, 1)
        before_two = _shifted(alpha, 2).masked_fill(~may_skip, -torch.inf)
        moved = torch.logaddexp(torch.logaddexp(alpha, before_one), before_two) + emissions
        alpha = torch.where((frame < num_frames)[:, None, None], moved, alpha)
    last = (2 * lengths)[None, :, None].expand(
        batch_size, -1, 1
    )  # the final blank's state; the last token's is before it
    return torch.logaddexp(alpha.gather(2, last), alpha.gather(2, last - 1))[:, :, 0]


def _shifted(alpha: torch.Tensor, count: int) -> torch.Tensor:
    """alpha [B, W, S] moved `count` states on, -inf in front."""
    return torch.nn.functional.pad(alpha, (count, 0), value=-torch.inf)[:, :, : alpha.shape[2]]
