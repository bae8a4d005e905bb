"""The AN4 reader, on a miniature of the unpacked archive, SPHERE headers included."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kdspeech.audio import load_audio
from kdspeech.corpora.an4 import read
from kdspeech.corpora.prepare import prepare
from kdspeech.errors import KdspeechError, ManifestError
from kdspeech.utterance import Utterance
from kdspeech.workspace import Workspace

TRAIN = {
    "an4_clstk/fash/an251-fash-b": "<s> YES </s> (an251-fash-b)",
    "an4_clstk/fash/an253-fash-b": "<s> GO </s> (an253-fash-b)",
    "an4_clstk/fash/cen5-fash-b": "<s> TWO SIX EIGHT </s> (cen5-fash-b)",
    "an4_clstk/mjbh/cen1-mjbh-b": "<s> P I T T S B U R G H </s> (cen1-mjbh-b)",
}
TEST = {"an4test_clstk/fcaw/an406-fcaw-b": "RUBOUT G M E F THREE NINE (an406-fcaw-b)"}  # the test list has no marks


def _write_sphere(path: Path, samples: np.ndarray) -> None:
    """A file as the archive has them: a header of 1024 bytes and 16-bit samples, high byte first."""
    fields = (
        "NIST_1A\n   1024\ndatabase_id -s3 an4\nchannel_count -i 1\nsample_count -i {n}\nsample_rate -i 16000\n"
        "sample_n_bytes -i 2\nsample_byte_format -s2 10\nsample_sig_bits -i 16\nsample_coding -s3 pcm\nend_head\n"
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(fields.format(n=len(samples)).encode().ljust(1024) + samples.astype(">i2").tobytes())


@pytest.fixture
def an4(tmp_path: Path) -> Path:
    root = tmp_path / "an4"
    (root / "etc").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, lines in (("train", TRAIN), ("test", TEST)):
        (root / "etc" / f"an4_{split}.fileids").write_text("".join(f"{name}\n" for name in lines))
        (root / "etc" / f"an4_{split}.transcription").write_text("".join(f"{line}\n" for line in lines.values()))
        for name in lines:
            _write_sphere(root / "wav" / f"{name}.sph", rng.integers(-3000, 3000, 48_000))
    return root


def test_the_official_lists(an4: Path) -> None:
    found = read(an4)
    utterances = {u.utt_id: u for u in found.utterances}
    assert utterances["an406-fcaw-b"] == Utterance(
        utt_id="an406-fcaw-b",
        audio_filepath=str(an4 / "wav" / "an4test_clstk" / "fcaw" / "an406-fcaw-b.sph"),
        duration=0.0,
        text="RUBOUT G M E F THREE NINE",
        speaker="fcaw",
        split="test",
        production_id="an406-fcaw-b",
    )
    assert {i: u.text for i, u in utterances.items() if u.split != "test"} == {
        "an251-fash-b": "YES",
        "an253-fash-b": "GO",
        "cen5-fash-b": "TWO SIX EIGHT",
        "cen1-mjbh-b": "P I T T S B U R G H",
    }
    assert {u.speaker for u in found.utterances} == {"fash", "mjbh", "fcaw"}
    assert found.gaps == ()
    assert found.lexicon is None


def test_a_tenth_of_a_speakers_training_recordings_validates(an4: Path) -> None:
    splits = [(u.speaker, u.split) for u in read(an4).utterances]
    assert splits.count(("fash", "valid")) == 1  # of three
    assert splits.count(("mjbh", "train")) == 1  # a single one trains


def test_sphere_files_are_prepared(an4: Path, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")
    prepare(workspace, "an4", an4)
    utterances = Workspace(workspace.root).utterances
    assert {u.duration for u in utterances} == {3.0}
    assert load_audio(utterances[0].audio_filepath).shape == (48_000,)
    assert {u.text for u in utterances} >= {"yes", "p i t t s b u r g h"}


def test_libsndfile_writes_the_same_kind_of_file(tmp_path: Path) -> None:
    samples = np.arange(-100, 100, dtype=np.int16)
    _write_sphere(tmp_path / "own.sph", samples)
    soundfile.write(tmp_path / "theirs.sph", samples, 16_000, format="NIST", subtype="PCM_16", endian="BIG")
    assert np.array_equal(load_audio(tmp_path / "own.sph"), load_audio(tmp_path / "theirs.sph"))


def test_the_folder_above_does_as_well(an4: Path) -> None:
    assert read(an4.parent) == read(an4)


def test_converted_recordings_do_as_well(an4: Path, write_wav: Callable[..., Path]) -> None:
    sphere = an4 / "wav" / "an4_clstk" / "fash" / "an251-fash-b.sph"
    sphere.unlink()
    write_wav(sphere.with_suffix(".wav"))
    assert str(sphere.with_suffix(".wav")) in {u.audio_filepath for u in read(an4).utterances}


def test_missing_recordings_and_transcripts_are_counted(an4: Path) -> None:
    (an4 / "wav" / "an4_clstk" / "mjbh" / "cen1-mjbh-b.sph").unlink()
    lists = an4 / "etc" / "an4_train.transcription"
    lists.write_text("".join(line for line in lists.read_text().splitlines(True) if "an253" not in line))
    found = read(an4)
    assert len(found.utterances) == 3
    assert found.gaps == (
        "1 recordings of the lists have no transcript: an4_clstk/fash/an253-fash-b.",
        "1 recordings of the lists are missing: an4_clstk/mjbh/cen1-mjbh-b.",
    )


def test_a_line_that_is_no_transcript(an4: Path) -> None:
    (an4 / "etc" / "an4_test.transcription").write_text("RUBOUT G M E\n")
    with pytest.raises(ManifestError, match=r"an4_test\.transcription: expected a line like .*found 'RUBOUT G M E'"):
        read(an4)


def test_a_list_that_is_not_utf_8(an4: Path) -> None:
    (an4 / "etc" / "an4_test.transcription").write_bytes(b"CAF\xc9 (an406-fcaw-b)\n")
    with pytest.raises(KdspeechError, match=r"an4_test\.transcription, line 1: expected text in UTF-8"):
        read(an4)


def test_a_folder_without_lists(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"an4_train\.transcription does not exist.*--root"):
        read(tmp_path)


def test_lists_without_recordings(an4: Path) -> None:
    for path in an4.glob("wav/*/*/*.sph"):
        path.unlink()
    with pytest.raises(ManifestError, match=r"holds none of the 5 recordings.*fash/an251-fash-b\.sph"):
        read(an4)
