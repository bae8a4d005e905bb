"""The corpus is in UASpeech's layout, resumes without speaking twice, and is the same whoever speaks which part."""

from dataclasses import replace
from pathlib import Path

import pytest
import soundfile

from kdspeech.corpora.uaspeech import read
from kdspeech.errors import KdspeechError
from kdspeech.simulation import corpus
from kdspeech.simulation.corpus import CorpusSettings, speak_part, write_simulated_corpus
from kdspeech.simulation.words import all_words

pytest.importorskip("espeakng_loader")

SMALL, FULL = CorpusSettings(), CorpusSettings(size="full")
WORDS = 3


@pytest.fixture(autouse=True)
def _few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """A corpus of three words."""
    few = tuple(word for word in all_words() if word.listed_key in ("D1", "C16", "CW12"))
    monkeypatch.setattr(corpus, "small_words", lambda: few)


def _contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted((root / "audio").rglob("*.*"))}


def _write(root: Path, settings: CorpusSettings = SMALL, speakers: tuple[str, ...] = ("M08",), **options: bool) -> None:
    write_simulated_corpus(root, settings, speakers, jobs=1, **options)


def test_uaspeechs_reader_reads_it(tmp_path: Path) -> None:
    _write(tmp_path, speakers=("M08", "F02"))
    found = read(tmp_path)
    assert len(found.utterances) == 2 * 3 * WORDS
    assert found.lexicon is not None
    assert set(found.lexicon.words) == {"one", "left", "it"}
    by_id = {utterance.utt_id: utterance for utterance in found.utterances}
    utterance = by_id["M08_B2_C16_M5"]
    assert (utterance.text, utterance.band, utterance.split, utterance.word_type) == ("left", "HIGH", "test", "C")
    info = soundfile.info(utterance.audio_filepath)
    assert (info.samplerate, info.subtype, info.channels) == (16_000, "PCM_16", 1)
    assert utterance.audio_filepath == str(tmp_path / "audio" / "original" / "M08" / "M08_B2_C16_M5.wav")


def test_the_full_size_has_uaspeechs_counts() -> None:
    (speaker, *others) = FULL.speakers()
    assert len(others) == 14
    productions = FULL.productions(speaker)
    assert len(productions) == 765
    assert len({production.text for production in productions}) == 455
    assert sum((p.block, p.key) == ("B3", "UW100") for p in productions) == 1


def test_parts_in_any_order_make_the_same_bytes(tmp_path: Path) -> None:
    _write(tmp_path / "whole", speakers=("M01", "M08"))
    for part in (2, 0, 1):
        speak_part(tmp_path / "parts", SMALL, ["M01", "M08"], part, 3)
    assert _contents(tmp_path / "parts") == _contents(tmp_path / "whole")


def test_what_was_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    _write(tmp_path)
    before = _contents(tmp_path)
    lost = tmp_path / "audio" / "original" / "M08" / "M08_B3_D1_M5.wav"
    kept = lost.with_name("M08_B1_D1_M5.wav")
    lost.unlink()
    (tmp_path / "mlf" / "M08" / "M08_word.mlf").unlink()
    stamp = kept.stat().st_mtime_ns
    _write(tmp_path)
    assert _contents(tmp_path) == before
    assert kept.stat().st_mtime_ns == stamp


def test_done_work_is_skipped_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(tmp_path)
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.wav")}
    _write(tmp_path)
    assert "up to date" in capsys.readouterr().err
    _write(tmp_path, speakers=("M08", "F05"))
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())
    assert (tmp_path / "mlf" / "F05" / "F05_word.mlf").exists()


@pytest.mark.parametrize(
    "other",
    [
        CorpusSettings(seed=1),
        CorpusSettings(model=replace(SMALL.model, mild=replace(SMALL.model.mild, tempo=0.8))),
        CorpusSettings(microphones=("M6",)),
    ],
)
def test_other_settings_begin_anew(tmp_path: Path, other: CorpusSettings) -> None:
    _write(tmp_path, speakers=("M08", "F05"))
    before = _contents(tmp_path)
    _write(tmp_path, other)
    after = _contents(tmp_path)
    assert len(after) == len(before) / 2
    assert not set(after.values()) & set(before.values())
    assert not (tmp_path / "mlf" / "F05").exists()


def test_force_speaks_again(tmp_path: Path) -> None:
    _write(tmp_path)
    before = _contents(tmp_path)
    path = tmp_path / "audio" / "original" / "M08" / "M08_B1_D1_M5.wav"
    path.write_bytes(b"noise")
    _write(tmp_path, force=True)
    assert _contents(tmp_path) == before


def test_microphones_share_productions(tmp_path: Path) -> None:
    _write(tmp_path, CorpusSettings(microphones=("M5", "M7")))
    utterances = read(tmp_path).utterances
    assert len(utterances) == 2 * 3 * WORDS
    assert len({utterance.production_id for utterance in utterances}) == 3 * WORDS


def test_unknown_speakers_are_named(tmp_path: Path) -> None:
    with pytest.raises(KdspeechError, match=r"unknown speaker 'M99' in the simulated corpus.*M08"):
        _write(tmp_path, speakers=("M99",))
    assert not any(tmp_path.iterdir())
