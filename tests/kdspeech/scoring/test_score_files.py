"""`score`: every count of a small corpus is known beforehand."""

import json
from pathlib import Path

import pytest

from kdspeech.errors import ConfigError, KdspeechError
from kdspeech.files import read_json
from kdspeech.scoring.homophone_files import read_homophones
from kdspeech.scoring.normalise import RULE_NAMES, Normaliser, choose_rules, normalise
from kdspeech.scoring.score_files import score
from kdspeech.utterance import Utterance, write_manifest


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """F02 (LOW) says `two` and `x-ray` into two microphones; M05 (MID) says `one two` into one."""
    rows = [
        Utterance("F02_1_M5", "/a/F02_1_M5.wav", 1.0, "two", "F02", "test", "F02_1", "D", "B1", "M5", "LOW"),
        Utterance("F02_1_M6", "/a/F02_1_M6.wav", 1.0, "two", "F02", "test", "F02_1", "D", "B1", "M6", "LOW"),
        Utterance("F02_2_M5", "/a/F02_2_M5.wav", 1.0, "x-ray", "F02", "test", "F02_2", "UW", "B3", "M5", "LOW"),
        Utterance("F02_2_M6", "/a/F02_2_M6.wav", 1.0, "x-ray", "F02", "test", "F02_2", "UW", "B3", "M6", "LOW"),
        Utterance("M05_1_M5", "/a/M05_1_M5.wav", 1.0, "one two", "M05", "test", "M05_1", "D", "B1", "M5", "MID"),
    ]
    write_manifest(tmp_path / "manifest.jsonl", rows)
    return tmp_path / "manifest.jsonl"


@pytest.fixture
def hypotheses(tmp_path: Path) -> Path:
    """The second is a homophone, the fourth is missing, the last has a word too many, and there is one of nobody."""
    path = tmp_path / "text"
    path.write_text("F02_1_M5 TWO\nF02_1_M6 too\nF02_2_M5 X RAY\nM05_1_M5 one two two\nX99 one\n")
    return path


def test_every_count_is_as_made(manifest: Path, hypotheses: Path) -> None:
    report = score(manifest, [hypotheses])

    total = report.total
    assert (total.utterances, total.correct) == (5, 2)
    assert (total.hits, total.substitutions, total.deletions, total.insertions) == (5, 1, 2, 1)
    assert (total.reference_characters, total.character_errors) == (3 + 3 + 5 + 5 + 7, 1 + 5 + 4)
    assert (report.missing, report.extra) == (("F02_2_M6",), ("X99",))
    assert report.macro_wra == pytest.approx((50.0 + 0.0) / 2)
    assert {name: list(groups) for name, groups in report.groups.items()} == {
        "speaker": ["F02", "M05"],
        "band": ["LOW", "MID"],
        "word_type": ["D", "UW"],
        "block": ["B1", "B3"],
        "microphone": ["M5", "M6"],
    }
    assert {name: scores.correct for name, scores in report.groups["microphone"].items()} == {"M5": 2, "M6": 0}
    assert (report.groups["word_type"]["UW"].utterances, report.groups["word_type"]["UW"].deletions) == (2, 2)
    assert report.productions is not None
    assert (report.productions.productions, report.productions.right_at_all, report.productions.right_at_any) == (
        3,
        0,
        2,
    )
    assert report.productions.mean_wra == pytest.approx((50 + 50 + 0) / 3)


def test_the_parts_add_up_to_the_whole(manifest: Path, hypotheses: Path) -> None:
    report = score(manifest, [hypotheses])
    for groups in report.groups.values():
        assert type(report.total).total(groups.values()) == report.total


def test_a_missing_hypothesis_is_wrong_even_beside_an_empty_reference(tmp_path: Path) -> None:
    (tmp_path / "ref").write_text("a\nb\nc one\n")
    (tmp_path / "hyp").write_text("b\nc one\n")
    total = score(tmp_path / "ref", [tmp_path / "hyp"]).total
    assert (total.utterances, total.correct, total.empty) == (3, 2, 1)


def test_strict_refuses_what_does_not_fit(manifest: Path, hypotheses: Path) -> None:
    with pytest.raises(KdspeechError, match=r"1 \(F02_2_M6\) without hypothesis, 1 \(X99\) without reference"):
        score(manifest, [hypotheses], strict=True)


def test_other_speakers_hypotheses_are_not_extra(manifest: Path, hypotheses: Path, tmp_path: Path) -> None:
    """Neither by id nor by the recording's path; what is in no reference stays extra."""
    report = score(manifest, [hypotheses], speakers=["M05"])
    assert (report.total.utterances, report.missing, report.extra) == (1, (), ("X99",))
    whole = tmp_path / "whole"
    whole.write_text("F02_1_M5 two\nF02_1_M6 two\nF02_2_M5 x ray\nF02_2_M6 x ray\nM05_1_M5 one two\n")
    assert score(manifest, [whole], speakers=["M05"], strict=True).total.correct == 1
    heard = [{"audio_filepath": f"/a/{name}.wav", "pred_text": "two"} for name in ("F02_1_M5", "M05_1_M5")]
    (tmp_path / "heard.json").write_text("".join(json.dumps(row) + "\n" for row in heard))
    assert score(manifest, [tmp_path / "heard.json"], speakers=["M05"], strict=True).total.utterances == 1
    both = tmp_path / "both.csv"
    both.write_text("utt_id,speaker,text,pred_text\na,F02,one,one\nb,M05,two,too\n")
    assert score(both, speakers=["F02"], strict=True).total.correct == 1


def test_files_without_a_common_id_are_refused(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "hyp").write_text("a one\n")
    with pytest.raises(KdspeechError, match="share no utterance id"):
        score(manifest, [tmp_path / "hyp"])


