"""`score`, `compare` and `combine` as the shell calls them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kdspeech.files import read_json

Run = Callable[..., Any]


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """References of 8 speakers with 10 utterances each; a has 5 of 10 right, b 8."""
    monkeypatch.chdir(tmp_path)
    utt_ids = [f"s{speaker}_{i}" for speaker in range(8) for i in range(10)]
    Path("ref.csv").write_text("utt_id,speaker,text\n" + "".join(f"{i},{i[:2]},one\n" for i in utt_ids))
    Path("a.trn").write_text("".join(f"{'one' if int(i[-1]) < 5 else 'two'} ({i})\n" for i in utt_ids))
    Path("b").write_text("".join(f"{i} {'One' if int(i[-1]) < 8 else 'two'}\n" for i in utt_ids))
    return tmp_path


def test_score(files: Path, run_cli: Run) -> None:
    done = run_cli("score", "ref.csv", "b", "--speakers", "s1,s2", "--out", "scores.json")
    assert done.exit_code == 0, done.stderr
    assert "WRA, macro │ 80.0 %" in done.stdout
    assert "mean over 2 speakers; 95 % interval" in done.stdout
    assert "Normalisation: spell-out-unknown, unify-characters, lower-case" in done.stdout
    assert read_json(files / "scores.json")["scores"]["correct"] == 16


def test_score_with_other_rules(files: Path, run_cli: Run) -> None:
    done = run_cli("score", "ref.csv", "b", "--rules", "none")
    assert "Normalisation: none\n" in done.stdout
    assert "0 of 80 utterances" in done.stdout
    assert run_cli("score", "ref.csv", "b", "--rules", "upper").exit_code == 2


def test_missing_and_extra_ids_are_loud(files: Path, run_cli: Run) -> None:
    Path("c").write_text("s0_0 one\nnobody one\n")
    done = run_cli("score", "ref.csv", "c", "--quiet")
    assert done.exit_code == 0
    assert "79 (s0_1, s0_2, s0_3, s0_4, s0_5, ...) without hypothesis: counted as wrong" in done.stderr
    assert "1 (nobody) without reference: not scored" in done.stderr
    assert run_cli("score", "ref.csv", "c", "--strict").exit_code == 1


def test_compare(files: Path, run_cli: Run) -> None:
    done = run_cli("compare", "a.trn", "b", "--ref", "ref.csv", "--replicates", 200, "--out", "compared.json")
    assert done.exit_code == 0, done.stderr
    assert "B is better by 30.0 points, p = 0.008 over speakers." in done.stdout
    assert "exact, all 256 sign patterns of speakers" in done.stdout
    assert read_json(files / "compared.json")["wra"]["b_macro"]["value"] == 80.0


def test_combine(files: Path, run_cli: Run) -> None:
    done = run_cli("combine", "a.trn", "b", "--ref", "ref.csv", "--write", "both.tsv")
    assert done.exit_code == 0, done.stderr
    assert "any system right (oracle)" in done.stdout
    assert "80 combined hypotheses (vote): both.tsv" in done.stdout
    assert Path("both.tsv").read_text().splitlines()[0] == "s0_0\tone"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("score", "ref.csv", "--format", "trn"), "--format is HYP's"),
        (("compare", "a.trn", "b", "--ref-format", "csv"), "--ref-format needs --ref"),
        (("combine", "a.trn", "b", "--ref-format", "csv"), "--ref-format needs --ref"),
        (("combine", "a.trn", "b", "--write-format", "trn"), "--write-format needs --write"),
        (("combine", "a.trn", "b", "--null-confidence", 0.3), "--null-confidence has no meaning with --alpha 1"),
    ],
)
def test_an_option_without_effect_is_refused(
    files: Path, run_cli: Run, arguments: tuple[object, ...], message: str
) -> None:
    done = run_cli(*arguments)
    assert (done.exit_code, message in done.stderr.replace("\n", " ")) == (2, True), done.stderr


def test_null_confidence_reaches_rover(files: Path, run_cli: Run) -> None:
    """Two systems against one that says nothing more: the silence wins where it is surer."""
    Path("long.csv").write_text("utt_id,hypothesis,confidence\nu,one two,0.6\n")
    Path("short.csv").write_text("utt_id,hypothesis,confidence\nu,one,0.6\n")
    for confidence, said in ((0.9, "one"), (0.1, "one two")):
        weights = ("--alpha", 0, "--null-confidence", confidence, "--method", "rover", "--write", "both.trn")
        assert run_cli("combine", "long.csv", "short.csv", *weights).exit_code == 0
        assert Path("both.trn").read_text() == f"{said} (u)\n"


def test_wrong_usage(files: Path, run_cli: Run) -> None:
    assert run_cli("score", "ref.csv", "b", "--format", "docx").exit_code == 2
    assert run_cli("compare", "a.trn").exit_code == 2
    assert run_cli("combine", "a.trn").exit_code == 2
    assert run_cli("combine", "a.trn", "b", "--write-format", "results").exit_code == 2
