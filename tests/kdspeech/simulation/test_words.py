"""The word list has UASpeech's counts, and its homophones are those that sound alike."""

from collections import Counter, defaultdict

import pytest

from kdspeech.corpora.uaspeech import BLOCKS
from kdspeech.scoring.homophones import homophone_groups
from kdspeech.scoring.normalise import normalise
from kdspeech.simulation.synthesiser import Voice, synthesiser
from kdspeech.simulation.words import all_words


def test_every_block_has_uaspeechs_counts() -> None:
    for block in BLOCKS:
        words = [word for word in all_words() if block in word.blocks]
        kinds = Counter(word.key[0] if word.key[0] == "L" else word.key.rstrip("0123456789") for word in words)
        assert kinds == {"D": 10, "L": 26, "C": 19, "CW": 100, "UW": 100}
        assert len({word.key for word in words}) == 255


def test_the_words_are_455_and_no_two_are_the_same_text() -> None:
    assert len(all_words()) == 455
    assert len({normalise(word.text) for word in all_words()}) == 455
    assert len({word.listed_key for word in all_words()}) == 455


def test_uncommon_words_are_long() -> None:
    lengths = {kind: [len(w.text) for w in all_words() if w.key.startswith(kind)] for kind in ("UW", "CW")}
    assert sum(lengths["UW"]) / 300 > 2 * sum(lengths["CW"]) / 100 > 5


def test_words_that_espeak_says_alike_are_known_homophones() -> None:
    pytest.importorskip("espeakng_loader")
    spoken = defaultdict(set)
    for word in all_words():
        sounds = tuple(sound.strip("',").lower() for sound in synthesiser().phonemes(word.text, Voice()))
        spoken[sounds].add(word.text)
    groups = homophone_groups([word.text for word in all_words()])
    assert {frozenset(group) for group in groups} == {frozenset(group) for group in spoken.values() if len(group) > 1}
