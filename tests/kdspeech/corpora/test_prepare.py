"""`prepare`: everything is checked, what is broken is left out by name, and done work is not done again."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from kdspeech.audio import Recording, read_recording
from kdspeech.corpora import checked, measuring
from kdspeech.corpora import prepare as preparation
from kdspeech.corpora.measuring import FileState, Measured
from kdspeech.corpora.prepare import ALPHABET, prepare
from kdspeech.corpora.utterance import Utterance
from kdspeech.errors import ConfigError, KdspeechError, ManifestError
from kdspeech.files import sha256_of_file
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace

WriteWav = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace(tmp_path / "workspace")


def _fresh(workspace: Workspace) -> Workspace:
    """The workspace as another process would see it."""
    return Workspace(workspace.root)


def _utterances(workspace: Workspace) -> dict[str, Utterance]:
    return {u.utt_id: u for u in _fresh(workspace).utterances}


@pytest.fixture
def corpus(tmp_path: Path, write_wav: WriteWav) -> Callable[..., Path]:
    """corpus({"a": "yes"}, rows): a manifest of one recording for each name, by ann unless its row says otherwise."""

    def write(texts: Mapping[str, str], rows: Mapping[str, Mapping[str, Any]] | None = None) -> Path:
        lines = []
        for seed, (name, text) in enumerate(texts.items()):
            audio = tmp_path / "wavs" / f"{name}.wav"
            if not audio.exists():
                write_wav(audio, seed=seed, duration_s=1.0)
            row = {"audio_filepath": str(audio), "text": text, "speaker": "ann", "split": "train"}
            lines.append(json.dumps({**row, **(rows or {}).get(name, {})}) + "\n")
        (tmp_path / "corpus.jsonl").write_text("".join(lines))
        return tmp_path / "corpus.jsonl"

    return write


# What is written


def test_a_corpus_becomes_a_manifest_a_vocabulary_and_a_lexicon(workspace: Workspace, digits_folder: Path) -> None:
    card = prepare(workspace, "fsdd", digits_folder)
    prepared = _fresh(workspace)
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
    utterance = _utterances(workspace)["0_ann_8"]
    assert utterance.duration == pytest.approx(0.6, abs=1e-4)  # 4,800 samples at 8 kHz
    assert utterance.audio_sha256 == sha256_of_file(digits_folder / "recordings" / "0_ann_8.wav")


def test_a_stated_duration_gives_way_to_the_true_one(workspace: Workspace, corpus: Callable[..., Path]) -> None:
    prepare(workspace, "manifest", corpus({"a": "yes"}, {"a": {"duration": 1.04}}))
    assert _utterances(workspace)["a"].duration == 1.0


def test_texts_are_normalised(workspace: Workspace, corpus: Callable[..., Path]) -> None:
    prepare(workspace, "manifest", corpus({"a": "  The  X-RAY ", "b": "don\u2019t"}))
    assert [u.text for u in _utterances(workspace).values()] == ["the x ray", "don't"]


def test_speakers_can_be_chosen(workspace: Workspace, digits_folder: Path) -> None:
    prepare(workspace, "fsdd", digits_folder, speakers=["cid", "ann"])
    assert _fresh(workspace).speakers == ["ann", "cid"]
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
    assert _fresh(workspace).corpus == card


def test_a_lexicon_file_gives_words_and_vocabulary(
    workspace: Workspace, tmp_path: Path, corpus: Callable[..., Path]
) -> None:
    (tmp_path / "words.txt").write_text("Yes\nNo\nX-ray\n")
    manifest = corpus({"a": "yes", "b": "x ray"})
    card = prepare(workspace, "manifest", manifest, lexicon=tmp_path / "words.txt")
    assert card.vocabulary_source == "lexicon"
    assert _fresh(workspace).lexicon.words == ("yes", "no", "x ray")
    prepare(workspace, "manifest", manifest)
    assert not _fresh(workspace).has_lexicon


def test_the_recipe_decides_the_vocabulary(workspace: Workspace, digits_folder: Path) -> None:
    prepare(workspace, "fsdd", digits_folder, overrides=("vocabulary.size=25",))
    assert _fresh(workspace).vocabulary.size == 25


# Faults


_BROKEN = {  # of 24
    "0_ann_0": ("empty", "is empty"),
    "0_ann_5": ("truncated", "is truncated"),
    "0_ann_8": ("not finite", "NaN"),
    "0_ann_9": ("too short", "0 encoder frames"),
    "0_bob_0": ("unreadable", "not a readable audio file"),
}


@pytest.fixture
def broken_folder(digits_folder: Path) -> Path:
    """`digits_folder` with the faults of _BROKEN."""
    folder = digits_folder / "recordings"
    soundfile.write(folder / "0_ann_0.wav", np.zeros(0), 16_000)
    whole = (folder / "0_ann_5.wav").read_bytes()
    (folder / "0_ann_5.wav").write_bytes(whole[:-1000])
    soundfile.write(folder / "0_ann_8.wav", np.full(9_600, np.nan), 16_000, subtype="FLOAT")
    soundfile.write(folder / "0_ann_9.wav", np.zeros(100), 16_000)
    (folder / "0_bob_0.wav").write_text("no audio")
    return digits_folder


def _manifest_was_written(workspace: Workspace) -> bool:
    return workspace.manifest_path.exists() or workspace.corpus_path.exists()


def test_broken_utterances_are_left_out_and_every_one_is_named(
    workspace: Workspace, broken_folder: Path, capsys: Capture
) -> None:
    card = prepare(workspace, "fsdd", broken_folder)
    assert card.num_broken == 5
    assert set(_utterances(workspace)).isdisjoint(_BROKEN)
    assert len(_utterances(workspace)) == 19
    rows = [json.loads(line) for line in workspace.broken_path.read_text().splitlines()]
    assert {row["utt_id"]: row["kind"] for row in rows} == {name: kind for name, (kind, _) in _BROKEN.items()}
    for row in rows:
        assert _BROKEN[row["utt_id"]][1] in row["reason"]
        assert row["audio_filepath"] == str(broken_folder / "recordings" / f"{row['utt_id']}.wav")
    printed = capsys.readouterr().err
    assert "5 of 24 utterances cannot be used and are left out" in printed
    assert all(f"\n  {name}: " in printed for name in _BROKEN)
    assert str(workspace.broken_path) in printed


def test_strict_refuses_and_writes_no_manifest(workspace: Workspace, broken_folder: Path) -> None:
    with pytest.raises(
        ManifestError, match=r"5 of 24 utterances .* cannot be used; no manifest was written"
    ) as failure:
        prepare(workspace, "fsdd", broken_folder, strict=True)
    reasons = dict(line.strip().split(": ", 1) for line in str(failure.value).splitlines()[1:6])
    assert reasons.keys() == _BROKEN.keys()
    assert not _manifest_was_written(workspace)


def test_strict_refuses_what_was_prepared_without_it(workspace: Workspace, broken_folder: Path) -> None:
    prepare(workspace, "fsdd", broken_folder)
    before = _state(workspace)
    with pytest.raises(ManifestError, match="5 of 24 utterances"):
        prepare(workspace, "fsdd", broken_folder, strict=True)
    assert _state(workspace) == before


def test_strict_prepares_a_corpus_without_fault(workspace: Workspace, digits_folder: Path) -> None:
    assert prepare(workspace, "fsdd", digits_folder, strict=True).num_broken == 0
    assert workspace.broken_path.read_text() == ""


def test_a_mended_recording_comes_back(workspace: Workspace, broken_folder: Path, write_wav: WriteWav) -> None:
    prepare(workspace, "fsdd", broken_folder)
    write_wav(broken_folder / "recordings" / "0_ann_0.wav")
    assert prepare(workspace, "fsdd", broken_folder).num_broken == 4
    assert "0_ann_0" in _utterances(workspace)


def test_ten_faults_are_named_and_the_rest_is_counted(
    workspace: Workspace, digits_folder: Path, capsys: Capture
) -> None:
    for path in sorted((digits_folder / "recordings").iterdir())[:12]:
        path.write_text("no audio")
    prepare(workspace, "fsdd", digits_folder)  # half of them: just not too many
    printed = capsys.readouterr().err
    assert sum(line.startswith("  ") for line in printed.splitlines()) == 11
    assert "and 2 more" in printed
    assert len(_fresh(workspace).faults) == 12


def test_a_corpus_of_which_more_than_half_is_broken_is_refused(workspace: Workspace, digits_folder: Path) -> None:
    for path in sorted((digits_folder / "recordings").iterdir())[:13]:
        path.write_text("no audio")
    with pytest.raises(ManifestError, match=r"13 of 24 .* more than half.*By kind: 13 unreadable") as failure:
        prepare(workspace, "fsdd", digits_folder)
    assert "and 3 more" in str(failure.value)
    assert not _manifest_was_written(workspace)


def test_a_text_outside_the_vocabulary_is_a_fault(workspace: Workspace, corpus: Callable[..., Path]) -> None:
    prepare(workspace, "manifest", corpus({"a": "yes", "b": "Señor"}))
    (fault,) = _fresh(workspace).faults
    assert (fault.utt_id, fault.kind, fault.text) == ("b", "outside the vocabulary", "señor")
    assert "its text 'señor' leaves the vocabulary" in fault.reason


def test_a_text_outside_the_lexicon_is_a_fault(
    workspace: Workspace, tmp_path: Path, corpus: Callable[..., Path]
) -> None:
    (tmp_path / "words.txt").write_text("yes\nno\nnose\n")
    prepare(workspace, "manifest", corpus({"a": "yes", "b": "yeso"}), lexicon=tmp_path / "words.txt")
    (fault,) = _fresh(workspace).faults
    assert (fault.utt_id, fault.kind) == ("b", "outside the lexicon")
    assert "its text 'yeso' is not one of the lexicon's 3 words" in fault.reason


def test_a_text_of_punctuation_is_empty(workspace: Workspace, corpus: Callable[..., Path]) -> None:
    with pytest.raises(ManifestError, match="a: its transcript is empty"):
        prepare(workspace, "manifest", corpus({"a": "..."}))


def test_a_stated_duration_that_is_not_the_files_is_a_fault(workspace: Workspace, corpus: Callable[..., Path]) -> None:
    with pytest.raises(ManifestError, match=r"lasts 1\.00 s, the manifest states 2\.50 s"):
        prepare(workspace, "manifest", corpus({"a": "yes"}, {"a": {"duration": 2.5}}))


@pytest.mark.parametrize(("num_samples", "fits"), [(5 * 320, True), (5 * 320 - 1, False)])
def test_ctc_needs_a_frame_for_each_token_and_each_repeat(
    workspace: Workspace, tmp_path: Path, corpus: Callable[..., Path], num_samples: int, fits: bool
) -> None:
    """`zoo` is begin-of-word, z, o, o: four tokens and a blank between equal neighbours; a frame is 320 samples."""
    (tmp_path / "wavs").mkdir()
    soundfile.write(tmp_path / "wavs" / "a.wav", np.zeros(num_samples), 16_000)
    manifest = corpus({"a": "zoo"})
    if fits:
        prepare(workspace, "manifest", manifest)
    else:
        with pytest.raises(ManifestError, match="give 4 encoder frames, CTC needs 5 for the 4 tokens of 'zoo'"):
            prepare(workspace, "manifest", manifest)


def test_ids_that_stand_twice_are_refused(workspace: Workspace, corpus: Callable[..., Path]) -> None:
    with pytest.raises(ManifestError, match="utterance id 'a' stands twice"):
        prepare(workspace, "manifest", corpus({"a": "yes", "b": "no"}, {"b": {"utt_id": "a"}}))


def test_a_production_of_two_speakers_is_refused(workspace: Workspace, corpus: Callable[..., Path]) -> None:
    rows = {"a": {"production_id": "p1"}, "b": {"production_id": "p1", "speaker": "bob"}}
    with pytest.raises(ManifestError, match="production 'p1' belongs to ann and to bob"):
        prepare(workspace, "manifest", corpus({"a": "yes", "b": "no"}, rows))


@pytest.mark.parametrize("name", ["a/b", "..", "a,b", "all", "-x"])
def test_a_speaker_that_cannot_name_a_folder_is_refused(
    workspace: Workspace, corpus: Callable[..., Path], name: str
) -> None:
    with pytest.raises(ManifestError, match="cannot name a speaker"):
        prepare(workspace, "manifest", corpus({"a": "yes"}, {"a": {"speaker": name}}))


def test_the_same_audio_under_two_ids_is_said(
    workspace: Workspace, tmp_path: Path, corpus: Callable[..., Path], write_wav: WriteWav, capsys: Capture
) -> None:
    for name in ("a", "b"):
        write_wav(tmp_path / "wavs" / f"{name}.wav", seed=9)
    prepare(workspace, "manifest", corpus({"a": "yes", "b": "yes"}))
    assert "1 recordings stand under two ids: a of ann = b of ann" in capsys.readouterr().err


def test_an_unknown_corpus_or_recipe_is_named(workspace: Workspace, digits_folder: Path) -> None:
    with pytest.raises(ManifestError, match=r"no corpus reader 'timit'.*fsdd, manifest"):
        prepare(workspace, "timit", digits_folder)
    with pytest.raises(ConfigError, match="no recipe 'gone'"):
        prepare(workspace, "fsdd", digits_folder, recipe_name="gone")


# Once, whole, and again when something changed


def _state(workspace: Workspace) -> int:
    return workspace.manifest_path.stat().st_ino  # an atomic write gives the name another file


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the recordings that were decoded, in order."""
    names: list[str] = []

    def counted(path: str) -> Recording:
        names.append(Path(path).stem)
        return read_recording(path)

    monkeypatch.setattr(measuring, "read_recording", counted)
    return names


