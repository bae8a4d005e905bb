"""What does a lexicon of 455 words cost, as one prefix tree, word by word, and beside one CTC loss?

Needs an installed kdspeech:  python experiments/benchmarks/lexicon_speed.py [--batch 64] [--frames 78]
On random log-probs of the simulated corpus' words; 78 frames are UASpeech's mean file at 25 frames a second. Absolute
times belong to one machine; the ratios are what counts. Every round runs all rows in turn, and the fastest in CPU time
counts: the machine may have other work. "CTC loss's both" is one forward-backward: issue 5 allows the tree's forward,
which is all that decoding needs, three of them.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence

import torch

from kdspeech import console
from kdspeech.decoding.lexicon import LexiconScorer
from kdspeech.lexicon import Lexicon
from kdspeech.simulation.words import all_words
from kdspeech.vocabulary import Vocabulary

_ROUNDS = 25
Work = Callable[[torch.Tensor], torch.Tensor]  # log-probs [B, T, V+1] -> scores of any shape


def main() -> None:
    """Measures, and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64, help="utterances")
    parser.add_argument("--frames", type=int, default=78, help="frames an utterance")
    parser.add_argument("--pieces", type=int, default=64, help="of the vocabulary")
    parser.add_argument("--sharpness", type=float, default=5.0, help="standard deviation of the random logits")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    words = tuple(word.text for word in all_words())
    vocabulary = Vocabulary.train(words, size=options.pieces, model_type="bpe")
    logits = options.sharpness * torch.randn(options.batch, options.frames, vocabulary.num_columns)
    log_probs, num_frames = logits.log_softmax(dim=-1), torch.full((options.batch,), options.frames)

    tree = LexiconScorer(Lexicon(words), vocabulary)
    singles = [LexiconScorer(Lexicon((word,)), vocabulary) for word in words]
    works: dict[str, Work] = {
        "one CTC loss, a word an utterance": lambda rows: _ctc(rows, num_frames, tree.token_ids[: options.batch]),
        f"{len(words)} words, one prefix tree": lambda rows: tree.word_log_likelihoods(rows, num_frames),
        f"{len(words)} words, one by one": lambda rows: _one_by_one(singles, rows, num_frames),
        f"{len(words)} words, one by one by torch's CTC loss": lambda rows: torch.stack(
            [_ctc(rows, num_frames, [word] * options.batch) for word in tree.token_ids], dim=1
        ),
    }
    forward = _fastest({name: lambda work=work: work(log_probs) for name, work in works.items()})
    both = _fastest({name: lambda work=work: _backward(work, log_probs) for name, work in works.items()})
    loss, whole, *_ = works
    rows = [
        (
            name,
            *(f"{1e3 * times[name]:.1f}" for times in (forward, both)),
            *(f"{times[name] / times[whole]:.1f} x" for times in (forward, both)),
            f"{forward[name] / both[loss]:.1f} x",
            f"{both[name] / both[loss]:.1f} x",
        )
        for name in works
    ]
    console.table(
        f"{options.batch} utterances of {options.frames} frames, {vocabulary.size} pieces, load "
        f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
        (
            "what",
            "forward ms",
            "and backward ms",
            "forward / the tree's",
            "both / the tree's",
            "forward / CTC loss's both",
            "both / CTC loss's both",
        ),
        rows,
    )


def _ctc(rows: torch.Tensor, num_frames: torch.Tensor, words: Sequence[tuple[int, ...]]) -> torch.Tensor:
    """[B], torch's CTC loss."""
    words = [words[index % len(words)] for index in range(len(rows))]
    lengths = torch.tensor([len(word) for word in words])
    tokens = torch.tensor([token for word in words for token in word])
    blank = rows.shape[2] - 1
    return torch.nn.functional.ctc_loss(rows.transpose(0, 1), tokens, num_frames, lengths, blank, reduction="none")


def _one_by_one(singles: Sequence[LexiconScorer], rows: torch.Tensor, num_frames: torch.Tensor) -> torch.Tensor:
    return torch.cat([scorer.word_log_likelihoods(rows, num_frames) for scorer in singles], dim=1)


def _backward(work: Work, log_probs: torch.Tensor) -> None:
    work(log_probs.clone().requires_grad_()).sum().backward()


def _fastest(works: dict[str, Callable[[], object]]) -> dict[str, float]:
    """CPU seconds of the fastest of several rounds, all in turn; what takes over a second is not repeated as often."""
    best = dict.fromkeys(works, float("inf"))
    for round_index in range(_ROUNDS):
        for name, work in works.items():
            if round_index > 1 and best[name] > 0.5:
                continue
            start = time.process_time()
            work()
            best[name] = min(best[name], time.process_time() - start)
    return best


if __name__ == "__main__":
    main()
