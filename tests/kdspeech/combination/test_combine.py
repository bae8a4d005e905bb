"""`combine` on three systems whose right answers are known."""

from pathlib import Path

import pytest

from kdspeech.combination.combine import combine
from kdspeech.combination.rover import RoverOptions
from kdspeech.errors import ConfigError, KdspeechError
from kdspeech.files import read_json
from kdspeech.scoring.formats.transcripts import read_transcripts

REFERENCES = {"s1_a": "one two", "s1_b": "six", "s2_a": "ten", "s2_b": "six"}
SAID = {
    "x": ("one ten", "six", "ten", "two"),
    "y": ("two two", "six", "two", "two"),
    "z": ("one two", "ten", "one", "two"),
}


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    path = tmp_path / "ref.csv"
    path.write_text("utt_id,speaker,text\n" + "".join(f"{i},{i[:2]},{text}\n" for i, text in REFERENCES.items()))
    return path


@pytest.fixture
def systems(tmp_path: Path) -> list[Path]:
    for name, texts in SAID.items():
        (tmp_path / name).write_text("".join(f"{i} {text}\n" for i, text in zip(REFERENCES, texts, strict=True)))
    return [tmp_path / name for name in SAID]


def test_every_row_is_as_made(systems: list[Path], reference: Path, tmp_path: Path) -> None:
    found = combine(systems, reference=reference, out=tmp_path / "scores.json")

    assert [row.total.correct for row in found.singles] == [2, 1, 1]
    names = [row.name.partition(":")[0] for row in found.together]
    assert names == ["mean single system", "best single system (oracle)", "vote", "ROVER", "any system right (oracle)"]
    # the vote: s1_a is a tie that x wins; s1_b six; s2_a a tie that x wins; s2_b two. ROVER mends s1_a word by word
    assert [row.total.correct for row in found.together] == [4, 2, 2, 3, 3]
    assert [row.macro_wra for row in found.together] == pytest.approx([100 / 3, 50.0, 50.0, 75.0, 75.0])
    assert read_json(tmp_path / "scores.json")["together"][2]["scores"]["correct"] == 2


@pytest.mark.parametrize(("method", "first"), [("vote", "one ten"), ("rover", "one two")])
def test_the_combined_file_is_written_in_the_chosen_form(
    systems: list[Path], tmp_path: Path, method: str, first: str
) -> None:
    out = tmp_path / "combined.csv"
    combine(systems, method=method, hypotheses_out=out)  # type: ignore[arg-type]
    found = read_transcripts(out)
    assert list(found.texts.items())[:2] == [("s1_a", first), ("s1_b", "six")]
    assert found.confidences is not None
    assert found.confidences[1] == pytest.approx(2 / 3, abs=1e-5)

    combine(systems, hypotheses_out=tmp_path / "combined", format_out="trn")
    assert (tmp_path / "combined").read_text().splitlines()[1] == "six (s1_b)"


def test_a_system_without_an_answer_has_no_voice(systems: list[Path], reference: Path, tmp_path: Path) -> None:
    systems[0].write_text("s1_a one two\n")
    found = combine(systems, reference=reference)
    assert found.singles[0].total.correct == 1
    assert found.combined["s1_b"].text == "six"  # of y and z, the earlier
    assert found.combined["s1_b"].agreement == 0.5


def test_confidence_breaks_ties_if_every_system_has_it(tmp_path: Path) -> None:
    for name, text, confidence in (("x", "one", 0.2), ("y", "two", 0.9)):
        (tmp_path / name).write_text(f"utt_id,text,confidence\na,{text},{confidence}\n")
    files = [tmp_path / "x", tmp_path / "y"]
    assert combine(files).combined["a"].text == "two"
    assert combine(files, rover_options=RoverOptions(alpha=0.5), method="rover").combined["a"].text == "two"
    (tmp_path / "z").write_text("a three\n")
    assert combine([*files, tmp_path / "z"]).combined["a"].text == "one"
    with pytest.raises(ConfigError, match=r"no confidences in .*z"):
        combine([*files, tmp_path / "z"], rover_options=RoverOptions(alpha=0.5))


def test_log_probabilities_are_confidences_and_other_numbers_are_not(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("utt_id,text,log_prob\na,one,-3\n")
    (tmp_path / "y").write_text("utt_id,text,confidence\na,two,0.06\n")
    assert combine([tmp_path / "x", tmp_path / "y"]).combined["a"].text == "two"  # exp(-3) = 0.0498
    (tmp_path / "z").write_text("utt_id,text,score\na,two,17\n")
    with pytest.raises(KdspeechError, match="confidences from 17 to 17"):
        combine([tmp_path / "x", tmp_path / "z"])


def test_what_cannot_be_combined_is_refused(systems: list[Path], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two or more different files"):
        combine(systems[:1])
    with pytest.raises(ConfigError, match="two or more different files"):
        combine([systems[0], systems[0]])
    with pytest.raises(ConfigError, match="cannot be written"):
        combine(systems, hypotheses_out=tmp_path / "out", format_out="results")
