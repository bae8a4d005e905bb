"""Planted faults, each in a workspace of its own: the diagnosis names the right one, and none where there is none."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from kdspeech.choices import DecodeMode
from kdspeech.config import StageConfig
from kdspeech.diagnosis.diagnose import CHECKS, REPORT_NAME, diagnose, print_diagnosis
from kdspeech.diagnosis.finding import Diagnosis
from kdspeech.errors import RunError
from kdspeech.evaluation.evaluate import evaluate, results_path
from kdspeech.evaluation.results import EvaluationResult
from kdspeech.files import read_json
from kdspeech.model_folders.checkpoints import load_checkpoint, save_checkpoint
from kdspeech.model_folders.runs import find_run
from kdspeech.protocols import Student
from kdspeech.training import fitting
from kdspeech.training.stages import prepare_parts
from kdspeech.training.train import train
from kdspeech.utterance import write_manifest
from kdspeech.workspace import Workspace
from tests.diagnosed import STUDENTS, change_rows, dump, fit, recipe
from tests.doubles import Behaviour, peaked_log_probs
from tests.learners import HearingStudent, TinyStudents


def look(workspace: Workspace, run: Path | None = None, quick: bool = True) -> Diagnosis:
    return diagnose(workspace, run or find_run(workspace), students=STUDENTS, quick=quick)


def cause_of(diagnosis: Diagnosis) -> tuple[str, str] | None:
    first = diagnosis.first_cause
    return None if first is None else (first.check, first.cause)


def test_nothing_is_found_where_nothing_is_wrong(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    run = find_run(workspace)
    diagnosis = look(workspace, quick=False)
    assert [(f.check, f.verdict) for f in diagnosis.findings] == [(name, "ok") for name, _ in CHECKS]
    assert "No fault found" in diagnosis.summary
    print_diagnosis(diagnosis)
    printed = capsys.readouterr().out
    assert all(name in printed for name, _ in CHECKS)
    stored = read_json(run / REPORT_NAME)
    assert stored["first_cause"] is None
    numbers = {finding["check"]: finding["numbers"] for finding in stored["findings"]}
    assert numbers["train, validation, held-out"]["held-out"]["ctc"] == {"wra": 100.0, "correct": 50, "utterances": 50}
    assert numbers["teacher dumps"]["ctc"]["anna"]["anna"]["unheard_utterances"] == 20
    assert numbers["frame rates"]["frame time / audio time"]["teacher anna"] == pytest.approx(1.0, abs=0.02)


def test_results_decoded_with_id_minus_one(workspace: Workspace) -> None:
    """The zero that cost the predecessor months: a good student, hypotheses of token id - 1."""
    run = find_run(workspace)
    path = results_path(run, "ctc")
    result, vocabulary = EvaluationResult.load(path), workspace.vocabulary
    assert result.scores.wra == 100.0
    shifted = {u.utt_id: vocabulary.decode([t - 1 for t in vocabulary.encode(u.hypothesis)]) for u in result.utterances}
    wrong = tuple(replace(u, hypothesis=shifted[u.utt_id], correct=False) for u in result.utterances)
    EvaluationResult(result.settings, wrong).save(path)
    assert EvaluationResult.load(path).scores.wra == 0.0

    diagnosis = look(workspace)
    assert cause_of(diagnosis) == ("vocabulary", "shifted vocabulary")
    assert "token id -1" in diagnosis.summary
    assert "results-ctc.json: 50 of 50 hypotheses" in diagnosis.summary
    assert any("stands as" in sample for sample in diagnosis.findings[0].samples)


def test_teachers_with_shifted_columns(untrained: Workspace) -> None:
    dump(untrained, Behaviour(column_shift=1))
    fit(untrained)
    diagnosis = look(untrained)
    assert cause_of(diagnosis) == ("vocabulary", "shifted vocabulary")
    assert "teacher anna's ctc columns" in diagnosis.summary
    assert "100.0 % with each id moved by -1" in diagnosis.summary


def test_shuffled_dump_rows(untrained: Workspace) -> None:
    """As a dump keyed by batch number, read after another shuffle."""
    order = np.random.default_rng(0).permutation(50)
    change_rows(untrained, lambda rows: [rows[index] for index in order])
    fit(untrained)
    diagnosis = look(untrained)
    assert cause_of(diagnosis) == ("teacher dumps", "shuffled dump rows")
    assert "dealt out otherwise 50 would be" in diagnosis.summary


def test_shuffled_dump_rows_of_one_length(untrained: Workspace) -> None:
    """Where all recordings are equally long, the texts alone must tell."""
    change_rows(untrained, lambda rows: [row[:15] if len(row) >= 15 else row for row in rows[7:] + rows[:7]])
    fit(untrained)
    assert cause_of(look(untrained)) == ("teacher dumps", "shuffled dump rows")


@pytest.mark.parametrize("with_log", [True, False])
def test_frozen_encoder(untrained: Workspace, monkeypatch: pytest.MonkeyPatch, with_log: bool) -> None:
    """The stage says that the encoder trains, and something froze it."""

    def freezing(student: Student, stage: StageConfig) -> None:
        prepare_parts(student, stage)
        student.parts()["encoder"].requires_grad_(False)

    with monkeypatch.context() as patch:
        patch.setattr(fitting, "prepare_parts", freezing)
        run = fit(untrained)
    if not with_log:
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        plain = [{k: v for k, v in row.items() if not k.startswith("moved_")} for row in rows]
        (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in plain))
    diagnosis = look(untrained)
    assert cause_of(diagnosis) == ("what trains", "frozen encoder")
    assert ("all: encoder 0," in diagnosis.summary) == with_log


class DetachedStudent(HearingStudent):
    """No gradient comes through its encoder."""

    def encode(self, waveforms: torch.Tensor, lengths: torch.Tensor) -> Any:
        with torch.no_grad():
            return super().encode(waveforms, lengths)


def test_an_encoder_without_gradient_is_found_before_any_epoch(workspace: Workspace) -> None:
    run = find_run(workspace)
    diagnosis = diagnose(workspace, run, students=TinyStudents(student=DetachedStudent))
    assert cause_of(diagnosis) == ("overfit one batch", "frozen encoder")


def test_frozen_encoder_whose_statistics_drift(workspace: Workspace) -> None:
    run = find_run(workspace)
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert rows[0]["moved_encoder_statistics"] == 0
    rows[0]["moved_encoder_statistics"] = 0.02
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    diagnosis = look(workspace)
    assert cause_of(diagnosis) == ("what trains", "encoder moves while frozen")
    assert "by its weights 0, by its statistics 2 %" in diagnosis.summary


def test_blank_collapse(workspace: Workspace) -> None:
    """CTC stays where it always begins: in the blank."""
    run = find_run(workspace)
    path = run / "checkpoints" / "last.ckpt"
    state = load_checkpoint(path)
    state["student"]["ctc_head.weight"].zero_()
    state["student"]["ctc_head.bias"].zero_()
    state["student"]["ctc_head.bias"][workspace.vocabulary.blank_id] = 5.0
    save_checkpoint(path, state)
    evaluate(workspace, run, "ctc", students=STUDENTS, force=True)
    diagnosis = look(workspace)
    assert cause_of(diagnosis) == ("collapse", "blank collapse")
    assert "100 % empty" in diagnosis.summary
    assert "the student says ''" in diagnosis.findings[6].samples[0]


def test_a_head_that_nobody_taught_is_not_accused(untrained: Workspace) -> None:
    """The CTC head of a run on cross entropy alone says what chance gave it."""
    losses = {"decoder-kd": {"cross_entropy": 1.0}}
    taught = recipe()
    stages = tuple(stage.model_copy(update={"losses": losses}) for stage in taught.stages)
    train(untrained, "carl", "decoder-kd", recipe=taught.model_copy(update={"stages": stages}), students=STUDENTS)
    collapse = look(untrained).findings[6]
    assert {name.split(", ")[1] for name in collapse.numbers} == {"decoder"}
    assert collapse.verdict == "ok"


def pad_with_blanks(rows: list[np.ndarray]) -> list[np.ndarray]:
    """Each recording scored with as much silence behind it."""
    width = rows[0].shape[1]
    return [np.concatenate([row, peaked_log_probs([width - 1] * len(row), width, 0.9)]) for row in rows]


@pytest.mark.parametrize("padded", [True, False])
def test_wrong_frame_rate(untrained: Workspace, padded: bool) -> None:
    """Rows over twice the recording's time; or a frame shift that is stated twice too long."""
    if padded:
        change_rows(untrained, lambda rows: pad_with_blanks(rows) if len(rows[0]) > 8 else rows)
    else:
        change_rows(untrained, lambda rows: rows, frame_shift_s=0.08)
    fit(untrained)
    diagnosis = look(untrained)
    assert cause_of(diagnosis) == ("frame rates", "wrong frame rate")
    assert "The frames of teacher anna cover 200 % of the audio's time" in diagnosis.summary
    assert "2 teachers 2.00-2.00, student 0.9" in diagnosis.summary
    spikes = diagnosis.findings[3].numbers["spikes"]
    assert spikes["targets on the student's frames"]["last"] < 0.3 if padded else spikes["anna"]["last"] > 0.3


