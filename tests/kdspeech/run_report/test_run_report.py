"""The page: its figures by hand, what it says of doubtful runs, and what it leaves out."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from kdspeech.errors import RunError
from kdspeech.evaluation.zero_shot import zero_shot
from kdspeech.files import read_json, write_json
from kdspeech.model_folders.teacher_folder import read_teacher_card, write_teacher_card
from kdspeech.run_report.contenders import make_field
from kdspeech.run_report.origins import origin_table
from kdspeech.run_report.rates import charts_by, differences, headline
from kdspeech.run_report.report import report_path, write_report
from kdspeech.run_report.subject import load_subjects
from kdspeech.workspace import Workspace
from tests.doubles import FakeStudents, PublishedTeachers

NAME = "conformer_xs_from_speechbrain"


def _runs(workspace: Workspace, *speakers: str) -> list[Path]:
    return [workspace.run_dir(NAME, speaker, "labels", 0) for speaker in speakers]


@pytest.fixture
def workspace(made: Workspace, tmp_path: Path) -> Workspace:
    """A copy, to be changed; the recordings stay where they are."""
    shutil.copytree(made.root, tmp_path / "w", ignore=shutil.ignore_patterns("audio"))
    return Workspace(tmp_path / "w")


def test_the_headline_is_the_mean_over_speakers(made: Workspace) -> None:
    field, reasons = make_field(made, load_subjects(made, _runs(made, "anna", "bert")))
    assert reasons == []
    rows = {(row[0], row[1]): row for row in headline(field).rows}
    student = rows["labels student", "greedy CTC"]
    assert student[2] == "83.3"  # anna 100, bert 67
    assert (student[4], student[7]) == ("25 of 30", "2")
    # bert's teachers are anna's, which is deaf to him, and carl's; anna's are both right.
    assert rows["mean single teacher", "greedy CTC"][2] == "75.0"
    assert rows["best single teacher (oracle)", "greedy CTC"][2] == "100.0"
    assert rows["any teacher right (oracle)", "greedy CTC"][2] == "100.0"
    low, high = map(float, student[3].split(" to "))
    assert low <= 83.3 <= high


def test_the_encoder_as_it_came_is_a_baseline_where_it_was_decoded(workspace: Workspace) -> None:
    """anna's teacher stands for the published encoder: it understands her and is deaf to bert."""
    zero_shot(workspace, "anna", PublishedTeachers(), ["anna", "bert"])
    for run in _runs(workspace, "anna", "bert"):
        start_from(run, "anna.nemo", read_teacher_card(workspace.teacher_dir("anna")).checkpoint_sha256)
    field, _ = make_field(workspace, load_subjects(workspace, _runs(workspace, "anna", "bert")))
    rows = {(row[0], row[1]): row for row in headline(field).rows}
    assert rows["zero-shot encoder", "greedy CTC"][2] == "50.0"
    assert rows["zero-shot encoder", "closed lexicon"][4] == "15 of 30"

    kept = workspace.reports_dir / "zero-shot" / "anna.json"
    row = read_json(kept)
    write_json(kept, {**row, "made_of": {**row["made_of"], "utterances_sha256": "of other recordings"}})
    field, _ = make_field(workspace, load_subjects(workspace, _runs(workspace, "anna")))
    assert "zero-shot encoder" not in {contender.name for contender in field.contenders}


def start_from(run: Path, encoder: str | None, sha256: str | None) -> None:
    """As if the run had started there."""
    config = read_json(run / "config.json")
    config["student"]["encoder"], config["inputs"]["encoder"] = encoder, sha256
    write_json(run / "config.json", config)


def test_another_recipes_encoder_is_no_baseline(workspace: Workspace) -> None:
    zero_shot(workspace, "anna", PublishedTeachers(), ["anna"])
    (run,) = _runs(workspace, "anna")

    def shown() -> bool:
        field, _ = make_field(workspace, load_subjects(workspace, [run]))
        return "zero-shot encoder" in {contender.name for contender in field.contenders}

    assert not shown()  # from scratch
    start_from(run, "other.nemo", "of another file")
    assert not shown()
    published = workspace.root / "teachers" / "zero-shot"
    write_teacher_card(published, replace(read_teacher_card(published), source="nvidia/anna"))
    start_from(run, "nvidia/bert", None)
    assert not shown()
    start_from(run, "nvidia/anna", None)
    assert shown()


def test_bars_by_speaker_and_band(made: Workspace) -> None:
    field, _ = make_field(made, load_subjects(made, _runs(made, "anna", "bert")))
    chart = charts_by(field, field.speaker_of, "speaker")[0]
    students = {group.name: group.bars[0].value for group in chart.groups}
    assert students == {"anna": 100.0, "bert": pytest.approx(200 / 3)}
    bands = charts_by(field, field.band_of, "band")[0]
    assert [group.name for group in bands.groups] == ["HIGH", "LOW"]


