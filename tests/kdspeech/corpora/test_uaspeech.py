"""The UASpeech reader, on a miniature of the folder as it is distributed."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest
import xlwt

from kdspeech.corpora.registry import READERS
from kdspeech.corpora.uaspeech import read
from kdspeech.corpora.uaspeech_words import read_word_list
from kdspeech.errors import ConfigError, ManifestError
from kdspeech.utterance import Utterance, check_utterances

# As in the sheet: the same in every block, but for the uncommon words.
WORDS = {
    "D2": "TWO",
    "LX": "X-RAY",
    "C1": "COMMAND",
    "CW5": "TO",
    "B1_UW3": "FRUGALITY",
    "B2_UW3": "THIRTY-FIVE",
    "B3_UW3": "ROLY-POLY",
}
COMMON = ("D2", "LX", "C1", "CW5", "UW3")
MakeCorpus = Callable[..., Path]


def _write_word_list(path: Path, words: Mapping[str, str], header: tuple[str, str] = ("WORD", "FILE NAME")) -> None:
    workbook = xlwt.Workbook()
    workbook.add_sheet("Speaker").write(0, 0, "Speaker information")
    sheet = workbook.add_sheet("Word_filename")
    for row, (key, word) in enumerate([(header[1], header[0]), *words.items()]):
        sheet.write(row, 0, word)
        sheet.write(row, 1, key)
    path.parent.mkdir(parents=True, exist_ok=True)
    workbook.save(str(path))


def _write_label_files(root: Path, speaker: str, words: Mapping[str, str]) -> None:
    entries = []
    for key, word in words.items():
        own_block, _, name = key.rpartition("_")
        for block in [own_block] if own_block else ["B1", "B2", "B3"]:
            entries += [f'"*/{speaker}_{block}_{name}_{microphone}.lab"\n{word}\n.\n' for microphone in ("M5", "M6")]
    path = root / "mlf" / speaker / f"{speaker}_word.mlf"
    path.parent.mkdir(parents=True)
    path.write_text("#!MLF!#\n" + "".join(entries))


@pytest.fixture
def make_corpus(tmp_path: Path) -> MakeCorpus:
    """make(speakers, ...): a folder like UASpeech's; the reader opens no audio, so the files are empty."""

    def make(
        speakers: Iterable[str] = ("F02", "M08", "CF02"),
        blocks: Iterable[str] = ("B1", "B2", "B3"),
        microphones: Iterable[str] = ("M5", "M6"),
        folder: str = "audio/original",
    ) -> Path:
        root = tmp_path / "UASpeech"
        for speaker in speakers:
            (root / folder / speaker).mkdir(parents=True)
            for block in blocks:
                for word in COMMON:
                    for microphone in microphones:
                        (root / folder / speaker / f"{speaker}_{block}_{word}_{microphone}.wav").touch()
        if not (root / "doc").exists():
            _write_word_list(root / "doc" / "speaker_wordlist.xls", WORDS)
        return root

    return make


def _by_id(utterances: Iterable[Utterance]) -> dict[str, Utterance]:
    return {u.utt_id: u for u in utterances}


def test_an_utterance_in_every_field(make_corpus: MakeCorpus) -> None:
    root = make_corpus()
    utterances = _by_id(read(root).utterances)
    assert len(utterances) == 2 * 3 * 5 * 2  # speakers x blocks x words x microphones
    assert utterances["F02_B2_UW3_M5"] == Utterance(
        utt_id="F02_B2_UW3_M5",
        audio_filepath=str(root / "audio" / "original" / "F02" / "F02_B2_UW3_M5.wav"),
        duration=0.0,
        text="thirty five",
        speaker="F02",
        split="test",
        production_id="F02_B2_UW3",
        word_type="UW",
        block="B2",
        microphone="M5",
        band="LOW",
    )


def test_common_words_are_the_same_in_all_blocks_and_uncommon_ones_are_not(make_corpus: MakeCorpus) -> None:
    utterances = _by_id(read(make_corpus()).utterances)
    texts = {word: [utterances[f"M08_{block}_{word}_M6"].text for block in ("B1", "B2", "B3")] for word in COMMON}
    assert texts == {
        "D2": ["two"] * 3,
        "LX": ["x ray"] * 3,
        "C1": ["command"] * 3,
        "CW5": ["to"] * 3,
        "UW3": ["frugality", "thirty five", "roly poly"],
    }
    types = {u.word_type for u in utterances.values()}
    assert types == {"D", "L", "C", "CW", "UW"}


