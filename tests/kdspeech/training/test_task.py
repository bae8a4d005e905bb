"""What an epoch goes through."""

from collections import Counter

import pytest

from kdspeech.training.stage_runner import TrainingTask
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary
from tests.learners import tiny_recipe


def recordings(speaker: str, count: int) -> tuple[Utterance, ...]:
    return tuple(Utterance(f"{speaker}{i}", f"{speaker}{i}.wav", 1.0, "one", speaker, "train") for i in range(count))


@pytest.mark.parametrize(
    ("num_full", "times"), [(8, {"a": 4, "b": 4}), (12, {"a": 6, "b": 6}), (20, {"a": 10, "b": 10})]
)
def test_few_recordings_come_again_all_speakers_alike(
    vocabulary: Vocabulary, num_full: int, times: dict[str, int]
) -> None:
    train = recordings("a", 4) + recordings("b", 4)
    task = TrainingTask(train, (), vocabulary, "labels", tiny_recipe(), 0, None, num_full=num_full)
    assert Counter(u.speaker for u in task.all_utterances) == times
    counts = Counter(u.utt_id for u in task.all_utterances).values()
    assert max(counts) - min(counts) <= 1


def test_recordings_without_text_count_towards_the_steps(vocabulary: Vocabulary) -> None:
    train, unlabelled = recordings("a", 2), recordings("c", 3)
    task = TrainingTask(train, (), vocabulary, "labels", tiny_recipe(), 0, None, unlabelled=unlabelled, num_full=8)
    assert [u.utt_id for u in task.all_utterances] == ["a0", "a1", "a0", "a1", "a0", "c0", "c1", "c2"]
    more = TrainingTask(train, (), vocabulary, "labels", tiny_recipe(), 0, None, unlabelled=unlabelled, num_full=4)
    assert more.all_utterances == train + unlabelled
