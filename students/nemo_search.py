"""CTC beam search by NeMo, with an n-gram language model if one is given.

NeMo's `beam_batch` keeps the best alignment of each text (it does not sum them), lists a text twice if it ends in a
blank and in a token, and lets frames after an utterance's end disturb its list. So those frames are made neutral, and
what it finds is ranked anew by the sum over all alignments.

Shapes: B batch, T frames, V vocabulary.
"""

from pathlib import Path
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from kdspeech.decoding.ctc import text_log_likelihoods
from kdspeech.errors import ConfigError
from kdspeech.hypothesis import Hypothesis, best_of, path_confidence
from kdspeech.students.nemo_import import quiet_nemo
from kdspeech.vocabulary import Vocabulary

with quiet_nemo():
    from nemo.collections.asr.parts.submodules.ctc_beam_decoding import BeamBatchedCTCInfer
    from nemo.collections.asr.parts.submodules.ngram_lm import NGramGPULanguageModel

_PRUNING = 30.0  # nats below the best alignment; what is further off is dropped

TokenIds = tuple[int, ...]


class NemoCtcSearch:
    """Finds texts C with a high log p_ctc(C | x) + alpha * log p_lm(C)."""

    def __init__(self, vocabulary: Vocabulary, beam: int, lm: Path | None = None, lm_weight: float = 0.0) -> None:
        """Loads the language model.

        Args:
            beam: alignments kept at each frame.
            lm: ARPA file whose words are token ids as NeMo writes them, chr(id + 100), of order 2 or more; or .nemo.
            lm_weight: alpha.

        Raises:
            ConfigError: NeMo cannot read the language model.
        """
        self._vocabulary, self._beam, self._lm_weight = vocabulary, beam, lm_weight
        self._lm: Any = None
        with quiet_nemo():
            self._search = BeamBatchedCTCInfer(
                blank_index=vocabulary.blank_id,
                beam_size=beam,
                return_best_hypothesis=False,
                beam_threshold=_PRUNING,
                allow_cuda_graphs=False,
            )
            if lm is not None:
                self._lm = _load_lm(lm, vocabulary)
                self._search.search_algorithm.fusion_models = [self._lm]
                self._search.search_algorithm.fusion_models_alpha = [lm_weight]

    @torch.inference_mode()
    def __call__(self, log_probs: torch.Tensor, num_frames: torch.Tensor) -> list[Hypothesis]:
        """Searches.

        Args:
            log_probs: [B, T, V+1], blank last.
            num_frames: int64 [B].

        Returns:
            B hypotheses with all that was found in `n_best`; `log_prob` is the sum that ranks them.
        """
        self._vocabulary.check_columns(log_probs.shape[-1])
        num_frames = num_frames.to(log_probs.device)
        neutral = torch.full_like(log_probs[0, 0], -torch.inf)
        neutral[-1] = 0.0  # a blank that costs nothing
        after = torch.arange(log_probs.shape[1], device=log_probs.device) >= num_frames[:, None]  # [B, T]
        padded = torch.where(after[:, :, None], neutral, log_probs)
        found = self._search(decoder_output=padded, decoder_lengths=num_frames)[0]
        texts = [  # NeMo has merged repeats and dropped blanks
            list(dict.fromkeys(tuple(int(token) for token in one.y_sequence) for one in many.n_best_hypotheses))
            for many in found
        ]
        scores = self._scored(texts, text_log_likelihoods(log_probs, num_frames, texts))
        return [self._hypothesis(*pair) for pair in zip(texts, scores, strict=True)]

    def _scored(self, texts: list[list[TokenIds]], scores: list[list[float]]) -> list[list[float]]:
        """Adds alpha * log p_lm(text, end) to the scores of each utterance's texts."""
        if self._lm is None:
            return scores
        flat = [torch.tensor(text, dtype=torch.long) for some in texts for text in some]
        lengths = torch.tensor([len(text) for text in flat])
        padded = pad_sequence(flat, batch_first=True)  # [N, U]
        device = self._lm.get_init_states(batch_size=1, bos=True).device
        rows = self._lm.score_sentences(padded.to(device), lengths.to(device), bos=True, eos=True)  # [N, U + 1]
        values = iter((self._lm_weight * rows.double().sum(dim=1)).tolist())
        return [[score + next(values) for score in some] for some in scores]

    def _hypothesis(self, texts: list[TokenIds], scores: list[float]) -> Hypothesis:
        ranked = sorted(zip(scores, texts, strict=True), key=lambda pair: (-pair[0], pair[1]))
        return best_of(
            [
                Hypothesis(self._vocabulary.decode(text), text, score, path_confidence(score, len(text)))
                for score, text in ranked
            ]
        )


def _load_lm(path: Path, vocabulary: Vocabulary) -> Any:
    try:
        return NGramGPULanguageModel.from_file(lm_path=path, vocab_size=vocabulary.size)
    except (OSError, ValueError, AssertionError, KeyError, IndexError, NotImplementedError, RuntimeError) as error:
        raise ConfigError(
            f"NeMo cannot read the language model {path} ({type(error).__name__}: {error}). Expected an ARPA file of "
            f"order 2 or more over this vocabulary's {vocabulary.size} token ids, each written as chr(id + 100), as "
            "NeMo's train_kenlm.py does, or the .nemo file of one."
        ) from error