def test_two_systems_are_compared_on_what_both_heard(workspace: Workspace) -> None:
    (run,) = _runs(workspace, "bert")
    better = workspace.root / "better"
    shutil.copytree(run, better)
    row = read_json(better / "results-ctc.json")
    for utterance in row["utterances"]:
        utterance.update(hypothesis=utterance["reference"], correct=True)
    write_json(better / "results-ctc.json", row)
    field, _ = make_field(workspace, load_subjects(workspace, [run, better]))
    table = differences(field)
    assert table is not None
    first = table.rows[0]
    assert first[0] == "labels student #2 − labels student"
    assert first[2] == "+33.3"
    assert float(first[4]) == pytest.approx(2 * 0.5**5)  # five productions, all better
    assert "labels student #2 is better by 33.3" not in first[5]  # five are not enough for 5 %
    assert "one speaker: too few to say anything of others" in first[5]


def test_runs_of_other_settings_are_another_system(workspace: Workspace) -> None:
    (run,) = _runs(workspace, "bert")
    for number, settings in ((1, {}), (2, {"training": {"speeds": [1.0]}})):
        shutil.copytree(run, workspace.root / str(number))
        config = {**read_json(run / "config.json"), "seed": number, **settings}
        write_json(workspace.root / str(number) / "config.json", config)
    subjects = load_subjects(workspace, [run, workspace.root / "1", workspace.root / "2"])
    assert [subject.system for subject in subjects] == ["labels student"] * 2 + ["labels student, settings 2"]
    rows = {str(row[0]): row[1:] for row in origin_table(subjects).rows}
    assert rows["training"][2] == "speeds [1.0]" != rows["training"][0]


def test_the_page_holds_every_section_and_says_what_is_missing(made: Workspace, students: FakeStudents) -> None:
    path = write_report(made, _runs(made, "bert"), students=students)
    assert path == report_path(made, _runs(made, "bert"))
    page = path.read_text()
    sections = re.findall(r'<section id="(\w+)"', page)
    assert sections == [
        *("headline", "speakers", "bands", "teachers", "confusions", "conditions", "curves", "alignments", "worst"),
        *("utterances", "origins", "missing"),
    ]
    assert "Attention of labels student, bert held out, seed 0: its decoder has no attention" in page
    assert "TRANSDUCTIVE" not in page
    assert page.count("data:audio/flac") >= 5
    assert not re.search(r'(src|href)="(?!data:|#)', page)  # nothing outside
    assert "1 of 15" not in page
    assert "10 of 15" in page


def test_sound_can_be_left_out(made: Workspace, students: FakeStudents, tmp_path: Path) -> None:
    page = write_report(made, _runs(made, "bert"), students=students, out=tmp_path / "p.html", audio=False).read_text()
    assert "data:audio" not in page
    assert "Recordings: left out by --no-audio." in page


def test_a_transductive_run_is_marked_loudly(workspace: Workspace, students: FakeStudents, tmp_path: Path) -> None:
    (run,) = _runs(workspace, "bert")
    proof = read_json(run / "fold_proof.json")
    write_json(run / "fold_proof.json", {**proof, "num_adaptation": 15})
    page = write_report(workspace, [run], students=students, out=tmp_path / "p.html").read_text()
    assert '<p class="alarm" role="note">TRANSDUCTIVE: labels student, transductive, bert held out' in page
    assert "labels student, transductive</th>" in page  # in the headline, too


def test_an_unfinished_run_without_anything(workspace: Workspace, students: FakeStudents, tmp_path: Path) -> None:
    (run,) = _runs(workspace, "bert")
    for name in ("done.json", "fold_proof.json", "metrics.jsonl", "results-ctc.json", "results-lexicon.json"):
        (run / name).unlink()
    shutil.rmtree(run / "checkpoints")
    (workspace.reports_dir / "dump-matrix.json").unlink()
    shutil.rmtree(workspace.dumps_dir)
    page = write_report(workspace, [run], students=students, out=tmp_path / "p.html").read_text()
    assert re.findall(r'<section id="(\w+)"', page) == ["origins", "missing"]
    for line in ("UNFINISHED", "NO FOLD PROOF", "was not evaluated", "no metrics.jsonl", "no last.ckpt", "dump-matrix"):
        assert line in page


def test_results_of_an_older_checkpoint_are_left_out(workspace: Workspace, students: FakeStudents) -> None:
    (run,) = _runs(workspace, "bert")
    row = read_json(run / "results-ctc.json")
    row["settings"]["checkpoint_sha256"] = "0" * 64
    write_json(run / "results-ctc.json", row)
    (subject,) = load_subjects(workspace, [run])
    assert list(subject.results) == ["lexicon"]
    assert subject.stale == ("results-ctc.json",)


def test_an_unknown_decode_mode(made: Workspace, students: FakeStudents) -> None:
    with pytest.raises(RunError, match="no run was evaluated by 'joint'; there is ctc, lexicon"):
        write_report(made, _runs(made, "bert"), students=students, decode_mode="joint")
