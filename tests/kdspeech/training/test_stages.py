"""Stages: the schedule, what decays, what is frozen."""

import math

import pytest
import torch

from kdspeech.config import StageConfig, StudentConfig
from kdspeech.errors import ConfigError
from kdspeech.training.stages import (
    build_optimizer,
    build_scheduler,
    epoch_seed,
    keep_frozen_in_eval,
    learning_rate_share,
    prepare_parts,
    warmup_steps,
)
from kdspeech.vocabulary import Vocabulary
from tests.learners import TinyStudent


def stage(**settings: object) -> StageConfig:
    values = {"name": "s", "train": ("encoder", "ctc_head", "decoder"), "epochs": 1, "learning_rate": 0.1, "losses": {}}
    return StageConfig.model_validate({**values, **settings})


@pytest.fixture
def student(vocabulary: Vocabulary) -> TinyStudent:
    return TinyStudent(StudentConfig(encoder_config={}), vocabulary)


def test_warm_up_is_shortened_to_its_share() -> None:
    assert warmup_steps(stage(warmup_steps=2000, max_warmup_share=0.15), 100) == 15
    assert warmup_steps(stage(warmup_steps=10, max_warmup_share=0.15), 100) == 10
    assert warmup_steps(stage(max_warmup_share=0.0), 100) == 0


def test_schedule_by_hand() -> None:
    assert [learning_rate_share(step, 3, 100) for step in range(3)] == [0.25, 0.5, 0.75]
    assert learning_rate_share(3, 3, 100) == 1.0
    assert learning_rate_share(99, 3, 100) == pytest.approx(0.01)
    halfway = learning_rate_share(51, 3, 100)
    assert halfway == pytest.approx(0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * 48 / 96)))
    assert learning_rate_share(150, 3, 100) == pytest.approx(0.01)  # never up again


def test_scheduler_multiplies_the_peak(student: TinyStudent) -> None:
    config = stage(warmup_steps=1, max_warmup_share=0.5)
    prepare_parts(student, config)
    optimizer = build_optimizer(student, config)
    scheduler = build_scheduler(optimizer, config, num_steps=3)
    rates = []
    for _ in range(3):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0.05, 0.1, 0.001])


def test_biases_and_norms_do_not_decay(student: TinyStudent) -> None:
    config = stage(weight_decay=0.3)
    prepare_parts(student, config)
    groups = build_optimizer(student, config).param_groups
    names = {id(p): name for name, p in student.named_parameters()}
    decay = {names[id(p)]: group["weight_decay"] for group in groups for p in group["params"]}
    assert decay == {
        "encoder.linear.weight": 0.3,
        "encoder.linear.bias": 0.0,
        "encoder.norm.weight": 0.0,
        "encoder.norm.bias": 0.0,
        "ctc_head.weight": 0.3,
        "ctc_head.bias": 0.0,
        "decoder.embedding.weight": 0.3,
        "decoder.output.weight": 0.3,
        "decoder.output.bias": 0.0,
    }


def test_a_stage_freezes_and_the_next_one_lets_go(student: TinyStudent) -> None:
    heads = stage(train=("ctc_head", "decoder"))
    prepare_parts(student, heads)
    student.train()
    keep_frozen_in_eval(student, heads)
    assert not any(p.requires_grad for p in student.encoder.parameters())
    assert not student.encoder.norm.training
    assert student.ctc_head.training
    before = student.encoder.norm.running_mean.clone()  # type: ignore[union-attr]
    student(torch.randn(4, 6400), torch.full((4,), 6400))
    torch.testing.assert_close(student.encoder.norm.running_mean, before, rtol=0, atol=0)
    optimised = {id(p) for group in build_optimizer(student, heads).param_groups for p in group["params"]}
    assert optimised == {id(p) for part in (student.ctc_head, student.decoder) for p in part.parameters()}
    prepare_parts(student, stage())
    assert all(p.requires_grad for p in student.parameters())


def test_unknown_part_is_refused(student: TinyStudent) -> None:
    config = stage().model_copy(update={"train": ("nose",)})
    with pytest.raises(ConfigError, match=r"trains nose; the student's parts are encoder, ctc_head, decoder"):
        prepare_parts(student, config)


def test_epoch_seeds_differ_and_repeat() -> None:
    seeds = {epoch_seed(seed, index, epoch) for seed in range(3) for index in range(3) for epoch in range(20)}
    assert len(seeds) == 180
    assert epoch_seed(1, 2, 3) == epoch_seed(1, 2, 3)
