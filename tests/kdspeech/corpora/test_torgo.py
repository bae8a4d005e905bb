"""The TORGO reader, on a miniature of the folder as it is unpacked."""

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from kdspeech.corpora.torgo import read
from kdspeech.errors import ConfigError, ManifestError
from kdspeech.utterance import Utterance

PROMPTS = {
    "0001": "[relax your mouth in its normal position]\n",
    "0002": "stick\n",
    "0003": "tear [as in tear up that paper]\n",
    "0004": "Except in the winter when the ooze or snow or ice prevents,\n",
    "0005": "input/images/river.jpg\n",
    "0006": "xxx\n",
    "0007": "[say Ah-P-Eee repeatedly]\n",
    "0008": "\n",
}
SPOKEN = ("0002", "0003", "0004")
Add = Callable[..., Path]


@pytest.fixture
def add_session(tmp_path: Path, write_wav: Callable[..., Path]) -> Add:
    """add("F01/Session1", prompts): a session with a recording of every prompt by both microphones; gives the root."""

    def add(place: str, prompts: Mapping[str, str] = PROMPTS, microphones: tuple[str, ...] = ("head", "array")) -> Path:
        session = tmp_path / "TORGO" / place
        (session / "prompts").mkdir(parents=True)
        for number, prompt in prompts.items():
            (session / "prompts" / f"{number}.txt").write_text(prompt)
            for microphone in microphones:
                write_wav(session / f"wav_{microphone}Mic" / f"{number}.wav", duration_s=0.05)
        return tmp_path / "TORGO"

    return add


def test_endings_may_be_in_capitals(add_session: Add) -> None:
    root = add_session("F01/Session1")
    session = root / "F01" / "Session1"
    for path in (session / "wav_headMic" / "0002.wav", session / "prompts" / "0003.txt"):
        path.rename(path.with_suffix(path.suffix.upper()))
    (session / "wav_headMic" / "._0005.WAV").touch()
    found = read(root)
    assert [u.utt_id for u in found.utterances] == [f"F01_Session1_{number}_head" for number in SPOKEN]
    assert Path(found.utterances[0].audio_filepath).name == "0002.WAV"


def test_an_utterance_in_every_field(add_session: Add) -> None:
    root = add_session("F01/Session1")
    utterances = {u.utt_id: u for u in read(root).utterances}
    assert list(utterances) == [f"F01_Session1_{number}_head" for number in SPOKEN]
    utterance = utterances["F01_Session1_0003_head"]
    assert utterance == Utterance(
        utt_id="F01_Session1_0003_head",
        audio_filepath=str(root / "F01" / "Session1" / "wav_headMic" / "0003.wav"),
        duration=0.0,
        text="tear",
        speaker="F01",
        split=utterance.split,
        production_id="F01_Session1_0003",
        word_type="word",
        microphone="head",
        band="SEVERE",
    )
    assert utterances["F01_Session1_0004_head"].word_type == "sentence"
    assert sorted(u.split for u in utterances.values()) == ["test", "train", "valid"]


def test_what_is_not_read_out_is_left_out_and_counted(add_session: Add) -> None:
    gaps = read(add_session("F01/Session1")).gaps
    assert gaps[1:] == (
        "2 prompts are instructions, left out: F01/Session1/0001, F01/Session1/0007.",
        "1 prompts are pictures, left out: F01/Session1/0005.",
        "1 prompts are `xxx`, left out: F01/Session1/0006.",
        "1 prompts are empty, left out: F01/Session1/0008.",
    )


def test_two_microphones_are_one_production(add_session: Add) -> None:
    utterances = read(add_session("M03/Session2"), microphone="both").utterances
    assert len(utterances) == 6
    splits: dict[str, set[str]] = {}
    for utterance in utterances:
        splits.setdefault(utterance.production_id, set()).add(utterance.split)
    assert len(splits) == 3
    assert all(len(of_one) == 1 for of_one in splits.values())


def test_a_prompt_counts_once_for_two_microphones(add_session: Add) -> None:
    gaps = read(add_session("M03/Session2"), microphone="both").gaps
    assert "1 prompts are `xxx`, left out: M03/Session2/0006." in gaps


def test_speakers_in_folders_of_groups_with_several_sessions(add_session: Add) -> None:
    add_session("M/M01/Session1")
    root = add_session("M/M01/Session2_3")
    assert {u.utt_id.rsplit("_", 2)[0] for u in read(root).utterances} == {"M01_Session1", "M01_Session2_3"}


def test_controls_come_when_asked_for(add_session: Add) -> None:
    add_session("F04/Session1")
    root = add_session("MC01/Session1")
    assert {u.speaker for u in read(root).utterances} == {"F04"}
    assert {u.speaker: u.band for u in read(root, controls=True).utterances} == {"F04": "MILD", "MC01": "CONTROL"}


def test_missing_and_empty_files_are_counted(add_session: Add) -> None:
    root = add_session("F03/Session2", {"0002": "stick", "0009": "pat", "0010": "up", "0011": "knew"})
    session = root / "F03" / "Session2"
    empty = session / "wav_headMic" / "0009.wav"
    empty.write_bytes(empty.read_bytes()[:44])  # a header, and no sample
    (session / "wav_headMic" / "0010.wav").unlink()
    (session / "prompts" / "0011.txt").unlink()
    add_session("F04/Session1", microphones=("array",))
    found = read(root)
    assert [u.utt_id for u in found.utterances] == ["F03_Session2_0002_head"]
    assert found.gaps == (
        "7 speakers have no recordings: F01, M01, M02, M04, M05, F04, M03.",
        f"1 recordings are empty, left out: {empty}.",
        "1 prompts have no recording of the head microphone: F03/Session2/0010.",
        "1 recordings have no prompt: F03/Session2/wav_headMic/0011.wav.",
        "1 sessions have no recordings of the head microphone: F04/Session1.",
    )


def test_what_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"gone is not a folder.*TORGO's folder"):
        read(tmp_path / "gone")


def test_a_folder_without_speakers_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match=r"holds no folder of a speaker; expected some of F01, .*--root"):
        read(tmp_path)


def test_controls_alone_need_the_option(add_session: Add) -> None:
    with pytest.raises(ManifestError, match="controls come with --controls"):
        read(add_session("FC01/Session1"))


def test_a_microphone_without_recordings(add_session: Add) -> None:
    root = add_session("F01/Session1", microphones=("array",))
    with pytest.raises(ManifestError, match=r"no prompt has a recording of microphone 'head'.*--microphone"):
        read(root)


def test_an_unknown_microphone(add_session: Add) -> None:
    with pytest.raises(ConfigError, match=r"no microphone 'M5'\. Known: head, array, both"):
        read(add_session("F01/Session1"), microphone="M5")
