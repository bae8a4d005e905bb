"""Splits by production: shares, several microphones, and what is not touched."""

from collections import Counter
from collections.abc import Sequence

from kdspeech.corpora.splits import hold_back, split_by_production
from kdspeech.utterance import Utterance


def _corpus(split: str, productions: int, speaker: str = "ann") -> list[Utterance]:
    names = [f"{speaker}_{split}{number}" for number in range(productions)]
    return [Utterance(f"{n}_M{m}", "", 0.0, "yes", speaker, split, production_id=n) for n in names for m in (5, 6)]


def _splits(utterances: Sequence[Utterance]) -> dict[str, str]:
    return {u.utt_id: u.split for u in utterances}


def test_a_tenth_of_the_training_productions_is_held_back_whole() -> None:
    held = hold_back([*_corpus("train", 40), *_corpus("test", 20)])
    assert Counter(u.split for u in held) == {"train": 72, "valid": 8, "test": 40}
    assert all(len({u.split for u in held if u.production_id == name}) == 1 for name in {u.production_id for u in held})


def test_what_is_held_back_depends_on_no_order_and_no_other_speaker() -> None:
    corpus = [*_corpus("train", 40), *_corpus("train", 10, "bob")]
    whole = _splits(hold_back(corpus))
    assert _splits(hold_back(corpus[::-1])) == whole
    assert _splits(hold_back(_corpus("train", 40))) == {i: s for i, s in whole.items() if i.startswith("ann")}


def test_two_productions_all_train() -> None:
    assert {u.split for u in hold_back(_corpus("train", 2))} == {"train"}
    assert {u.split for u in split_by_production(_corpus("train", 2))} == {"train"}


def test_a_split_of_ten_percent_each() -> None:
    counts = Counter(u.split for u in split_by_production(_corpus("test", 40)))
    assert counts == {"train": 64, "valid": 8, "test": 8}
