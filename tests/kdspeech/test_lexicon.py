"""The closed word list."""

from pathlib import Path

import pytest

from kdspeech.errors import ConfigError, KdspeechError
from kdspeech.lexicon import Lexicon


def test_json_keeps_words_and_homophones(tmp_path: Path) -> None:
    lexicon = Lexicon(("to", "two", "four"), (("to", "two"),))
    lexicon.save(tmp_path / "lexicon.json")
    assert Lexicon.load(tmp_path / "lexicon.json") == lexicon


def test_a_text_file_holds_one_word_a_line(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("to\n\n two \nfour\n")
    assert Lexicon.load(tmp_path / "words.txt") == Lexicon(("to", "two", "four"))


def test_the_order_of_the_words_is_part_of_the_hash() -> None:
    assert Lexicon(("yes", "no")).sha256 != Lexicon(("no", "yes")).sha256


@pytest.mark.parametrize(
    ("words", "homophones", "message"),
    [
        ((), (), "at least one word"),
        (("to", "two", "to"), (), "stand twice: to"),
        (("to", "two"), (("two", "too"),), "outside the lexicon: too"),
    ],
)
def test_faults_are_named(words: tuple[str, ...], homophones: tuple[tuple[str, ...], ...], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Lexicon(words, homophones)


@pytest.mark.parametrize("name", ["gone.txt", "gone.json"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(KdspeechError, match=f"{name} does not exist"):
        Lexicon.load(tmp_path / name)


@pytest.mark.parametrize("content", ["[]", '{"word": []}', '{"words": "to"}'])
def test_json_of_another_form_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "lexicon.json").write_text(content)
    with pytest.raises(ConfigError, match=r"lexicon\.json.*words"):
        Lexicon.load(tmp_path / "lexicon.json")
