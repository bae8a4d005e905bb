"""What is looked for before a training starts."""

from dataclasses import replace

import numpy as np
import pytest

from kdspeech.errors import RunError
from kdspeech.targets.target_set import Target
from kdspeech.training.preflight import check_frames, check_targets
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary

ONE = Utterance("a", "/a.wav", 0.4, "one", "anna", "train")


def test_frames_are_counted_at_the_fastest_speed(vocabulary: Vocabulary) -> None:
    num_tokens = len(vocabulary.encode("one"))
    fits = replace(ONE, duration=num_tokens * 0.04)  # one frame of 640 samples a token, exactly
    check_frames([fits], vocabulary, lambda lengths: lengths // 640, speed=1.0)
    with pytest.raises(
        RunError, match=rf"at 1\.1 times the speed: a \({num_tokens} frames needed, {num_tokens - 1} there"
    ):
        check_frames([fits], vocabulary, lambda lengths: lengths // 640, speed=1.1)


def test_only_the_targets_that_a_loss_needs_are_asked_for() -> None:
    rows = np.zeros((2, 3), dtype=np.float32)
    ctc_only = {"a": Target("a", rows, np.ones(2, dtype=bool), None, confidence=1.0, num_teachers=1)}
    check_targets([ONE], {}, frames=False, positions=False)
    check_targets([ONE], ctc_only, frames=True, positions=False)
    with pytest.raises(RunError, match=r"'a' has no target of kind `decoder`"):
        check_targets([ONE], ctc_only, frames=True, positions=True)
    with pytest.raises(RunError, match=r"'a' has no target of kind `ctc`"):
        check_targets([ONE], {}, frames=True, positions=False)
