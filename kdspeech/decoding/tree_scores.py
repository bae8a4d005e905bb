"""CTC likelihoods of all words of a prefix tree in one recursion over the frames, and their gradient.

The forward variable of Graves et al. 2006 (Connectionist Temporal Classification), eq. 5-8, over the tree's nodes
instead of one word's states. With y_t(k) the probability of column k, and everything divided by the probability of an
all-blank path up to t, r_t(k) = y_t(k) / y_t(blank):

    token_t(n) = r_t(token of n) * (token_{t-1}(n) + total_{t-1}(parent of n))     paths that are in n's token at t
    total_t(n) = total_{t-1}(n) + token_t(n)                                       paths that have spelt n by t
    p(word | x) = total_T(end of word) * prod_t y_t(blank)

where a node that repeats its parent's token takes total_{t-2}(parent), the paths in the blank behind it (the echo).
This is computed in float64 and not in logs, which is several times faster: an utterance whose numbers leave float64's
range is noticed and done again in logs. float32 would be faster still, but 455 words lie e^170 to e^300 apart, and it
holds e^87. Rows are [N, b]: gathering a node's parent copies b neighbours. A frame's work is little more than memory
traffic: everything is done in place, in as few passes and buffers as there can be.

Shapes: B batch, b utterances at a time, T frames, V vocabulary, W words, N nodes, E echoes, K distinct tokens.
"""

from dataclasses import dataclass
from typing import Any

import torch

from kdspeech.decoding.prefix_tree import PrefixTree
from kdspeech.logspace import LOG_ZERO

_MAX_CELLS = 8_000_000  # float64 numbers held for the utterances of one go (64 MB)
_MAX_UTTERANCES = 64  # more in one go only leave the cache
_CHECK_EVERY = 8  # frames
_SMALLEST = 1e-280  # what is smaller may have lost digits: float64 ends at 2e-308; the root, nothing spelt, is always 1
_NEVER = -1e30  # log of no probability at all; finite, so that gradients stay numbers


def tree_log_likelihoods(tree: PrefixTree, log_probs: torch.Tensor, num_frames: torch.Tensor) -> torch.Tensor:
    """log p(word | x) of every word, with gradients where `log_probs` asks for them.

    Args:
        tree: on the device of `log_probs`.
        log_probs: float32 [B, T, V+1], blank last; -inf is allowed.
        num_frames: int64 [B]; later frames are not looked at and get no gradient.

    Returns:
        float32 [B, W]; LOG_ZERO where the audio has too few frames for the word, and never below it.
    """
    scores, exact = _TreeScores.apply(log_probs, num_frames, tree)
    if not bool(exact.all()):
        rest = ~exact
        again = _log_space_scores(tree, log_probs[rest], num_frames[rest])
        scores = scores.masked_scatter(rest[:, None], again)
    result: torch.Tensor = scores.clamp(min=LOG_ZERO)
    return result


class _TreeScores(torch.autograd.Function):
    """The recursion in float64; its gradient runs it again, a few utterances at a time, so that memory is bounded."""

    @staticmethod
    def forward(
        ctx: Any, log_probs: torch.Tensor, num_frames: torch.Tensor, tree: PrefixTree
    ) -> tuple[torch.Tensor, torch.Tensor]:
        parts = []
        for rows in _portions(tree, log_probs, keep=False):
            run = _run(tree, log_probs[rows], num_frames[rows])
            parts.append((run.log_likelihoods(tree), run.exact))
        scores, exact = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        ctx.tree = tree
        ctx.save_for_backward(log_probs, num_frames, exact)
        ctx.mark_non_differentiable(exact)
        return scores, exact

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        log_probs, num_frames, exact = ctx.saved_tensors
        parts = [
            _gradient(ctx.tree, log_probs[rows], num_frames[rows], exact[rows], gradients[0][rows])
            for rows in _portions(ctx.tree, log_probs, keep=True)
        ]
        return torch.cat(parts), None, None


