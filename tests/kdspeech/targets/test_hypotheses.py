"""The teachers' texts: shares by hand, and read from a store."""

from pathlib import Path

import pytest

from kdspeech.config import DumpConfig
from kdspeech.dumps.shard import ShardHeader, ShardKey
from kdspeech.dumps.store import LogProbStore
from kdspeech.errors import StoreError
from kdspeech.protocols import ScoredText, TeacherCard
from kdspeech.targets.hypotheses import pooled_texts, read_hypotheses
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary
from tests.doubles import write_shard


def test_shares_by_hand() -> None:
    heard = [["one", "two"], ["one", "one"], ["two", ""], ["six"]]
    # one: 1/2 + 1, two: 1/2 + 1/2, six: 2; the empty text's half has no say
    shares = pooled_texts(heard, [1.0, 1.0, 1.0, 2.0])
    assert list(shares) == ["six", "one", "two"]
    assert shares == pytest.approx({"six": 2 / 4.5, "one": 1.5 / 4.5, "two": 1 / 4.5})


def test_agreement_is_the_weight() -> None:
    assert pooled_texts([["one"], ["one"], ["one"], ["two"]], [1.0] * 4) == pytest.approx({"one": 0.75, "two": 0.25})


def test_teachers_that_hear_nothing_have_no_say() -> None:
    assert pooled_texts([["", ""], ["one"]], [5.0, 1.0]) == {"one": 1.0}
    assert pooled_texts([[""], []], [1.0, 1.0]) == {}


def test_only_the_heaviest_are_kept() -> None:
    heard = [[f"w{k}"] for k in range(20)]
    shares = pooled_texts(heard, [1.0 + k for k in range(20)])
    assert list(shares) == [f"w{k}" for k in range(19, 11, -1)]
    assert sum(shares.values()) == pytest.approx(1.0)


UTTERANCES = [Utterance(f"{name}-1", "x.wav", 1.0, "", name, "train") for name in ("anna", "bert")]


def card(name: str, checkpoint: str = "c") -> TeacherCard:
    return TeacherCard(name, "double", ".", (name,), checkpoint, "v")


@pytest.fixture
def store(tmp_path: Path) -> LogProbStore:
    """anna's teacher hears `one` and `two`, bert's `one` and a text that the vocabulary cannot spell."""
    made = LogProbStore(tmp_path)
    for teacher, texts in (("anna", ("one", "two")), ("bert", ("one", "ÜBER"))):
        for utterance in UTTERANCES:
            key = ShardKey.of(card(teacher), "hypotheses", [utterance], DumpConfig(), None)
            header = ShardHeader(key, (teacher,), None, None, 0.04, (utterance.utt_id,))
            row = tuple(ScoredText(text, -1.0, source) for text, source in zip(texts, ("ctc", "decoder"), strict=True))
            write_shard(made, header, {utterance.utt_id: row})
    return made


def test_read_weighs_a_speakers_own_teacher(store: LogProbStore, vocabulary: Vocabulary) -> None:
    found = read_hypotheses(store, [card("anna"), card("bert")], UTTERANCES, vocabulary, own_share=0.75)
    one, two = tuple(vocabulary.encode("one")), tuple(vocabulary.encode("two"))
    assert {text.token_ids: text.weight for text in found["anna-1"]} == pytest.approx({one: 2.5 / 4, two: 1.5 / 4})
    assert {text.token_ids: text.weight for text in found["bert-1"]} == pytest.approx({one: 3.5 / 4, two: 0.5 / 4})


def test_only_those_who_may_speak_are_read(store: LogProbStore, vocabulary: Vocabulary) -> None:
    cards = [card("anna"), card("bert")]
    one, two = tuple(vocabulary.encode("one")), tuple(vocabulary.encode("two"))
    own = read_hypotheses(store, cards, UTTERANCES, vocabulary, 0.75, "own")
    assert own["anna-1"] == [(one, 0.5), (two, 0.5)]
    assert own["bert-1"] == [(one, 1.0)]
    assert read_hypotheses(store, cards, UTTERANCES, vocabulary, 0.75, "others")["anna-1"] == own["bert-1"]


def test_what_another_checkpoint_said_is_refused(store: LogProbStore, vocabulary: Vocabulary) -> None:
    with pytest.raises(StoreError, match="another checkpoint of teacher anna"):
        read_hypotheses(store, [card("anna", "new")], UTTERANCES, vocabulary, own_share=None)