def test_spikes_bunched_at_the_beginning(untrained: Workspace) -> None:
    """An encoder that hears the whole recording may say all of it in the first frames."""

    def bunch(rows: list[np.ndarray]) -> list[np.ndarray]:
        blank = rows[0].shape[1] - 1
        spikes = [row[row.argmax(axis=1) != blank] for row in rows]
        rest = [row[row.argmax(axis=1) == blank] for row in rows]
        together = [np.concatenate(parts) for parts in zip(spikes, rest, strict=True)]
        return together if len(rows[0]) > 8 else rows

    change_rows(untrained, bunch)
    run = train(untrained, "carl", "ctc-kd", recipe=recipe(1), students=STUDENTS)
    finding = look(untrained, run).findings[3]
    assert (finding.verdict, finding.cause) == ("warn", "spikes in the wrong places")
    assert "anna, bert are bunched" in finding.meaning


def test_a_domain_shift_is_told_from_a_broken_training(workspace: Workspace) -> None:
    """A student that is deaf to the held-out speaker alone, and one that has learnt nothing."""
    run = find_run(workspace)
    path = results_path(run, "ctc")
    result = EvaluationResult.load(path)
    heads: tuple[DecodeMode, ...] = ("ctc", "decoder")
    for mode in heads:
        settings = replace(result.settings, decode_mode=mode)
        wrong = tuple(replace(u, hypothesis="else", correct=False) for u in result.utterances)
        EvaluationResult(settings, wrong).save(results_path(run, mode))
    diagnosis = look(workspace)
    assert cause_of(diagnosis) == ("included or held-out", "domain shift")
    assert "held-out carl 0 %, included speakers 100 %" in diagnosis.summary

    state = load_checkpoint(run / "checkpoints" / "last.ckpt")
    for name, weights in state["student"].items():
        if name.startswith(("ctc_head", "decoder.output")):
            torch.manual_seed(0)
            weights.normal_()
    save_checkpoint(run / "checkpoints" / "last.ckpt", state)
    broken = look(workspace)
    assert [f.check for f in broken.failed][-2:] == ["train, validation, held-out", "included or held-out"]
    assert broken.failed[-1].cause == "weak training"


