"""What word-posterior distillation costs: a training step with and without it, side by side, over 455 words.

  python experiments/benchmarks/word_kl_step.py [--batch-size 16] [--repeats 12]
The student is the small recipe's, the audio is noise of 0.6 to 1.2 s: times do not depend on what is said.
"""

import argparse
import resource
import statistics
import sys
import time

import torch

from kdspeech import console, students
from kdspeech.audio import SAMPLE_RATE
from kdspeech.decoding.lexicon import LexiconScorer
from kdspeech.lexicon import Lexicon
from kdspeech.losses import WeightedSum
from kdspeech.recipe_file import load_recipe
from kdspeech.simulation.words import all_words
from kdspeech.training.batches import Batch
from kdspeech.training.terms import TermSettings, listen, loss_terms
from kdspeech.vocabulary import Vocabulary

_RECIPE = "conformer_xs_from_simulated"
_LABELS = {"ctc": 0.5, "cross_entropy": 0.5}


def make_batch(size: int, lexicon: Lexicon, vocabulary: Vocabulary) -> Batch:
    """Noise that is said to be the lexicon's first words."""
    lengths = torch.linspace(0.6, 1.2, size).mul(SAMPLE_RATE).long()
    texts = lexicon.words[:size]
    rows = [torch.tensor(vocabulary.encode(text)) for text in texts]
    end = vocabulary.end_id

    def padded(parts: list[torch.Tensor]) -> torch.Tensor:
        return torch.nn.utils.rnn.pad_sequence(parts, batch_first=True, padding_value=end)

    targets = padded([torch.cat([row, torch.tensor([end])]) for row in rows])
    num_tokens = torch.tensor([len(row) for row in rows])
    return Batch(
        utt_ids=tuple(texts),
        texts=tuple(texts),
        waveforms=0.1 * torch.randn(size, int(lengths.max())),
        lengths=lengths,
        tokens=targets[:, :-1],
        num_tokens=num_tokens,
        decoder_inputs=padded([torch.cat([torch.tensor([end]), row]) for row in rows]),
        decoder_targets=targets,
        decoder_mask=torch.arange(targets.shape[1]) <= num_tokens[:, None],
        weights=torch.ones(size),
        frame_targets=None,
        frame_mask=None,
        token_targets=None,
        token_mask=None,
        word_targets=torch.randn(size, len(lexicon.words)).log_softmax(dim=1),
    )


def main() -> int:
    """Prints medians, their ratio, and the peak of memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=12)
    options = parser.parse_args()
    torch.manual_seed(0)
    lexicon = Lexicon(tuple(word.text for word in all_words()))
    recipe = load_recipe(_RECIPE)
    vocabulary = Vocabulary.train(lexicon.words, recipe.vocabulary.size, recipe.vocabulary.model_type)
    config = recipe.student.model_copy(update={"encoder": None, "encoder_config": recipe.encoder_config})
    student = students.build_student(config, vocabulary, seed=0).train()
    batch = make_batch(options.batch_size, lexicon, vocabulary)
    settings = TermSettings(vocabulary.blank_id, 2.0, 0.1, LexiconScorer(lexicon, vocabulary))
    losses = {"labels": WeightedSum(_LABELS), "labels + word_kl": WeightedSum({**_LABELS, "word_kl": 0.1})}
    seconds: dict[str, list[float]] = {name: [] for name in losses}
    for repeat in range(options.repeats + 2):
        for name, loss in losses.items():
            started = time.perf_counter()
            terms = loss_terms(loss.terms, listen(student, batch, loss.terms), settings)
            loss(terms).total.backward()
            if repeat >= 2:  # the first two warm up
                seconds[name].append(time.perf_counter() - started)
            student.zero_grad()
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    frames = int(student.num_frames(batch.lengths).max())
    for name, value in medians.items():
        console.result(f"{name}: {1000 * value:.0f} ms a step (batch {options.batch_size}, at most {frames} frames)")
    ratio = medians["labels + word_kl"] / medians["labels"]
    console.result(f"ratio {ratio:.2f} (at most 1.3 wanted)")
    console.result(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