def test_the_lexicon_is_the_whole_list_with_its_homophones(make_corpus: MakeCorpus) -> None:
    lexicon = read(make_corpus(), blocks=("B1",)).lexicon
    assert lexicon is not None
    assert lexicon.words == ("two", "x ray", "command", "to", "frugality", "thirty five", "roly poly")
    assert lexicon.homophones == (("to", "two"),)


def test_controls_come_when_asked_for(make_corpus: MakeCorpus) -> None:
    root = make_corpus()
    assert {u.speaker for u in read(root).utterances} == {"F02", "M08"}
    bands = {u.speaker: u.band for u in read(root, controls=True).utterances}
    assert bands == {"F02": "LOW", "M08": "HIGH", "CF02": "CONTROL"}


def test_the_standard_split_holds_productions_back_whole(make_corpus: MakeCorpus) -> None:
    utterances = list(read(make_corpus(), split="standard").utterances)
    check_utterances(utterances, Path("UASpeech"))
    assert {u.block for u in utterances if u.split == "test"} == {"B2"}
    for speaker in ("F02", "M08"):
        held_back = [u for u in utterances if u.speaker == speaker and u.split == "valid"]
        assert {u.block for u in held_back} <= {"B1", "B3"}
        assert len({u.production_id for u in held_back}) == 1  # of 10 in B1 and B3
        assert [u.microphone for u in held_back] == ["M5", "M6"]


def test_the_split_by_block(make_corpus: MakeCorpus) -> None:
    splits = {(u.block, u.split) for u in read(make_corpus(), split="by-block").utterances}
    assert splits == {("B1", "train"), ("B2", "valid"), ("B3", "test")}


def test_blocks_and_microphones_are_chosen(make_corpus: MakeCorpus) -> None:
    found = read(make_corpus(), microphones=("M6",), blocks=("B1", "B3"))
    assert {(u.block, u.microphone) for u in found.utterances} == {("B1", "M6"), ("B3", "M6")}
    assert len(found.utterances) == 20


@pytest.mark.parametrize("version", ["normalized", "noisereduce"])
def test_the_other_versions(make_corpus: MakeCorpus, version: str) -> None:
    root = make_corpus(folder=f"audio/{version}")
    assert Path(read(root, version=version).utterances[0].audio_filepath).parent.parent.name == version
    with pytest.raises(ManifestError, match=f"holds no folder of a speaker.*--version that is there: {version}"):
        read(root)


def test_older_copies_keep_the_controls_apart(make_corpus: MakeCorpus) -> None:
    make_corpus(("F02",), folder="audio")
    root = make_corpus(("CM01",), folder="audio/control")
    assert {u.speaker for u in read(root, controls=True).utterances} == {"F02", "CM01"}


def test_label_files_stand_in_for_the_word_list(make_corpus: MakeCorpus) -> None:
    root = make_corpus()
    from_list = read(root)
    (root / "doc" / "speaker_wordlist.xls").unlink()
    _write_label_files(root, "F02", WORDS)
    assert read(root).utterances == from_list.utterances
    assert from_list.lexicon is not None
    assert read(root).lexicon == from_list.lexicon


def test_label_files_that_disagree_are_outvoted_and_reported(make_corpus: MakeCorpus) -> None:
    root = make_corpus()
    (root / "doc" / "speaker_wordlist.xls").unlink()
    for speaker, word in (("F02", "TWO"), ("M08", "TWO"), ("M04", "ZERO")):
        _write_label_files(root, speaker, {**WORDS, "D2": word})
    words, reports = read_word_list(root)
    assert words["D2"] == "two"
    assert reports == ("1 words are not the same in all label files; the most frequent was taken: D2 two (12 of 18).",)


# Gaps: reported with counts, not fatal


def _gap(root: Path, about: str, controls: bool = False) -> str:
    (gap,) = [gap for gap in read(root, controls=controls).gaps if about in gap]
    return gap


def test_a_whole_corpus_has_no_gaps_but_the_speakers_that_are_not_there(make_corpus: MakeCorpus) -> None:
    (gap,) = read(make_corpus()).gaps
    assert gap.startswith("13 of 15 speakers have no recordings: M04, F03, ")


def test_speakers_without_recordings(make_corpus: MakeCorpus) -> None:
    root = make_corpus()
    (root / "audio" / "original" / "M16").mkdir()
    gap = _gap(root, "have no recordings", controls=True)
    assert gap.startswith("25 of 28 speakers")
    assert "M16" in gap
    assert "F02" not in gap


