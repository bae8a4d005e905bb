"""Every loss term as a value in a recipe: it comes into the total with its weight, and teaches the student."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from kdspeech.config import FrameKlConfig
from kdspeech.files import read_json
from kdspeech.folds import Provenance
from kdspeech.lexicon import Lexicon
from kdspeech.model_folders.checkpoints import load_checkpoint
from kdspeech.model_folders.runs import RunFolder
from kdspeech.protocols import Encoded, StudentOutput
from kdspeech.targets.hypotheses import WeightedText
from kdspeech.targets.target_set import Target, TargetSet
from kdspeech.training.train import train
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import add_teacher, make_workspace
from tests.learners import TinyStudent, TinyStudents, tiny_recipe

WORDS = ("one", "two", "six")
FRAME = ("encoder", "ctc_head")
DECODER = ("encoder", "decoder")
TERMS = {
    "frame_kl": FRAME,
    "nbest_ctc": FRAME,
    "consistency": FRAME,
    "intermediate_ctc": FRAME,
    "intermediate_frame_kl": FRAME,
    "token_kl": DECODER,
    "nbest_cross_entropy": DECODER,
}


class TwoHeadStudent(TinyStudent):
    """A TinyStudent whose second head hears the states, too; it hands over what it encoded."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.intermediate_head = nn.Linear(self.ctc_head.in_features, self.ctc_head.out_features)

    def parts(self) -> Mapping[str, nn.Module]:
        return {**super().parts(), "ctc_head": nn.ModuleList([self.ctc_head, self.intermediate_head])}

    def forward(
        self, waveforms: torch.Tensor, lengths: torch.Tensor, decoder_inputs: torch.Tensor | None = None
    ) -> StudentOutput:
        encoded = Encoded(self.encoder(waveforms), self.num_frames(lengths))
        decoded = None if decoder_inputs is None else self.decoder_log_probs(encoded, decoder_inputs)
        middle = self.intermediate_head(encoded.states).log_softmax(dim=-1)
        return StudentOutput(self.ctc_log_probs(encoded), encoded.num_frames, decoded, middle, encoded)


@pytest.fixture
def workspace(tmp_path: Any, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Three speakers x three words, one teacher whose every distribution is known."""
    made = make_workspace(tmp_path / "workspace", Lexicon(WORDS), vocabulary)
    add_teacher(made, "anna")
    row = np.full(vocabulary.num_columns, -np.log(vocabulary.num_columns), dtype=np.float32)
    targets = {
        u.utt_id: Target(
            u.utt_id,
            np.tile(row, (20, 1)),
            np.arange(20) % 2 == 0,
            np.tile(row, (len(vocabulary.encode(u.text)) + 1, 1)),
            confidence=1.0,
            num_teachers=1,
        )
        for u in made.utterances
    }
    provenance = Provenance("t", "statistic", ("anna",))
    pooled = TargetSet(targets, frame_shift_s=0.04, temperature=2.0, provenance=provenance)

    def texts(_: Any, cards: Any, utterances: Sequence[Any], recipe: Any) -> dict[str, list[WeightedText]]:
        spelt = [WeightedText(tuple(vocabulary.encode(word)), 0.5) for word in ("one", "two")]
        return {u.utt_id: spelt for u in utterances}

    monkeypatch.setattr("kdspeech.training.train.aggregate", lambda *_: pooled)
    monkeypatch.setattr("kdspeech.training.train.taught_texts", texts)
    return made


def fit(workspace: Workspace, losses: Mapping[str, float], seed: int = 0, **training: Any) -> RunFolder:
    recipe = tiny_recipe([{"epochs": 2, "losses": {"ctc-kd": dict(losses)}}], **training)
    students = TinyStudents(student=TwoHeadStudent)
    return RunFolder(train(workspace, "carl", "ctc-kd", recipe=recipe, students=students, seed=seed))


def rows(run: RunFolder) -> list[dict[str, Any]]:
    return [json.loads(line) for line in run.metrics_path.read_text().splitlines()]


@pytest.mark.parametrize("term", TERMS)
def test_a_term_comes_into_the_total_with_its_weight_and_moves_what_it_teaches(workspace: Workspace, term: str) -> None:
    alone = rows(fit(workspace, {term: 1.0}))[0]
    assert alone["train_loss"] == alone[f"train_{term}"] > 0
    moved = {part for part in ("encoder", "ctc_head", "decoder") if alone[f"moved_{part}"] > 1e-3}
    assert moved >= set(TERMS[term])
    assert ("decoder" in moved) == (TERMS[term] == DECODER)
    mixed = rows(fit(workspace, {"ctc": 0.5, term: 0.25}, seed=1))[0]
    total = 0.5 * mixed["train_ctc"] + 0.25 * mixed[f"train_{term}"]
    assert mixed["train_loss"] == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("options", [None, {}, {"symmetric": 2}, {"delay": 1}, {"symmetric": 0, "delay": 2}])
def test_options_of_frame_kl_are_values_of_the_recipe(workspace: Workspace, options: Any) -> None:
    value = None if options is None else FrameKlConfig(**options)
    run = fit(workspace, {"frame_kl": 1.0}, frame_kl=value)
    log = rows(run)
    assert 0 < log[-1]["train_frame_kl"] < log[0]["train_frame_kl"]
    kept = read_json(run.config_path)["training"]["frame_kl"]
    assert kept == (None if options is None else {"symmetric": None, "delay": 0, **options})


def test_frame_kl_with_options_that_change_nothing_is_the_same_run(workspace: Workspace) -> None:
    plain = load_checkpoint(fit(workspace, {"frame_kl": 1.0}).checkpoints_dir / "last.ckpt")["student"]
    run = RunFolder(workspace.run_dir(tiny_recipe().name, "carl", "ctc-kd", 0))
    run.clear()
    neutral = load_checkpoint(fit(workspace, {"frame_kl": 1.0}, frame_kl=FrameKlConfig()).checkpoints_dir / "last.ckpt")
    for key, value in plain.items():
        torch.testing.assert_close(neutral["student"][key], value, msg=key)


def test_a_term_of_weight_zero_changes_nothing(workspace: Workspace) -> None:
    plain = load_checkpoint(fit(workspace, {"ctc": 1.0}).checkpoints_dir / "last.ckpt")["student"]
    RunFolder(workspace.run_dir(tiny_recipe().name, "carl", "ctc-kd", 0)).clear()
    run = fit(workspace, {"ctc": 1.0, **dict.fromkeys(TERMS, 0.0)})
    ours = load_checkpoint(run.checkpoints_dir / "last.ckpt")["student"]
    assert all(torch.equal(ours[key], value) for key, value in plain.items())


@pytest.mark.parametrize(("term", "is_heard"), [("frame_kl", False), ("cross_entropy", True), ("token_kl", True)])
def test_a_decoder_that_no_term_reaches_is_not_listened_to(workspace: Workspace, term: str, is_heard: bool) -> None:
    assert all((row["valid_decoder_wra"] is not None) == is_heard for row in rows(fit(workspace, {term: 1.0})))


def test_a_decoder_is_listened_to_once_a_stage_has_taught_it(workspace: Workspace) -> None:
    stages = [
        {"name": name, "epochs": 1, "losses": {"labels": {name: 1.0}}} for name in ("ctc", "cross_entropy", "ctc")
    ]
    run = RunFolder(train(workspace, "carl", "labels", recipe=tiny_recipe(stages), students=TinyStudents()))
    assert [row["valid_decoder_wra"] is not None for row in rows(run)] == [False, True, True]
