"""The vocabulary's id layout, its round trip and its hash."""

from pathlib import Path

import pytest

from kdspeech.errors import VocabularyError
from kdspeech.lexicon import Lexicon
from kdspeech.vocabulary import Vocabulary


def test_the_blank_is_the_last_column(vocabulary: Vocabulary) -> None:
    assert vocabulary.size == len(vocabulary.pieces) == 40
    assert vocabulary.blank_id == vocabulary.size
    assert vocabulary.num_columns == vocabulary.size + 1


def test_special_pieces_come_first(vocabulary: Vocabulary) -> None:
    assert vocabulary.pieces[:3] == ("<unk>", "<s>", "</s>")


@pytest.mark.parametrize("model_type", ["bpe", "unigram", "char"])
def test_every_word_survives_each_kind_of_model(lexicon: Lexicon, model_type: str) -> None:
    vocabulary = Vocabulary.train(lexicon.words, 40, model_type)
    vocabulary.check_round_trip(lexicon.words)
    assert [vocabulary.decode(vocabulary.encode(word)) for word in lexicon.words] == list(lexicon.words)


def test_a_text_outside_the_vocabulary_is_named(vocabulary: Vocabulary) -> None:
    with pytest.raises(VocabularyError, match="'jazz'"):
        vocabulary.check_round_trip(["zero", "jazz"])


@pytest.mark.parametrize("shifted", [-1, 40, 41])
def test_an_id_outside_the_vocabulary_is_refused(vocabulary: Vocabulary, shifted: int) -> None:
    with pytest.raises(VocabularyError, match=f"token id {shifted} is outside"):
        vocabulary.decode([3, shifted])


def test_ids_shifted_by_one_do_not_give_the_text(vocabulary: Vocabulary, lexicon: Lexicon) -> None:
    """The scoring fault that once hid a working model: ids moved by one still decode, to something else."""
    for word in lexicon.words:
        assert vocabulary.decode([token - 1 for token in vocabulary.encode(word)]) != word


def test_a_saved_vocabulary_is_the_same(vocabulary: Vocabulary, tmp_path: Path) -> None:
    vocabulary.save(tmp_path)
    for source in (tmp_path, tmp_path / "tokenizer.model"):
        loaded = Vocabulary.load(source)
        assert loaded.sha256 == vocabulary.sha256
        assert loaded.encode("seven") == vocabulary.encode("seven")
    assert (tmp_path / "vocab.txt").read_text().splitlines() == list(vocabulary.pieces)
    assert len((tmp_path / "tokenizer.vocab").read_text().splitlines()) == vocabulary.size


def test_the_order_of_the_texts_does_not_matter(lexicon: Lexicon, vocabulary: Vocabulary) -> None:
    assert Vocabulary.train(reversed(lexicon.words), 40, "bpe").sha256 == vocabulary.sha256


def test_another_vocabulary_is_refused(vocabulary: Vocabulary) -> None:
    other = Vocabulary.train(["yes", "no"], 40, "bpe")
    vocabulary.check_same(vocabulary.sha256, "teacher ann")
    with pytest.raises(VocabularyError, match="teacher ann uses vocabulary"):
        vocabulary.check_same(other.sha256, "teacher ann")


def test_the_size_is_an_upper_bound_and_too_small_a_one_is_refused() -> None:
    assert Vocabulary.train(["yes", "no"], 1000, "unigram").size < 20
    with pytest.raises(VocabularyError, match="cannot train 5 bpe pieces on 2 texts"):
        Vocabulary.train(["yes", "no"], 5, "bpe")


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VocabularyError, match="does not exist"):
        Vocabulary.load(tmp_path)
    (tmp_path / "tokenizer.model").write_text("no model")
    with pytest.raises(VocabularyError, match="is not a SentencePiece model"):
        Vocabulary.load(tmp_path)
