"""Who speaks, how loudly, and whose turn it is."""

from collections import Counter

import numpy as np
import pytest

from kdspeech.errors import ConfigError, VocabularyError
from kdspeech.protocols import TeacherCard
from kdspeech.targets.speaking import Turns, check_one_vocabulary, loudness, speaking
from kdspeech.vocabulary import Vocabulary


def card(name: str, speakers: tuple[str, ...] | None, vocabulary: str = "v") -> TeacherCard:
    return TeacherCard(name, "speechbrain", ".", speakers, f"checkpoint of {name}", vocabulary)


CARDS = [card("anna", ("anna",)), card("bert", ("bert",)), card("both", ("anna", "bert"))]


def test_who_speaks_on_whose_recordings() -> None:
    assert speaking(CARDS, "anna", "all") == [0, 1, 2]
    assert speaking(CARDS, "anna", "own") == [0, 2]
    assert speaking(CARDS, "anna", "others") == [1]
    assert speaking(CARDS, "carl", "others") == [0, 1, 2]


def test_a_speaker_on_whom_nobody_may_speak_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"who=own: of the teachers anna, bert, both none .* recordings of carl"):
        speaking(CARDS, "carl", "own")
    with pytest.raises(ConfigError, match=r"who=others: of the teachers anna none .* recordings of anna. Train more"):
        speaking(CARDS[:1], "anna", "others")


def test_a_teacher_of_unknown_speakers_can_only_speak_among_all() -> None:
    cards = [*CARDS, card("bought", None)]
    assert speaking(cards, "anna", "all") == [0, 1, 2, 3]
    with pytest.raises(ConfigError, match="the cards of bought do not say"):
        speaking(cards, "anna", "others")


def test_a_speakers_own_teachers_are_louder() -> None:
    assert loudness(CARDS, "anna", 0.8) == pytest.approx([0.4, 0.2, 0.4])
    assert loudness([CARDS[0], *[CARDS[1]] * 4], "anna", 0.8) == pytest.approx([0.8, 0.05, 0.05, 0.05, 0.05])
    assert loudness(CARDS, "anna", None) == loudness(CARDS, "carl", 0.8) == [1 / 3] * 3
    assert loudness([CARDS[0], CARDS[2]], "anna", 0.8) == [0.5, 0.5]  # none is another's


def test_turns_follow_from_seed_and_recording_alone() -> None:
    weights = np.array([0.5, 0.0, 0.2, 0.3])
    turns, again = Turns(), Turns()
    turns.start_epoch(7)
    names = [f"u{i}" for i in range(4000)]
    first = [turns.of(name, weights) for name in names]
    again.start_epoch(3)
    again.of("u9", weights)  # what was drawn before does not matter
    again.start_epoch(7)
    assert [again.of(name, weights) for name in reversed(names)] == first[::-1]
    again.start_epoch(8)
    assert [again.of(name, weights) for name in names] != first
    shares = Counter(first)
    assert [shares[i] / 4000 for i in range(4)] == pytest.approx(weights, abs=0.03)  # 3.8 standard errors
    assert 1 not in shares


def test_teachers_of_another_vocabulary_are_named(vocabulary: Vocabulary) -> None:
    own = card("anna", ("anna",), vocabulary.sha256)
    check_one_vocabulary([own], vocabulary)
    with pytest.raises(VocabularyError, match=r"use another: bert \(ffffffffffff\)\..*word_kl"):
        check_one_vocabulary([own, card("bert", ("bert",), "f" * 64)], vocabulary)