def test_nothing_is_decoded_twice(
    workspace: Workspace, digits_folder: Path, write_wav: WriteWav, decoded: list[str]
) -> None:
    prepare(workspace, "fsdd", digits_folder)
    assert len(decoded) == len(set(decoded)) == 24
    decoded.clear()
    prepare(workspace, "fsdd", digits_folder)
    prepare(workspace, "fsdd", digits_folder, overrides=("vocabulary.size=25",))
    prepare(workspace, "fsdd", digits_folder, speakers=["ann"])
    prepare(workspace, "fsdd", digits_folder, report=True)
    assert decoded == []
    write_wav(digits_folder / "recordings" / "2_ann_0.wav", rate=8_000, seed=77)
    os.utime(write_wav(digits_folder / "recordings" / "0_bob_5.wav", rate=8_000, seed=78), ns=(0, 0))
    prepare(workspace, "fsdd", digits_folder)
    assert sorted(decoded) == ["0_bob_5", "2_ann_0"]


def test_broken_recordings_are_not_decoded_again_either(
    workspace: Workspace, broken_folder: Path, decoded: list[str]
) -> None:
    with pytest.raises(ManifestError):
        prepare(workspace, "fsdd", broken_folder, strict=True)
    assert len(decoded) == 24
    assert prepare(workspace, "fsdd", broken_folder).num_broken == 5
    assert len(decoded) == 24


