"""Live views show what the log of epochs holds: all of it, under the run's own name, and nothing else."""

import json
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kdspeech.errors import ConfigError
from kdspeech.lexicon import Lexicon
from kdspeech.model_folders.runs import RunFolder
from kdspeech.training.train import train
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import FakeStudents, make_workspace
from tests.learners import tiny_recipe

RECIPE = tiny_recipe([{"name": "heads", "train": ("ctc_head", "decoder")}, {"name": "all"}], speeds=(1.0,))


@pytest.fixture
def workspace(tmp_path: Path, lexicon: Lexicon, vocabulary: Vocabulary) -> Workspace:
    return make_workspace(tmp_path / "w", lexicon, vocabulary, repetitions=3)


def rows(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in RunFolder(run).metrics_path.read_text(encoding="utf-8").splitlines()]


def test_tensorboard_shows_every_number_and_the_samples(workspace: Workspace, lexicon: Lexicon) -> None:
    run = train(workspace, "bert", "labels", recipe=RECIPE, students=FakeStudents(lexicon))
    log = rows(run)
    events = EventAccumulator(str(run / "tensorboard")).Reload()
    for name, value in log[-1].items():
        if isinstance(value, int | float):
            points = events.Scalars(name)
            assert [point.step for point in points] == [n for n, row in enumerate(log, start=1) if name in row]
            assert points[-1].value == pytest.approx(value, rel=1e-5)
    wanted = {"train_ctc", "train_loss", "train_gradient_norm", "train_learning_rate_decayed", "valid_ctc_wra"}
    assert wanted < set(events.Tags()["scalars"])
    text = events.Tensors("valid_samples/text_summary")[-1].tensor_proto.string_val[0].decode()
    for sample in log[-1]["valid_samples"]:
        assert f"| {sample['utt_id']} | {sample['reference']} | {sample['ctc']} |" in text


def test_an_epoch_holds_samples_and_throughput(workspace: Workspace, lexicon: Lexicon) -> None:
    run = train(workspace, "bert", "labels", recipe=RECIPE, students=FakeStudents(lexicon))
    log = rows(run)
    known = {u.utt_id: u for u in workspace.utterances}
    for row in log:
        samples = row["valid_samples"]
        assert 1 < len(samples) <= 8
        assert [sample["utt_id"] for sample in samples] == [s["utt_id"] for s in log[0]["valid_samples"]]
        for sample in samples:
            assert known[sample["utt_id"]].split == "valid"
            assert sample["ctc"] == sample["reference"] == known[sample["utt_id"]].text
        trained = [u for u in workspace.utterances if u.split == "train" and u.speaker != "bert"]
        mean = sum(u.duration for u in trained) / len(trained)
        assert row["utterances_per_second"] > 0
        assert row["audio_seconds_per_second"] / row["utterances_per_second"] == pytest.approx(mean, rel=0.02)


def test_wandb_offline_keeps_the_same_in_the_run_folder(
    workspace: Workspace, lexicon: Lexicon, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    shown: list[dict[str, Any]] = []
    original = wandb.Run.log

    def log(self: Any, data: dict[str, Any], *arguments: Any, **options: Any) -> None:
        shown.append(data)
        original(self, data, *arguments, **options)

    monkeypatch.setattr(wandb.Run, "log", log)
    run = train(workspace, "bert", "labels", recipe=RECIPE, students=FakeStudents(lexicon), wandb=True)
    (folder,) = (run / "wandb").glob("offline-run-*")
    (stored,) = folder.glob("*.wandb")
    assert stored.stat().st_size > 0
    numbers = [data for data in shown if "train_loss" in data]
    assert len(numbers) == len(rows(run))
    for data, row in zip(numbers, rows(run), strict=True):
        for name, value in row.items():
            if isinstance(value, int | float):
                assert data[name] == value
    tables = [data["valid_samples"] for data in shown if "valid_samples" in data]
    assert len(tables) == len(rows(run))
    assert tables[-1].data[0][:3] == [
        rows(run)[-1]["valid_samples"][0][name] for name in ("utt_id", "reference", "ctc")
    ]
    assert wandb.run is None


def test_without_wandb_nothing_is_begun(
    workspace: Workspace, lexicon: Lexicon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'kdspeech\[wandb\]'"):
        train(workspace, "bert", "labels", recipe=RECIPE, students=FakeStudents(lexicon), wandb=True)
    assert not workspace.runs_dir.exists()
