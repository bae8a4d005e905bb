"""CTC and attention together: each judges complete texts, and the weighted sum ranks them.

Shapes: B batch, T frames, V vocabulary.
"""

import torch

from kdspeech.decoding.autoregressive import decoder_log_likelihoods
from kdspeech.decoding.beam import BeamOptions, beam_decoder
from kdspeech.decoding.ctc import greedy_ctc, text_log_likelihoods
from kdspeech.hypothesis import Hypothesis, best_of, path_confidence
from kdspeech.protocols import Encoded, Student


@torch.inference_mode()
def joint_decoder(student: Student, encoded: Encoded, options: BeamOptions, ctc_weight: float) -> list[Hypothesis]:
    """Rescoring by both heads: Hori, Watanabe & Hershey 2017 (ACL), Watanabe et al. 2017 (JSTSP 11/8).

        C* = argmax_C  lambda * log p_ctc(C | X) + (1 - lambda) * log p_att(C | X)

    over the complete texts C that the attention decoder's beam finds, and the one of greedy CTC: to CTC a runaway or a
    text cut short is all but impossible. p_ctc sums over all alignments; p_att has no penalties, and has the end.

    Args:
        encoded: the encoder's output of B utterances.
        options: of the attention decoder's search; its length normalisation ranks the candidates, not the result.
        ctc_weight: lambda, in [0, 1].

    Returns:
        B hypotheses with their candidates in `n_best`; `log_prob` is the weighted sum.
    """
    frames, vocabulary = encoded.num_frames, student.vocabulary
    log_probs = student.ctc_log_probs(encoded)  # [B, T, V+1]
    found = beam_decoder(student, encoded, frames, options)
    greedy = greedy_ctc(log_probs, frames, vocabulary)
    candidates = [
        list(dict.fromkeys([*(h.token_ids for h in hypothesis.n_best), path.token_ids]))
        for hypothesis, path in zip(found, greedy, strict=True)
    ]
    by_ctc = text_log_likelihoods(log_probs, frames, candidates)
    by_attention = decoder_log_likelihoods(student, encoded, frames, candidates)
    results = []
    for texts, ctc, attention in zip(candidates, by_ctc, by_attention, strict=True):
        scored = [
            Hypothesis(
                vocabulary.decode(token_ids),
                token_ids,
                score := ctc_weight * ctc_score + (1 - ctc_weight) * attention_score,
                path_confidence(score, len(token_ids)),
            )
            for token_ids, ctc_score, attention_score in zip(texts, ctc, attention, strict=True)
        ]
        results.append(best_of(sorted(scored, key=lambda h: (-h.log_prob, h.token_ids))[: options.size]))
    return results
