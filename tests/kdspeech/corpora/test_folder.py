"""The reader of any folder: paths, patterns, and what does not fit."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from kdspeech.corpora.folder import read
from kdspeech.errors import ConfigError, ManifestError
from kdspeech.utterance import Utterance, check_utterances

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """make("ann/yes/1.wav", ...): a folder with these files, which are empty: the reader opens none."""

    def touch(*names: str) -> Path:
        for name in names:
            path = tmp_path / "recordings" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path / "recordings"

    return touch


def test_speaker_and_word_are_folders_by_default(make: Make) -> None:
    root = make("ann/good_morning/1.wav", "bob/yes/a.wav")
    ann, bob = read(root).utterances
    assert ann == Utterance(
        utt_id="ann/good_morning/1",
        audio_filepath=str(root / "ann" / "good_morning" / "1.wav"),
        duration=0.0,
        text="good morning",
        speaker="ann",
        split="train",
        production_id="ann/good_morning/1",
    )
    assert (bob.speaker, bob.text) == ("bob", "yes")


def test_a_pattern_of_names_holds_in_every_folder(make: Make) -> None:
    root = make("ann_yes_1.wav", "more/bob_no_12.wav")
    found = read(root, pattern="{speaker}_{word}_{take}.wav")
    assert [(u.utt_id, u.speaker, u.text) for u in found.utterances] == [
        ("ann_yes_1", "ann", "yes"),
        ("more/bob_no_12", "bob", "no"),
    ]


def test_a_pattern_with_fixed_text_and_another_ending(make: Make) -> None:
    root = make("spk-07/rec(1).thank-you.flac", "spk-07/rec(2).no.flac")
    found = read(root, pattern="spk-{speaker}/rec({take}).{word}.flac")
    assert [(u.speaker, u.text) for u in found.utterances] == [("07", "thank-you"), ("07", "no")]


def test_the_ending_may_be_in_capitals(make: Make) -> None:
    root = make("ann/yes/1.wav", "ann/yes/2.WAV", "ann/yes/3.Wav", "ann/yes/4.mp3")
    found = read(root)
    assert [Path(u.audio_filepath).name for u in found.utterances] == ["1.wav", "2.WAV", "3.Wav"]
    assert found.gaps == ()
    assert len(read(root, pattern="{speaker}/{word}/{take}.WAV").utterances) == 3


def test_microphones_share_a_production(make: Make) -> None:
    names = [f"ann_{word}_{take}_{mic}.wav" for word in ("yes", "no") for take in range(10) for mic in ("near", "far")]
    found = read(make(*names), pattern="{speaker}_{word}_{take}_{microphone}.wav")
    check_utterances(list(found.utterances), Path("recordings"))
    assert {u.production_id for u in found.utterances if u.microphone == "far"} == {
        f"ann_{word}_{take}" for word in ("yes", "no") for take in range(10)
    }
    assert Counter(u.split for u in found.utterances) == {"train": 32, "valid": 4, "test": 4}


def test_files_that_do_not_fit_are_counted(make: Make) -> None:
    root = make("ann/yes/1.wav", "ann/noise.wav", "ann/yes/old/1.wav", "ann/yes/._1.wav", "README.txt")
    found = read(root)
    assert [u.utt_id for u in found.utterances] == ["ann/yes/1"]
    (gap,) = found.gaps
    assert gap.startswith("3 files do not fit the pattern '{speaker}/{word}/{take}.wav', left out: ann/noise.wav, ")


def test_nothing_that_fits(make: Make) -> None:
    with pytest.raises(ManifestError, match=r"none of 1 files ending in '\.wav' fits.*for example ann-yes\.wav"):
        read(make("ann-yes.wav"))


def test_an_empty_folder(make: Make) -> None:
    with pytest.raises(ManifestError, match="none of 0 files"):
        read(make("README.txt"))


def test_what_is_no_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="gone is not a folder"):
        read(tmp_path / "gone")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{speaker}_{take}.wav", r"\{word\} is missing"),
        ("{speaker}_{word}_{word}.wav", r"\{word\} stands twice"),
        ("{speaker}_{word}_{session}.wav", r"there is no field \{session\}"),
        ("{speaker}_{word}", r"no ending such as \.wav"),
        ("*.wav", r"\{speaker\} is missing; \{word\} is missing"),
    ],
)
def test_a_pattern_that_is_none(make: Make, pattern: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(make("ann_yes_1.wav"), pattern=pattern)