def test_force_decodes_again(workspace: Workspace, digits_folder: Path, decoded: list[str]) -> None:
    prepare(workspace, "fsdd", digits_folder)
    prepare(workspace, "fsdd", digits_folder, force=True)
    assert len(decoded) == 48


def test_what_was_decoded_before_an_interruption_is_kept(
    workspace: Workspace, digits_folder: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = measuring.measure

    def interrupted(path: str, state: FileState | None) -> Measured:
        if len(decoded) == 10:
            raise KeyboardInterrupt
        return measured(path, state)

    with monkeypatch.context() as patched:
        patched.setattr(checked, "measure", interrupted)
        patched.setattr(checked, "_BATCH", 1)
        patched.setattr(checked, "_num_threads", lambda: 1)
        with pytest.raises(KeyboardInterrupt):
            prepare(workspace, "fsdd", digits_folder)
    prepare(workspace, "fsdd", digits_folder)
    assert len(decoded) == 24


def test_done_work_is_skipped(workspace: Workspace, digits_folder: Path, capsys: Capture) -> None:
    first = prepare(workspace, "fsdd", digits_folder)
    before = _state(workspace)
    assert prepare(workspace, "fsdd", digits_folder) == first
    assert _state(workspace) == before
    assert "is up to date" in capsys.readouterr().err


def test_force_does_it_again(workspace: Workspace, digits_folder: Path) -> None:
    first = prepare(workspace, "fsdd", digits_folder)
    before = _state(workspace)
    assert prepare(workspace, "fsdd", digits_folder, force=True) == first
    assert _state(workspace) != before


def test_a_changed_recording_is_noticed(workspace: Workspace, digits_folder: Path, write_wav: WriteWav) -> None:
    first = prepare(workspace, "fsdd", digits_folder)
    audio = write_wav(digits_folder / "recordings" / "0_ann_0.wav", rate=8_000, seed=99)  # of the same size
    os.utime(audio, ns=(0, 0))
    assert prepare(workspace, "fsdd", digits_folder) != first
    assert _utterances(workspace)["0_ann_0"].audio_sha256 == sha256_of_file(audio)


def test_a_damaged_manifest_is_made_again(workspace: Workspace, digits_folder: Path) -> None:
    prepare(workspace, "fsdd", digits_folder)
    workspace.manifest_path.write_text("")
    prepare(workspace, "fsdd", digits_folder)
    assert len(_utterances(workspace)) == 24


def test_a_changed_vocabulary_is_said(workspace: Workspace, digits_folder: Path, capsys: Capture) -> None:
    prepare(workspace, "fsdd", digits_folder)
    prepare(workspace, "fsdd", digits_folder, overrides=("vocabulary.size=25",))
    assert "the vocabulary has changed" in capsys.readouterr().err
    assert _fresh(workspace).vocabulary.size == 25


def test_another_corpus_takes_the_workspace_only_by_force(
    workspace: Workspace, digits_folder: Path, corpus: Callable[..., Path]
) -> None:
    prepare(workspace, "fsdd", digits_folder)
    manifest = corpus({"a": "yes"})
    with pytest.raises(KdspeechError, match=r"holds the corpus fsdd of .*--force"):
        prepare(workspace, "manifest", manifest)
    assert len(_utterances(workspace)) == 24
    prepare(workspace, "manifest", manifest, force=True)
    assert list(_utterances(workspace)) == ["a"]


def test_an_interrupted_preparation_is_not_taken_for_done(
    workspace: Workspace, digits_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(workspace, "fsdd", digits_folder)

    def interrupted(*_arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(preparation, "write_manifest", interrupted)
        with pytest.raises(KeyboardInterrupt):
            prepare(workspace, "fsdd", digits_folder, overrides=("vocabulary.size=25",))
    assert not workspace.corpus_path.exists()
    with pytest.raises(ManifestError, match=r"holds no prepared corpus\. Run `kdspeech prepare`"):
        _ = _fresh(workspace).corpus
    prepare(workspace, "fsdd", digits_folder, overrides=("vocabulary.size=25",))
    assert _fresh(workspace).vocabulary.size == 25


def test_a_workspace_below_a_file_is_refused_before_the_audio_is_read(
    tmp_path: Path, digits_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(preparation, "measure_recordings", lambda *_: pytest.fail("read the audio first"))
    with pytest.raises(KdspeechError, match=r"cannot write below .*file: it is a file"):
        prepare(Workspace(tmp_path / "file" / "workspace"), "fsdd", digits_folder)
