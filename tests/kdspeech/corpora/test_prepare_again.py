"""`prepare` a second time: nothing is done twice, and everything that changed is."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from kdspeech.audio import Recording, read_recording
from kdspeech.corpora import checked, measuring
from kdspeech.corpora import prepare as preparation
from kdspeech.corpora.measuring import FileState, Measured
from kdspeech.corpora.prepare import prepare
from kdspeech.errors import KdspeechError, ManifestError
from kdspeech.files import sha256_of_file
from kdspeech.workspace import Workspace
from tests.prepared import fresh, state, utterances

WriteWav = Callable[..., Path]
Capture = pytest.CaptureFixture[str]


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
    before = state(workspace)
    assert prepare(workspace, "fsdd", digits_folder) == first
    assert state(workspace) == before
    assert "is up to date" in capsys.readouterr().err


def test_force_does_it_again(workspace: Workspace, digits_folder: Path) -> None:
    first = prepare(workspace, "fsdd", digits_folder)
    before = state(workspace)
    assert prepare(workspace, "fsdd", digits_folder, force=True) == first
    assert state(workspace) != before


def test_a_changed_recording_is_noticed(workspace: Workspace, digits_folder: Path, write_wav: WriteWav) -> None:
    first = prepare(workspace, "fsdd", digits_folder)
    audio = write_wav(digits_folder / "recordings" / "0_ann_0.wav", rate=8_000, seed=99)  # of the same size
    os.utime(audio, ns=(0, 0))
    assert prepare(workspace, "fsdd", digits_folder) != first
    assert utterances(workspace)["0_ann_0"].audio_sha256 == sha256_of_file(audio)


def test_a_damaged_manifest_is_made_again(workspace: Workspace, digits_folder: Path) -> None:
    prepare(workspace, "fsdd", digits_folder)
    workspace.manifest_path.write_text("")
    prepare(workspace, "fsdd", digits_folder)
    assert len(utterances(workspace)) == 24


def test_a_changed_vocabulary_is_said(workspace: Workspace, digits_folder: Path, capsys: Capture) -> None:
    prepare(workspace, "fsdd", digits_folder)
    prepare(workspace, "fsdd", digits_folder, overrides=("vocabulary.size=25",))
    assert "the vocabulary has changed" in capsys.readouterr().err
    assert fresh(workspace).vocabulary.size == 25


def test_another_corpus_takes_the_workspace_only_by_force(
    workspace: Workspace, digits_folder: Path, corpus: Callable[..., Path]
) -> None:
    prepare(workspace, "fsdd", digits_folder)
    manifest = corpus({"a": "yes"})
    with pytest.raises(KdspeechError, match=r"holds the corpus fsdd of .*--force"):
        prepare(workspace, "manifest", manifest)
    assert len(utterances(workspace)) == 24
    prepare(workspace, "manifest", manifest, force=True)
    assert list(utterances(workspace)) == ["a"]


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
        _ = fresh(workspace).corpus
    prepare(workspace, "fsdd", digits_folder, overrides=("vocabulary.size=25",))
    assert fresh(workspace).vocabulary.size == 25


def test_a_workspace_below_a_file_is_refused_before_the_audio_is_read(
    tmp_path: Path, digits_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(preparation, "measure_recordings", lambda *_: pytest.fail("read the audio first"))
    with pytest.raises(KdspeechError, match=r"cannot write below .*file: it is a file"):
        prepare(Workspace(tmp_path / "file" / "workspace"), "fsdd", digits_folder)
