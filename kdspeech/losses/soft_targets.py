"""Losses on distributions: the teachers' over columns or words, or those of another view of the same recording.

Shapes: B batch, T frames, U decoder positions, V vocabulary, W words of the lexicon, M kept rows, C columns.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from kdspeech.errors import RunError
from kdspeech.logspace import LOG_ZERO
from kdspeech.losses.loss_sum import LossSum, at_least_float32, masked_log_softmax, sum_rows


def masked_kl(
    student_log_probs: Tensor,
    target_log_probs: Tensor,
    mask: Tensor,
    temperature: float,
    weights: Tensor | None = None,
) -> LossSum:
    """t^2 KL(p || q), p the target, q = softmax(log student / t) (Hinton et al. 2015, section 2).

    The factor t^2 keeps the gradient's size beside hard-label terms: without it it shrinks as 1/t^2. It is a
    divergence, not a cross-entropy: 0 where the student equals the target. Serves frames (`frame_kl`) and decoder
    positions (`token_kl`).

    Args:
        student_log_probs: [B, T, V+1], at temperature 1.
        target_log_probs: [B, T, V+1], already at temperature t; LOG_ZERO stands for log 0.
        mask: bool [B, T], true where the row counts; what stands elsewhere is never looked at.
        temperature: t > 0.
        weights: float32 [B], at least 0, as the teachers' confidence in an utterance; None: all 1.

    Returns:
        The sum over unmasked rows; the count is theirs, each weighed as its utterance.
    """
    student = masked_log_softmax(student_log_probs, mask, temperature)  # [M, V+1]
    divergence = temperature**2 * _divergence(target_log_probs[mask], student)
    return sum_rows(divergence, mask, weights)


def symmetric_mask(
    teacher_mask: Tensor, student_blank_log_probs: Tensor, num_frames: Tensor, threshold: float, dilation: int
) -> Tensor:
    """Frames around the teachers' spikes and around the student's.

    Hilmes et al. 2025 (arXiv 2506.01503) keep n frames before and after each spike of the teacher, which is
    `teacher_mask`. Such a mask never sees a student that spikes elsewhere: its needless tokens cost nothing. So the
    frames around the student's own spikes are kept as well, and there the teachers' blank speaks.

    Args:
        teacher_mask: bool [B, T], as kdspeech.targets.pooling.frame_mask makes it.
        student_blank_log_probs: [B, T], of the current step at temperature 1; no gradient flows through the choice.
        num_frames: int64 [B]; nothing after them is kept.
        threshold: a student's frame is a spike while its blank's probability is below it, in (0, 1].
        dilation: n >= 0 frames on each side of a spike.

    Returns:
        bool [B, T], at least what `teacher_mask` keeps.
    """
    inside = torch.arange(teacher_mask.shape[1], device=teacher_mask.device) < num_frames[:, None]  # [B, T]
    spikes = (student_blank_log_probs.detach().exp() < threshold) & inside  # [B, T]
    near = F.max_pool1d(spikes.float()[:, None], 2 * dilation + 1, stride=1, padding=dilation)[:, 0] > 0  # [B, T]
    return teacher_mask | (near & inside)


def delay_tolerant_kl(
    student_log_probs: Tensor,
    target_log_probs: Tensor,
    mask: Tensor,
    num_frames: Tensor,
    temperature: float,
    max_delay: int,
    weights: Tensor | None = None,
) -> LossSum:
    """t^2 sum over kept frames i of min KL(p_i || q_j), over the student's frames j within `max_delay` of i.

    Models trained apart spike at different frames, so that plain frame KL teaches two half spikes instead of one
    (Kurata & Audhkhasi 2019, arXiv 1904.08311). A range of delays between teacher and student is the remedy of
    Delayed-KD (Li et al. 2025, arXiv 2505.22069), there on one side, for streaming. The hard minimum is used because it
    is 0 exactly where the student says the same within reach, equals `masked_kl` for a delay of 0, never grows with the
    delay, and has no further setting; a soft one teaches all frames within reach the same, which smears the spike. Of
    equally good frames the nearest learns. A student's spike that no teacher has may go unpunished, since each frame of
    blank finds another blank nearby: use it beside a term that sees them, `ctc` or a `masked_kl` on `symmetric_mask`.

    Args:
        student_log_probs: [B, T, V+1], at temperature 1.
        target_log_probs: [B, T, V+1], already at temperature t; LOG_ZERO stands for log 0.
        mask: bool [B, T], the target's frames that count; true inside the utterances only.
        num_frames: int64 [B]; no later frame of the student is looked at.
        temperature: t > 0.
        max_delay: d >= 0 frames, on both sides.
        weights: float32 [B], at least 0; None: all 1.

    Returns:
        The sum over the target's kept frames; the count is theirs, each weighed as its utterance.
    """
    utterance, frame = mask.nonzero(as_tuple=True)  # [M], [M]
    target = target_log_probs[mask]  # [M, V+1]
    with torch.no_grad():
        student = torch.log_softmax(at_least_float32(student_log_probs) / temperature, dim=-1)  # [B, T, V+1]
        best = frame
        lowest = torch.full_like(frame, torch.inf, dtype=student.dtype)  # [M]
        for delay in sorted(range(-max_delay, max_delay + 1), key=abs):
            other = frame + delay  # [M]
            inside = (other >= 0) & (other < num_frames[utterance])
            divergence = _divergence(target, student[utterance, other.clamp(0, student.shape[1] - 1)])
            better = inside & (divergence < lowest)
            best, lowest = torch.where(better, other, best), torch.where(better, divergence, lowest)
    rows = torch.log_softmax(at_least_float32(student_log_probs[utterance, best]) / temperature, dim=-1)  # [M, V+1]
    return sum_rows(temperature**2 * _divergence(target, rows), mask, weights)


def word_posterior_kl(
    word_log_likelihoods: Tensor,
    target_log_probs: Tensor,
    mask: Tensor,
    temperature: float,
    weights: Tensor | None = None,
) -> LossSum:
    """t^2 KL(p || q), q(w | x) = softmax over the lexicon of log p(w | x) / t.

    Sequence-level distillation (Takashima et al. 2019; Wong & Gales 2016) where the sequences are the words of a closed
    list: with equal priors, CTC's likelihoods of all words make an exact posterior. It needs no alignment, and no
    vocabulary or frame rate in common with the teachers.

    Words that do not fit into the student's frames score LOG_ZERO: nothing can be learnt about them, so they are left
    out of q, and p is renormalised over the rest. An utterance in which no word fits, or all of p is on words that do
    not, is not counted.

    Args:
        word_log_likelihoods: [B, W], at temperature 1, LOG_ZERO where a word does not fit.
        target_log_probs: [B, W], already at temperature t; LOG_ZERO stands for log 0.
        mask: bool [B], true where the utterance counts; what stands elsewhere is never looked at.
        temperature: t > 0.
        weights: float32 [B], at least 0; None: all 1.

    Returns:
        The sum over unmasked utterances; the count is theirs, each by its weight.
    """
    fits = word_log_likelihoods > LOG_ZERO  # [B, W]
    target = at_least_float32(target_log_probs).masked_fill(~fits, LOG_ZERO)  # [B, W]
    counted = mask & fits.any(dim=1) & (target.amax(dim=1) > LOG_ZERO)  # [B]
    absent = ~fits[counted]  # [M, W]
    student = masked_log_softmax(word_log_likelihoods.masked_fill(~fits, -torch.inf), counted, temperature)  # [M, W]
    target = torch.log_softmax(target[counted], dim=1)
    divergence = _divergence(target, student.masked_fill(absent, 0.0))  # exp(LOG_ZERO) is 0: no share of these words
    return sum_rows(temperature**2 * divergence, counted, weights)


def consistency_kl(
    first_log_probs: Tensor,
    second_log_probs: Tensor,
    first_num_frames: Tensor,
    second_num_frames: Tensor,
    weights: Tensor | None = None,
) -> LossSum:
    """1/2 sum_t KL(sg(z_b,t) || z_a,t) + KL(sg(z_a,t) || z_b,t): CR-CTC (Yao et al., ICLR 2025, arXiv 2410.05101).

    z_a and z_b are the CTC distributions of two augmented views of a recording, sg stops the gradient: each view
    learns from the other. The paper adds alpha = 0.2 times this, summed over frames, to 1/2 (CTC(z_a) + CTC(z_b)), and
    masks 2.5 times as much in time as suits a single view. Here CTC is a mean over tokens and this one over frames: a
    weight of alpha times the frames of a token is the paper's.

    Args:
        first_log_probs: [B, T, V+1], z_a.
        second_log_probs: [B, T, V+1], z_b.
        first_num_frames: int64 [B].
        second_num_frames: int64 [B].
        weights: float32 [B], at least 0; None: all 1.

    Returns:
        The sum over frames; the count is one view's frames, each weighed as its utterance.

    Raises:
        RunError: the views differ in their numbers of frames, as after two changes of speed.
    """
    differ = torch.nonzero(first_num_frames != second_num_frames).flatten().tolist()
    if differ:
        raise RunError(
            f"the two views of {len(differ)} utterances of a batch differ in their numbers of frames: "
            + "; ".join(f"index {i}: {int(first_num_frames[i])} and {int(second_num_frames[i])}" for i in differ[:5])
            + ". Consistency compares them frame by frame: change speed or tempo before the views are made, not in one."
        )
    num_columns = min(first_log_probs.shape[1], second_log_probs.shape[1])  # T may exceed the longest's frames
    mask = torch.arange(num_columns, device=first_num_frames.device) < first_num_frames[:, None]  # [B, T]
    first = masked_log_softmax(first_log_probs[:, :num_columns], mask, temperature=1.0)  # [M, V+1]
    second = masked_log_softmax(second_log_probs[:, :num_columns], mask, temperature=1.0)  # [M, V+1]
    divergence = 0.5 * (_divergence(second.detach(), first) + _divergence(first.detach(), second))
    return sum_rows(divergence, mask, weights)


def _divergence(target_log_probs: Tensor, log_probs: Tensor) -> Tensor:
    """KL(target || other) of each row of [M, C], in nats: [M]. The target's log 0 may be -inf or LOG_ZERO."""
    target = at_least_float32(target_log_probs).clamp(min=LOG_ZERO)
    return (target.exp() * (target - log_probs)).sum(dim=-1)