def test_a_run_that_has_just_begun(workspace: Workspace) -> None:
    run = find_run(workspace)
    for name in ("done.json", "metrics.jsonl", "results-ctc.json", "checkpoints/last.ckpt", "checkpoints/best.ckpt"):
        (run / name).unlink()
    with pytest.raises(RunError, match="no finished run"):
        find_run(workspace)
    diagnosis = look(workspace, find_run(workspace, unfinished=True))
    assert diagnosis.first_cause is None
    assert [f.verdict for f in diagnosis.findings] == ["ok"] * 4 + ["skipped"] * 5


def test_another_manifest(workspace: Workspace) -> None:
    write_manifest(workspace.manifest_path, [replace(u, block="B2") for u in workspace.utterances])
    assert cause_of(look(Workspace(workspace.root))) == ("vocabulary", "another manifest")


def test_dumps_that_changed_after_the_run(workspace: Workspace) -> None:
    change_rows(workspace, lambda rows: [0.5 * row - np.log(np.exp(0.5 * row).sum(1, keepdims=True)) for row in rows])
    finding = look(workspace).findings[2]
    assert (finding.verdict, finding.cause) == ("warn", "dumps that changed")
    assert finding.numbers["shards that changed since"] == 8  # two teachers x two speakers x two kinds


def test_the_recipe_says_when_a_teacher_is_broken(workspace: Workspace) -> None:
    """Teachers that are always right fail a recipe that asks for more than that."""
    path = find_run(workspace) / "recipe.yaml"
    assert look(workspace).findings[1].verdict == "ok"
    path.write_text(path.read_text().replace("min_own_wra: 50.0", "min_own_wra: 100.5"))
    finding = look(workspace).findings[1]
    assert (finding.check, finding.cause) == ("teacher dumps", "teachers that do not decode")


def test_teachers_trained_on_all_recordings_of_their_speaker_are_not_called_deaf(workspace: Workspace) -> None:
    rows = [replace(u, split="train") if u.speaker == "anna" else u for u in workspace.utterances]
    write_manifest(workspace.manifest_path, rows)
    dumps = look(Workspace(workspace.root)).findings[1]
    assert (dumps.verdict, dumps.numbers["ctc"]["anna"]["anna"]["wra"]) == ("ok", None)
    assert "Not known whether these teachers understand their own speaker" in dumps.meaning
    assert dumps.meaning.endswith("have no rows of it: anna.")


def test_a_damaged_dump_is_a_finding(workspace: Workspace) -> None:
    for path in workspace.dumps_dir.glob("*/decoder/*.safetensors"):
        path.write_bytes(path.read_bytes()[:200])
    first = look(workspace).first_cause
    assert first is not None
    assert (first.check, first.cause) == ("vocabulary", "the check cannot run")
    assert "truncated or damaged" in first.meaning
