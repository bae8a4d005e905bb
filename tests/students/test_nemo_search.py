"""NeMo's CTC beam search, as it is wrapped, against the sum over all alignments; with and without a language model."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from kdspeech import students
from kdspeech.errors import ConfigError
from kdspeech.hypothesis import Hypothesis
from kdspeech.vocabulary import Vocabulary
from tests.oracles import summed_over_alignments

pytestmark = pytest.mark.slow

EVERYTHING = 1200  # all texts of four frames, each ending in its token and in a blank


@pytest.fixture(scope="module")
def tiny() -> Vocabulary:
    return Vocabulary.train(("ab", "aa", "b", "bab"), size=16, model_type="char")


def random_log_probs(*shape: int, seed: int = 0) -> torch.Tensor:
    return (1.5 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))).log_softmax(dim=-1)


def write_bigram(path: Path, vocabulary: Vocabulary, likely: tuple[int, int]) -> Callable[[tuple[int, ...]], float]:
    """An ARPA bigram model: uniform over the tokens and the end, but one pair is likely. Gives its log p(text, end)."""
    uniform = 1 / (vocabulary.size + 1)
    names = [chr(100 + token) for token in range(vocabulary.size)]
    first, second = likely
    # the other tokens behind `first` share the rest by back-off
    back_off = (1 - 0.9) / (1 - uniform)
    lines = ["\\data\\", f"ngram 1={vocabulary.size + 3}", "ngram 2=1", "", "\\1-grams:"]
    lines += ["-99\t<s>\t0", "-99\t<unk>\t0", f"{math.log10(uniform)}\t</s>"]
    lines += [
        f"{math.log10(uniform)}\t{name}\t{math.log10(back_off) if t == first else 0}" for t, name in enumerate(names)
    ]
    lines += ["", "\\2-grams:", f"{math.log10(0.9)}\t{names[first]} {names[second]}", "", "\\end\\", ""]
    path.write_text("\n".join(lines), encoding="utf-8")

    def score(text: tuple[int, ...]) -> float:
        total, before = 0.0, None
        for token in (*text, None):
            if before == first:
                total += math.log(0.9) if token == second else math.log(back_off * uniform)
            else:
                total += math.log(uniform)
            before = token
        return total

    return score


@pytest.mark.parametrize("seed", [0, 1])
def test_a_beam_of_everything_is_exhaustive_search(tiny: Vocabulary, seed: int) -> None:
    lengths = (4, 3, 1)
    log_probs = random_log_probs(3, 4, tiny.num_columns, seed=seed)
    log_probs[1, 3] = log_probs[1, 3].flip(0)  # padding, which must not matter

    found = students.ctc_search(tiny, EVERYTHING)(log_probs, torch.tensor(lengths))

    for hypothesis, rows, length in zip(found, log_probs, lengths, strict=True):
        exact = summed_over_alignments(rows[:length], tiny.blank_id)
        ranked = sorted(exact, key=lambda text: -exact[text])[:20]
        assert [h.token_ids for h in hypothesis.n_best[:20]] == ranked
        expected = [math.log(exact[text]) for text in ranked]
        assert [h.log_prob for h in hypothesis.n_best[:20]] == pytest.approx(expected, abs=1e-5)
        assert hypothesis.text == tiny.decode(ranked[0])


def test_repeats_with_a_blank_between_stay_two(tiny: Vocabulary) -> None:
    mark, a, _ = tiny.encode("ab")
    path = [mark, a, tiny.blank_id, a, tiny.blank_id]
    rows = torch.full((1, 5, tiny.num_columns), -8.0)
    rows[0, range(5), path] = 0.0
    (hypothesis,) = students.ctc_search(tiny, 4)(rows.log_softmax(-1), torch.tensor([5]))
    assert (hypothesis.text, hypothesis.token_ids) == ("aa", (mark, a, a))


def test_a_short_utterance_is_searched_as_if_alone(tiny: Vocabulary) -> None:
    log_probs = random_log_probs(2, 12, tiny.num_columns, seed=4)
    search = students.ctc_search(tiny, 6)

    def texts(found: Hypothesis) -> list[tuple[int, ...]]:
        return [h.token_ids for h in found.n_best]

    together = search(log_probs, torch.tensor([12, 4]))
    alone = search(log_probs[1:, :4], torch.tensor([4]))
    assert texts(together[1]) == texts(alone[0])


def test_the_language_model_is_added_to_the_sum_over_alignments(tiny: Vocabulary, tmp_path: Path) -> None:
    _, a, b = tiny.encode("ab")
    lm_score = write_bigram(tmp_path / "lm.arpa", tiny, (b, a))
    log_probs = random_log_probs(2, 3, tiny.num_columns, seed=2)

    found = students.ctc_search(tiny, EVERYTHING, tmp_path / "lm.arpa", 1.5)(log_probs, torch.tensor([3, 2]))

    for hypothesis, rows, length in zip(found, log_probs, (3, 2), strict=True):
        exact = summed_over_alignments(rows[:length], tiny.blank_id)
        scores = {text: math.log(p) + 1.5 * lm_score(text) for text, p in exact.items()}
        ranked = sorted(scores, key=lambda text: -scores[text])[:10]
        assert [h.token_ids for h in hypothesis.n_best[:10]] == ranked
        assert [h.log_prob for h in hypothesis.n_best[:10]] == pytest.approx([scores[t] for t in ranked], abs=1e-3)


@pytest.mark.parametrize("text", ["not an ARPA file\n", "\\data\\\nngram 1=1\n\n\\1-grams:\n-1\ta\n\n\\end\\\n"])
def test_a_file_that_is_no_language_model_is_refused(tiny: Vocabulary, tmp_path: Path, text: str) -> None:
    path = tmp_path / "lm.arpa"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"cannot read the language model.*chr\(id \+ 100\)"):
        students.ctc_search(tiny, 4, path, 0.5)
