"""A decode mode with its settings: searches encoded audio, and says how sure it is.

Searching and confidence are two steps, since the second is calibrated on the findings of the first.
Shapes: B batch, W lexicon words.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from kdspeech.choices import DecodeMode
from kdspeech.decoding.autoregressive import SearchRules, greedy_decoder
from kdspeech.decoding.beam import BeamOptions, beam_decoder
from kdspeech.decoding.calibration import Calibration, fit_platt, fit_temperature
from kdspeech.decoding.ctc import greedy_ctc
from kdspeech.decoding.joint import joint_decoder
from kdspeech.decoding.lexicon import LexiconScorer
from kdspeech.decoding.options import DecodeOptions
from kdspeech.decoding.priors import load_priors
from kdspeech.errors import ConfigError
from kdspeech.hypothesis import Hypothesis
from kdspeech.lexicon import Lexicon
from kdspeech.protocols import CtcSearchFamily, Encoded, Student
from kdspeech.scoring.score import normalise


class Recogniser(Protocol):
    """What a finding is, only the recogniser knows."""

    def search(self, encoded: Encoded) -> list[Any]:
        """A finding for each of B utterances."""
        ...

    def hypothesis(self, finding: Any, calibration: Calibration | None = None) -> Hypothesis:
        """What was said, with its n-best list if one was asked for; None leaves the confidence as the decoder's own."""
        ...

    def calibrate(self, findings: Sequence[Any], references: Sequence[str]) -> Calibration:
        """Fits the confidence to utterances whose text is known."""
        ...


class OpenRecogniser:
    """Any text can be found: findings are hypotheses, and right or wrong is regressed on their confidence."""

    def __init__(self, search: Callable[[Encoded], list[Hypothesis]], n_best: int) -> None:
        self.search, self._n_best = search, n_best

    def hypothesis(self, finding: Hypothesis, calibration: Calibration | None = None) -> Hypothesis:
        """The finding, its list cut to what was asked for."""
        kept = replace(finding, n_best=finding.n_best[: self._n_best] if self._n_best > 1 else ())
        return calibration.apply(kept) if calibration else kept

    def calibrate(self, findings: Sequence[Hypothesis], references: Sequence[str]) -> Calibration:
        """Platt scaling."""
        correct = [normalise(h.text) == normalise(text) for h, text in zip(findings, references, strict=True)]
        return fit_platt([h.confidence for h in findings], correct)


class LexiconRecogniser:
    """A word of the closed list is found: findings are all words' scores, and a temperature makes them a posterior."""

    def __init__(self, student: Student, scorer: LexiconScorer, n_best: int) -> None:
        self._student, self._scorer, self._n_best = student, scorer, n_best
        self._index = {normalise(word): index for index, word in enumerate(scorer.lexicon.words)}

    def search(self, encoded: Encoded) -> list[np.ndarray]:
        """float32 [W] for each utterance."""
        return self._scorer.scores(self._student.ctc_log_probs(encoded), encoded.num_frames)

    def hypothesis(self, finding: np.ndarray, calibration: Calibration | None = None) -> Hypothesis:
        """The likeliest word and its posterior."""
        return self._scorer.hypothesis(finding, self._n_best, calibration.softening if calibration else 1.0)

    def calibrate(self, findings: Sequence[np.ndarray], references: Sequence[str]) -> Calibration:
        """Temperature scaling."""
        return fit_temperature(findings, [self._index.get(normalise(text)) for text in references])


def make_recogniser(
    student: Student,
    mode: DecodeMode,
    options: DecodeOptions,
    *,
    lexicon: Callable[[], Lexicon],
    searches: CtcSearchFamily | None = None,
) -> Recogniser:
    """Builds a decode mode.

    Args:
        options: as `kdspeech.decoding.options.resolve` gives them for this mode.
        lexicon: provides the closed word list; asked only by `lexicon`.
        searches: provides the CTC beam search; only `ctc-beam` needs it.

    Raises:
        KdspeechError: a word list, priors or a language model that cannot be used.
    """
    n_best = options.nbest or 1
    if mode == "lexicon":
        words = lexicon()
        priors = load_priors(options.priors, words) if options.priors else None
        return LexiconRecogniser(student, LexiconScorer(words, student.vocabulary, priors), n_best)
    if mode == "ctc":
        return OpenRecogniser(
            lambda encoded: greedy_ctc(student.ctc_log_probs(encoded), encoded.num_frames, student.vocabulary), n_best
        )
    if mode == "ctc-beam":
        if searches is None:
            raise ConfigError("decode mode ctc-beam needs a toolkit's search: pass `searches=kdspeech.students`.")
        search = searches.ctc_search(student.vocabulary, options.beam or 1, options.lm, options.lm_weight or 0.0)
        return OpenRecogniser(lambda encoded: search(student.ctc_log_probs(encoded), encoded.num_frames), n_best)
    rules = SearchRules(options.repetition_penalty or 1.0, options.end_threshold or 0.0)
    if mode == "decoder" and options.beam == 1:
        return OpenRecogniser(lambda encoded: greedy_decoder(student, encoded, encoded.num_frames, rules), n_best)
    beam = BeamOptions(options.beam or 1, options.length_norm or 0.0, rules)
    if mode == "decoder":
        beam = replace(beam, n_best=n_best)
        return OpenRecogniser(lambda encoded: beam_decoder(student, encoded, encoded.num_frames, beam), n_best)
    weight = options.ctc_weight or 0.0
    return OpenRecogniser(lambda encoded: joint_decoder(student, encoded, beam, weight), n_best)
