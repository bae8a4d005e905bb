"""`prepare`: what it writes, and whose words the vocabulary has seen."""

from collections.abc import Callable
from pathlib import Path

import pytest

from kdspeech.corpora.prepare import ALPHABET, prepare
from kdspeech.errors import ManifestError
from kdspeech.files import sha256_of_file
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.prepared import fresh, utterances

WriteWav = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


# What is written


def test_a_corpus_becomes_a_manifest_a_vocabulary_and_a_lexicon(workspace: Workspace, digits_folder: Path) -> None:
    card = prepare(workspace, "fsdd", digits_folder)
    prepared = fresh(workspace)
    assert prepared.corpus == card
    assert (card.corpus, card.root) == ("fsdd", str(digits_folder))
    assert card.recipe == "conformer_xs_from_speechbrain"
    assert card.manifest_sha256 == sha256_of_file(prepared.manifest_path)
    assert prepared.vocabulary.sha256 == card.vocabulary_sha256
    assert prepared.speakers == ["ann", "bob", "cid"]
    assert prepared.lexicon.words[:2] == ("zero", "one")
    prepared.vocabulary.check_round_trip(prepared.lexicon.words)


def test_durations_and_hashes_are_the_files_own(workspace: Workspace, digits_folder: Path) -> None:
    prepare(workspace, "fsdd", digits_folder)
    utterance = utterances(workspace)["0_ann_8"]
    assert utterance.duration == pytest.approx(0.6, abs=1e-4)  # 4,800 samples at 8 kHz
    assert utterance.audio_sha256 == sha256_of_file(digits_folder / "recordings" / "0_ann_8.wav")


def test_a_stated_duration_gives_way_to_the_true_one(workspace: Workspace, corpus: Callable[..., Path]) -> None:
    prepare(workspace, "manifest", corpus({"a": "yes"}, {"a": {"duration": 1.04}}))
    assert utterances(workspace)["a"].duration == 1.0


def test_texts_are_normalised(workspace: Workspace, corpus: Callable[..., Path]) -> None:
    prepare(workspace, "manifest", corpus({"a": "  The  X-RAY ", "b": "don\u2019t"}))
    assert [u.text for u in utterances(workspace).values()] == ["the x ray", "don't"]


def test_speakers_can_be_chosen(workspace: Workspace, digits_folder: Path) -> None:
    prepare(workspace, "fsdd", digits_folder, speakers=["cid", "ann"])
    assert fresh(workspace).speakers == ["ann", "cid"]
    with pytest.raises(ManifestError, match=r"unknown speaker 'dan'.*ann, bob, cid"):
        prepare(workspace, "fsdd", digits_folder, speakers=["dan"])


def test_the_table_counts_each_speaker(workspace: Workspace, digits_folder: Path, capsys: Capture) -> None:
    prepare(workspace, "fsdd", digits_folder)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in capsys.readouterr().out.splitlines()]
    assert ["ann", "4", "2", "2", "0.1", "2"] in rows
    assert ["all", "12", "6", "6", "0.2", "2"] in rows


# Whose words the vocabulary has seen


def test_the_vocabulary_comes_from_the_lexicon_and_from_no_transcript(
    workspace: Workspace, digits_folder: Path
) -> None:
    card = prepare(workspace, "fsdd", digits_folder, overrides=("vocabulary.size=40",), speakers=["ann"])
    assert (card.vocabulary_source, card.vocabulary_speakers) == ("lexicon", ())
    words = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    assert card.vocabulary_sha256 == Vocabulary.train(words, 40, "bpe").sha256


def test_without_a_lexicon_the_alphabet_is_the_same_for_every_corpus(
    tmp_path: Path, corpus: Callable[..., Path]
) -> None:
    first = prepare(Workspace(tmp_path / "w1"), "manifest", corpus({"a": "yes"}))
    second = prepare(Workspace(tmp_path / "w2"), "manifest", corpus({"a": "quiz 42", "b": "it's"}))
    assert (first.vocabulary_source, first.vocabulary_speakers) == ("alphabet", ())
    assert first.vocabulary_sha256 == second.vocabulary_sha256
    vocabulary = Workspace(tmp_path / "w1").vocabulary
    assert set("".join(vocabulary.pieces[3:])) == set(ALPHABET) | {"\u2581"}
    assert all(len(piece) == 1 for piece in vocabulary.pieces[3:])
    assert not Workspace(tmp_path / "w1").has_lexicon


def test_a_vocabulary_of_the_users_own_has_unknown_speakers(
    workspace: Workspace, tmp_path: Path, digits_folder: Path, vocabulary: Vocabulary
) -> None:
    vocabulary.save(tmp_path / "mine")
    card = prepare(workspace, "fsdd", digits_folder, vocabulary=tmp_path / "mine" / "tokenizer.model")
    assert (card.vocabulary_source, card.vocabulary_speakers) == ("file", None)
    assert card.vocabulary_sha256 == vocabulary.sha256
    assert fresh(workspace).corpus == card


def test_a_lexicon_file_gives_words_and_vocabulary(
    workspace: Workspace, tmp_path: Path, corpus: Callable[..., Path]
) -> None:
    (tmp_path / "words.txt").write_text("Yes\nNo\nX-ray\n")
    manifest = corpus({"a": "yes", "b": "x ray"})
    card = prepare(workspace, "manifest", manifest, lexicon=tmp_path / "words.txt")
    assert card.vocabulary_source == "lexicon"
    assert fresh(workspace).lexicon.words == ("yes", "no", "x ray")
    prepare(workspace, "manifest", manifest)
    assert not fresh(workspace).has_lexicon


def test_the_recipe_decides_the_vocabulary(workspace: Workspace, digits_folder: Path) -> None:
    prepare(workspace, "fsdd", digits_folder, overrides=("vocabulary.size=25",))
    assert fresh(workspace).vocabulary.size == 25
