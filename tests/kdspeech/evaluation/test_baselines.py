"""Votes and oracles against tables made by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from kdspeech.config import DumpConfig
from kdspeech.dumps.shard import ShardHeader, ShardKey
from kdspeech.dumps.store import LogProbStore
from kdspeech.errors import StoreError
from kdspeech.evaluation.baselines import teacher_baselines
from kdspeech.lexicon import Lexicon
from kdspeech.protocols import ScoredText, TeacherCard
from kdspeech.utterance import Utterance
from tests.doubles import write_shard

LEXICON = Lexicon(("one", "two", "three"))
TEST = [Utterance(f"t{i}", f"/audio/t{i}.wav", 0.5, text, "tom", "test") for i, text in enumerate(LEXICON.words)]


def said(text: str, score: float = -1.0, source: str = "ctc") -> ScoredText:
    return ScoredText(text, score, source)


def write_hypotheses(store: LogProbStore, teacher: str, texts: Mapping[str, Sequence[ScoredText]]) -> None:
    card = TeacherCard(teacher, "speechbrain", "", (teacher,), f"checkpoint-{teacher}", "vocabulary")
    key = ShardKey.of(card, "hypotheses", TEST, DumpConfig(), None)
    header = ShardHeader(key, (teacher,), None, None, 0.04, tuple(u.utt_id for u in TEST))
    write_shard(store, header, {utt_id: tuple(rows) for utt_id, rows in texts.items()})


def write_words(store: LogProbStore, teacher: str, best: Sequence[str], lexicon: Lexicon = LEXICON) -> None:
    card = TeacherCard(teacher, "speechbrain", "", (teacher,), f"checkpoint-{teacher}", "vocabulary")
    key = ShardKey.of(card, "word", TEST, DumpConfig(), lexicon)
    header = ShardHeader(key, (teacher,), len(lexicon.words), None, 0.04, tuple(u.utt_id for u in TEST))
    rows = {
        u.utt_id: np.log(np.where(np.array(lexicon.words) == word, 0.8, 0.1)).astype(np.float32)
        for u, word in zip(TEST, best, strict=True)
    }
    write_shard(store, header, rows)


@pytest.fixture
def store(tmp_path: Path) -> LogProbStore:
    """Three teachers on t0 one, t1 two, t2 three: ann has 2 right, bob 1, cid 1; together they have all."""
    store = LogProbStore(tmp_path)
    answers = {"ann": ("one", "two", ""), "bob": ("one", "ten", "ten"), "cid": ("ten", "ten", "three")}
    for teacher, texts in answers.items():
        rows = {f"t{i}": [said(text), said("never", source="decoder")] for i, text in enumerate(texts)}
        write_hypotheses(store, teacher, rows)
        write_words(store, teacher, ["one", "two", "three" if teacher == "cid" else "two"])
    return store


def test_teachers_by_hand(store: LogProbStore) -> None:
    found = teacher_baselines(store, ["bob", "ann", "cid"], TEST, ("ctc", "decoder", "lexicon"), LEXICON)

    greedy = found["ctc"]
    assert {name: scores.correct for name, scores in greedy.singles.items()} == {"ann": 2, "bob": 1, "cid": 1}
    assert (greedy.mean_single.correct, greedy.mean_single.utterances) == (4, 9)
    assert greedy.best_single == "ann"
    assert greedy.vote.correct == 1  # one; ten has it 2 to 1; three against ten is a tie that the earlier voter wins
    assert greedy.any_right.correct == 3
    assert found["decoder"].vote.correct == 0
    assert {name: scores.correct for name, scores in found["lexicon"].singles.items()} == {"bob": 2, "ann": 2, "cid": 3}
    assert found["lexicon"].vote.correct == 2


def test_a_mode_that_a_teacher_lacks_is_left_out(store: LogProbStore) -> None:
    write_hypotheses(store, "cid", {u.utt_id: [said("one", source="transducer")] for u in TEST})

    found = teacher_baselines(store, ["ann", "cid"], TEST, ("ctc", "decoder"), None)

    assert list(found) == ["ctc"]
    assert found["ctc"].singles["cid"].correct == 1


def test_a_missing_dump_is_an_error(store: LogProbStore) -> None:
    stranger = [*TEST, Utterance("t9", "/audio/t9.wav", 0.5, "one", "tom", "test")]
    with pytest.raises(StoreError, match="t9"):
        teacher_baselines(store, ["ann"], stranger, ("ctc",), None)


def test_another_lexicon_is_an_error(store: LogProbStore) -> None:
    with pytest.raises(StoreError, match="lexicon"):
        teacher_baselines(store, ["ann"], TEST, ("lexicon",), Lexicon(("one", "two", "four")))
