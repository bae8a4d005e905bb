"""`prepare` on broken corpora: what is wrong is left out, or refused, by name."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kdspeech.corpora.prepare import prepare
from kdspeech.errors import ConfigError, ManifestError
from kdspeech.workspace import Workspace
from tests.prepared import BROKEN, fresh, state, utterances

WriteWav = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


def _manifest_was_written(workspace: Workspace) -> bool:
    return workspace.manifest_path.exists() or workspace.corpus_path.exists()


def test_broken_utterances_are_left_out_and_every_one_is_named(
    workspace: Workspace, broken_folder: Path, capsys: Capture
) -> None:
    card = prepare(workspace, "fsdd", broken_folder)
    assert card.num_broken == 5
    assert set(utterances(workspace)).isdisjoint(BROKEN)
    assert len(utterances(workspace)) == 19
    rows = [json.loads(line) for line in workspace.broken_path.read_text().splitlines()]
    assert {row["utt_id"]: row["kind"] for row in rows} == {name: kind for name, (kind, _) in BROKEN.items()}
    for row in rows:
        assert BROKEN[row["utt_id"]][1] in row["reason"]
        assert row["audio_filepath"] == str(broken_folder / "recordings" / f"{row['utt_id']}.wav")
    printed = capsys.readouterr().err
    assert "5 of 24 utterances cannot be used and are left out" in printed
    assert all(f"\n  {name}: " in printed for name in BROKEN)
    assert str(workspace.broken_path) in printed


def test_strict_refuses_and_writes_no_manifest(workspace: Workspace, broken_folder: Path) -> None:
    with pytest.raises(
        ManifestError, match=r"5 of 24 utterances .* cannot be used; no manifest was written"
    ) as failure:
        prepare(workspace, "fsdd", broken_folder, strict=True)
    reasons = dict(line.strip().split(": ", 1) for line in str(failure.value).splitlines()[1:6])
    assert reasons.keys() == BROKEN.keys()
    assert not _manifest_was_written(workspace)


def test_strict_refuses_what_was_prepared_without_it(workspace: Workspace, broken_folder: Path) -> None:
    prepare(workspace, "fsdd", broken_folder)
    before = state(workspace)
    with pytest.raises(ManifestError, match="5 of 24 utterances"):
        prepare(workspace, "fsdd", broken_folder, strict=True)
    assert state(workspace) == before


def test_strict_prepares_a_corpus_without_fault(workspace: Workspace, digits_folder: Path) -> None:
    assert prepare(workspace, "fsdd", digits_folder, strict=True).num_broken == 0
    assert workspace.broken_path.read_text() == ""


def test_a_mended_recording_comes_back(workspace: Workspace, broken_folder: Path, write_wav: WriteWav) -> None:
    prepare(workspace, "fsdd", broken_folder)
    write_wav(broken_folder / "recordings" / "0_ann_0.wav")
    assert prepare(workspace, "fsdd", broken_folder).num_broken == 4
    assert "0_ann_0" in utterances(workspace)


def test_ten_faults_are_named_and_the_rest_is_counted(
    workspace: Workspace, digits_folder: Path, capsys: Capture
) -> None:
    for path in sorted((digits_folder / "recordings").iterdir())[:12]:
        path.write_text("no audio")
    prepare(workspace, "fsdd", digits_folder)  # half of them: just not too many
    printed = capsys.readouterr().err
    assert sum(line.startswith("  ") for line in printed.splitlines()) == 11
    assert "and 2 more" in printed
    assert len(fresh(workspace).faults) == 12


def test_a_corpus_of_which_more_than_half_is_broken_is_refused(workspace: Workspace, digits_folder: Path) -> None:
    for path in sorted((digits_folder / "recordings").iterdir())[:13]:
        path.write_text("no audio")
    with pytest.raises(ManifestError, match=r"13 of 24 .* more than half.*By kind: 13 unreadable") as failure:
        prepare(workspace, "fsdd", digits_folder)
    assert "and 3 more" in str(failure.value)
    assert not _manifest_was_written(workspace)


def test_a_text_outside_the_vocabulary_is_a_fault(workspace: Workspace, corpus: Callable[..., Path]) -> None:
    prepare(workspace, "manifest", corpus({"a": "yes", "b": "Señor"}))
    (fault,) = fresh(workspace).faults
    assert (fault.utt_id, fault.kind, fault.text) == ("b", "outside the vocabulary", "señor")
    assert "its text 'señor' leaves the vocabulary" in fault.reason


def test_a_text_outside_the_lexicon_is_a_fault(
    workspace: Workspace, tmp_path: Path, corpus: Callable[..., Path]
) -> None:
    (tmp_path / "words.txt").write_text("yes\nno\nnose\n")
    prepare(workspace, "manifest", corpus({"a": "yes", "b": "yeso"}), lexicon=tmp_path / "words.txt")
    (fault,) = fresh(workspace).faults
    assert (fault.utt_id, fault.kind) == ("b", "outside the lexicon")
    assert "its text 'yeso' is not one of the lexicon's 3 words" in fault.reason


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("yes\nno\nNo\n", r"words\.txt: the words 'no' and 'No' are the same, 'no'"),
        ("yes\n---\n", r"words\.txt: the word '---' holds nothing"),
        ("yes\nyes\n", r"words\.txt: lexicon words stand twice: yes"),
    ],
)
def test_a_word_list_is_at_fault(
    workspace: Workspace, tmp_path: Path, corpus: Callable[..., Path], words: str, message: str
) -> None:
    (tmp_path / "words.txt").write_text(words)
    with pytest.raises(ConfigError, match=message):
        prepare(workspace, "manifest", corpus({"a": "yes"}), lexicon=tmp_path / "words.txt")


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