def test_missing_blocks_microphones_and_files(make_corpus: MakeCorpus) -> None:
    root = make_corpus()
    folder = root / "audio" / "original"
    for path in [*folder.glob("F02/F02_B2_*"), *folder.glob("M08/*_M6.wav"), folder / "M08" / "M08_B3_D2_M5.wav"]:
        path.unlink()
    gaps = read(root).gaps
    assert "2 blocks or microphones are missing as a whole: F02 B2, M08 M6." in gaps
    assert "1 of 35 recordings are missing: M08_B3_D2_M5." in gaps  # 2 x 5 x 2 of F02, 3 x 5 x 1 of M08


def test_files_of_another_name_are_left_out(make_corpus: MakeCorpus) -> None:
    root = make_corpus()
    folder = root / "audio" / "original" / "F02"
    for name in ("F02_B4_D2_M5.wav", "M08_B1_D2_M5.wav", "noise.wav", "._F02_B1_D2_M5.wav", "notes.txt"):
        (folder / name).touch()
    found = read(root)
    assert _gap(root, "not named").startswith("3 files are not named like UASpeech's, left out: F02_B4_D2_M5.wav, M08_")
    assert len(found.utterances) == 60


def test_words_outside_the_list_are_left_out(make_corpus: MakeCorpus) -> None:
    root = make_corpus()
    (root / "audio" / "original" / "F02" / "F02_B1_CW77_M5.wav").touch()
    assert "F02_B1_CW77_M5.wav" in _gap(root, "1 recordings of words that the word list does not hold")
    assert len(read(root).utterances) == 60


# Errors


def test_what_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"gone is not a folder.*--root"):
        read(tmp_path / "gone")


def test_a_folder_without_a_word_list_is_named(make_corpus: MakeCorpus) -> None:
    root = make_corpus()
    (root / "doc" / "speaker_wordlist.xls").unlink()
    with pytest.raises(ManifestError, match=r"UASpeech has no word list: expected .*speaker_wordlist\.xls, or .*mlf"):
        read(root)


def test_a_workbook_that_is_none(make_corpus: MakeCorpus) -> None:
    root = make_corpus()
    (root / "doc" / "speaker_wordlist.xls").write_text("WORD,FILE NAME\n")
    with pytest.raises(ManifestError, match=r"speaker_wordlist\.xls: not UASpeech's word list"):
        read(root)


def test_a_workbook_with_other_columns(make_corpus: MakeCorpus) -> None:
    root = make_corpus()
    _write_word_list(root / "doc" / "speaker_wordlist.xls", WORDS, header=("WORDS", "FILE NAME"))
    with pytest.raises(ManifestError, match="no column WORD among WORDS, FILE NAME"):
        read(root)


def test_a_key_without_a_word(make_corpus: MakeCorpus) -> None:
    root = make_corpus()
    _write_word_list(root / "doc" / "speaker_wordlist.xls", {"D2": "TWO", "D3": " "})
    with pytest.raises(ManifestError, match="row 3: found key 'D3' with word ''"):
        read(root)


def test_a_folder_without_speakers(make_corpus: MakeCorpus) -> None:
    with pytest.raises(ManifestError, match=r"holds no folder of a speaker; expected some of M04, F03.*--root"):
        read(make_corpus(speakers=()))


def test_controls_alone_need_the_option(make_corpus: MakeCorpus) -> None:
    with pytest.raises(ManifestError, match="controls come with --controls"):
        read(make_corpus(speakers=("CF02",)))


def test_a_choice_that_leaves_nothing(make_corpus: MakeCorpus) -> None:
    with pytest.raises(ManifestError, match=r"microphones M2\. Found: blocks B1, B2, B3; microphones M5, M6"):
        read(make_corpus(), microphones=("M2",))


def test_an_unknown_split(make_corpus: MakeCorpus) -> None:
    with pytest.raises(ConfigError, match=r"no split 'random' of UASpeech.*standard, by-block"):
        read(make_corpus(), split="random")


def test_the_reader_names_options_of_its_function() -> None:
    reader = READERS["uaspeech"]
    defaults = {option.name: reader.default_of(option) for option in reader.options}
    assert defaults == {
        "version": "original",
        "microphones": ("all",),
        "blocks": ("all",),
        "controls": False,
        "split": "standard",
    }