def test_rules_and_homophones_are_chosen_and_stated(manifest: Path, hypotheses: Path) -> None:
    plain = score(manifest, [hypotheses], rules=())
    lower = score(manifest, [hypotheses], rules=("lower-case",))
    alike = score(manifest, [hypotheses], homophones=(("two", "too"),))

    assert (plain.normalisation, plain.total.correct) == ("none", 0)
    assert (lower.normalisation, lower.total.correct) == ("lower-case", 1)
    assert (alike.normalisation, alike.total.correct) == (f"{', '.join(RULE_NAMES)}, 1 homophone groups", 3)
    assert alike.total.hits == 6


def test_recordings_are_found_by_their_paths(manifest: Path, tmp_path: Path) -> None:
    rows = [
        {"audio_filepath": "/a/F02_1_M5.wav", "pred_text": "two"},
        {"audio_filepath": "M05_1_M5.wav", "pred_text": ""},
    ]
    path = tmp_path / "predictions.json"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    report = score(manifest, [path])
    assert (report.total.correct, len(report.missing), report.extra) == (1, 3, ())


def test_paths_from_here_are_those_of_the_manifest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids that no file name tells: a hypothesis names its recording by a path from where it was heard."""
    monkeypatch.chdir(tmp_path)
    recording = tmp_path / "recordings" / "F02" / "one" / "1.wav"
    write_manifest(
        tmp_path / "manifest.jsonl", [Utterance("F02_one_1", str(recording), 1.0, "one", "F02", "test", "p")]
    )
    heard = {"audio_filepath": "recordings/F02/one/1.wav", "pred_text": "one"}
    (tmp_path / "heard.jsonl").write_text(json.dumps(heard) + "\n")
    report = score(tmp_path / "manifest.jsonl", [tmp_path / "heard.jsonl"])
    assert (report.total.correct, report.missing, report.extra) == (1, (), ())


def test_some_speakers_and_several_folds(manifest: Path, tmp_path: Path) -> None:
    (tmp_path / "fold1").write_text("F02_1_M5 two\nF02_1_M6 two\nF02_2_M5 x ray\nF02_2_M6 x ray\n")
    (tmp_path / "fold2").write_text("M05_1_M5 one\n")
    one = score(manifest, [tmp_path / "fold1"], speakers=["F02"])
    both = score(manifest, [tmp_path / "fold1", tmp_path / "fold2"])
    assert (one.total.correct, one.total.utterances, one.missing) == (4, 4, ())
    assert (both.total.correct, both.total.utterances, both.missing) == (4, 5, ())
    with pytest.raises(KdspeechError, match="no speaker F03; it knows F02, M05"):
        score(manifest, [tmp_path / "fold1"], speakers=["F03"])


def test_a_file_that_holds_both_stands_alone(tmp_path: Path, manifest: Path) -> None:
    path = tmp_path / "both.csv"
    path.write_text("utt_id,speaker,text,pred_text\na,F02,one,one\nb,F02,two,too\n")
    report = score(path)
    assert (report.total.correct, list(report.groups["speaker"])) == (1, ["F02"])
    with pytest.raises(KdspeechError, match="name a second file"):
        score(manifest)


def test_the_json_holds_the_counts(manifest: Path, hypotheses: Path, tmp_path: Path) -> None:
    report = score(manifest, [hypotheses], out=tmp_path / "scores.json")
    row = read_json(tmp_path / "scores.json")
    assert row["scores"] == report.total.to_dict()
    assert row["by_speaker"]["M05"]["insertions"] == 1
    assert (row["missing"], row["extra"]) == (["F02_2_M6"], ["X99"])
    assert row["macro_wra_over_speakers"] == 25.0
    assert row["macro_wra_interval"][0] <= 25.0 <= row["macro_wra_interval"][1]


def test_the_normaliser_is_the_one_that_training_uses() -> None:
    texts = ["X-RAY", "caf\N{LATIN SMALL LETTER E WITH ACUTE}.", " \N{DOUBLE QUESTION MARK} one", "don’t", "", "½ ①"]
    chosen = Normaliser()
    assert [chosen(text) for text in texts] == [normalise(text) for text in texts]
    assert choose_rules(None) == RULE_NAMES
    assert choose_rules(["none"]) == ()


@pytest.mark.parametrize(
    ("rules", "homophones", "message"),
    [
        (("lower-cas",), (), "unknown rule 'lower-cas'; expected some of spell-out-unknown"),
        (RULE_NAMES, (("a", "b"), ("b", "c")), "'b' is in two groups"),
        (RULE_NAMES, (("x-ray", "b"),), "'x ray' of the group x-ray, b is not one word"),
    ],
)
def test_what_does_not_fit_is_refused(
    rules: tuple[str, ...], homophones: tuple[tuple[str, ...], ...], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        Normaliser(rules, homophones)


def test_where_homophones_come_from(tmp_path: Path) -> None:
    (tmp_path / "groups.txt").write_text("to two, too\n\nwrite right\n")
    (tmp_path / "lexicon.json").write_text('{"words": ["to", "two"], "homophones": [["to", "two"]]}')
    (tmp_path / "words.txt").write_text("to\ntwo\n")

    assert read_homophones(None) == ()
    assert ("to", "two", "too") in read_homophones("english")
    assert read_homophones(str(tmp_path / "groups.txt")) == (("to", "two", "too"), ("write", "right"))
    assert read_homophones(str(tmp_path / "lexicon.json")) == (("to", "two"),)
    with pytest.raises(ConfigError, match="groups of two words or more"):
        read_homophones(str(tmp_path / "words.txt"))
    with pytest.raises(ConfigError, match="'englisch' is no file"):
        read_homophones("englisch")