def _portions(tree: PrefixTree, log_probs: torch.Tensor, keep: bool) -> list[slice]:
    """Slices of the batch that fit into memory; `keep` if every frame's variables stay."""
    max_frames = log_probs.shape[1]
    cells = tree.num_nodes * (max_frames if keep else 4) + max_frames * (len(tree.columns) + 1)
    size = max(1, min(_MAX_UTTERANCES, _MAX_CELLS // cells))
    return [slice(start, start + size) for start in range(0, max(1, len(log_probs)), size)]


@dataclass
class _Run:
    """What one pass over the frames leaves."""

    ratios: torch.Tensor  # float64 [T, K+1, b], r_t of the tree's tokens; the last row is 0, the root's
    totals: torch.Tensor  # float64 [N+E, b] after the last frame
    log_blanks: torch.Tensor  # float64 [b], of the all-blank path, by which everything is divided
    exact: torch.Tensor  # bool [b]; false where a number left float64's range
    frames: list[torch.Tensor]  # token_t float64 [N, b] of every frame, if kept

    def log_likelihoods(self, tree: PrefixTree) -> torch.Tensor:
        """float32 [b, W]; -inf where infeasible."""
        return (self.totals[tree.ends].log() + self.log_blanks).T.float()


def _run(
    tree: PrefixTree,
    log_probs: torch.Tensor,
    num_frames: torch.Tensor,
    usable: torch.Tensor | None = None,
    keep: bool = False,
) -> _Run:
    """The recursion of the module's docstring for [b, T, V+1]; utterances that are not `usable` hear only blanks."""
    batch_size, max_frames = log_probs.shape[:2]
    num_nodes = tree.num_nodes
    heard = torch.arange(max_frames, device=log_probs.device)[:, None] < num_frames  # [T, b]
    log_blanks = log_probs[:, :, -1].T.double().masked_fill(~heard, 0.0).sum(dim=0)  # [b]
    ratios = _ratios(tree, log_probs, heard if usable is None else heard & usable)
    totals = ratios.new_zeros(num_nodes + len(tree.echoed), batch_size)  # [N+E, b]
    totals[0] = 1.0
    tokens = ratios.new_zeros(num_nodes, batch_size)  # [N, b]
    gathered, echoes = torch.empty_like(totals), totals[num_nodes:]
    run = _Run(ratios, totals, log_blanks, torch.isfinite(log_blanks), [])
    n = 0
    for frame, row in enumerate(ratios):
        if n < num_nodes:
            n = tree.num_reachable(frame + 1)
            sources, emitted = torch.cat([tree.parents[:n], tree.echoed]), tree.tokens[:n]
            found, entering, behind = gathered[: len(sources)], gathered[:n], gathered[n : len(sources)]
            spelt, token = totals[:n], tokens[:n]
        torch.index_select(totals, 0, sources, out=found)
        entering += token
        torch.index_select(row, 0, emitted, out=token)
        token *= entering
        spelt += token
        echoes.copy_(behind)
        if (frame + 1) % _CHECK_EVERY == 0:  # what was lost may have mattered, even if more has come since
            run.exact &= (spelt.amin(dim=0) >= _SMALLEST) | (num_frames <= frame)
        if keep:
            run.frames.append(tokens.clone())
    reached = totals[:num_nodes]
    if bool((num_frames < tree.min_frames[-1]).any()):
        reached = reached.masked_fill(tree.min_frames[:, None] > num_frames, 1.0)
    run.exact &= (reached.amin(dim=0) >= _SMALLEST) & (totals.amax(dim=0) <= 1 / _SMALLEST)
    return run


def _ratios(tree: PrefixTree, log_probs: torch.Tensor, heard: torch.Tensor) -> torch.Tensor:
    """y_t(k) / y_t(blank) of the tree's tokens, 0 where nothing is `heard` [T, b]: float64 [T, K+1, b]."""
    columns = torch.cat([tree.columns, tree.columns.new_tensor([log_probs.shape[2] - 1])])  # the root's is the blank
    ratios = log_probs.permute(1, 2, 0).index_select(1, columns).double()
    ratios -= ratios[:, -1:].clone()
    ratios.exp_()
    ratios[:, -1] = 0.0
    return ratios if bool(heard.all()) else ratios.masked_fill_(~heard[:, None], 0.0)


def _gradient(
    tree: PrefixTree, log_probs: torch.Tensor, num_frames: torch.Tensor, exact: torch.Tensor, gradient: torch.Tensor
) -> torch.Tensor:
    """d/d log_probs [b, T, V+1] of sum(gradient [b, W] * log-likelihoods): the recursion's adjoint, backwards in time.

    A bar is the derivative by the variable of the same name; since the variables are linear in each other, it may carry
    both signs, and bar times variable is a posterior probability times the gradient that flows to it.
    """
    run = _run(tree, log_probs, num_frames, usable=exact, keep=True)
    num_nodes, num_columns = tree.num_nodes, len(tree.columns)
    ended = run.totals[tree.ends]  # [W, b]
    flowing = torch.where((ended > 0) & exact, gradient.T.double(), 0.0)  # [W, b]
    totals_bar = torch.zeros_like(run.totals)  # [N+E, b]
    totals_bar[tree.ends] = flowing / ended.masked_fill(ended == 0, 1.0)
    tokens_bar = torch.zeros_like(run.totals[:num_nodes])
    by_column = torch.zeros_like(run.ratios)  # d/d log r_t(k)
    for frame in reversed(range(log_probs.shape[1])):
        n = tree.num_reachable(frame + 1)
        bar = tokens_bar[:n] + totals_bar[:n]
        by_column[frame].index_add_(0, tree.tokens[:n], bar * run.frames[frame][:n])
        bar *= run.ratios[frame].index_select(0, tree.tokens[:n])
        echoes_bar = totals_bar[num_nodes:].clone()
        totals_bar[num_nodes:] = 0.0
        totals_bar.index_add_(0, tree.parents[:n], bar)
        totals_bar[tree.echoed] += echoes_bar
        tokens_bar[:n] = bar
    tokens_gradient = by_column[:, :num_columns].permute(2, 0, 1)  # [b, T, K]
    result = torch.zeros_like(log_probs)
    result[:, :, tree.columns] = tokens_gradient.to(result.dtype)
    heard = torch.arange(log_probs.shape[1], device=log_probs.device) < num_frames[:, None]  # [b, T]
    blanks_gradient = heard * flowing.sum(dim=0)[:, None] - tokens_gradient.sum(dim=2)  # [b, T]
    result[:, :, -1] = blanks_gradient.to(result.dtype)
    return result


def _log_space_scores(tree: PrefixTree, log_probs: torch.Tensor, num_frames: torch.Tensor) -> torch.Tensor:
    """The same recursion in logs, with the blanks spelt out: any range, but several times slower. [b, W]."""
    padded = torch.nn.functional.pad(log_probs.clamp(min=_NEVER), (0, 1), value=_NEVER)  # a column for the root
    columns = torch.cat([tree.columns, tree.columns.new_tensor([padded.shape[2] - 1])])
    emitted = columns[tree.tokens]  # [N]
    tokens = padded.new_full((len(padded), tree.num_nodes), _NEVER)  # [b, N]
    blanks = tokens.clone()
    blanks[:, 0] = 0.0
    for frame in range(padded.shape[1]):
        row = padded[:, frame]  # [b, V+2]
        totals = torch.logaddexp(tokens, blanks)
        rows = torch.cat([totals, blanks[:, tree.echoed]], dim=1)  # [b, N+E]
        heard = (frame < num_frames)[:, None]
        tokens = torch.where(heard, torch.logaddexp(tokens, rows[:, tree.parents]) + row[:, emitted], tokens)
        blanks = torch.where(heard, totals + row[:, -2, None], blanks)
    return torch.logaddexp(tokens, blanks)[:, tree.ends]
