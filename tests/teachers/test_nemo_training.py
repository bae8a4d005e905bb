"""NeMo teachers by the user's own commands: two tiny ones learn and are dumped, and a student starts as they did."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from kdspeech import students, teachers
from kdspeech.choices import KINDS
from kdspeech.dumps.store import LogProbStore
from kdspeech.model_folders.pretrained import resolve_student
from kdspeech.model_folders.student_folder import read_student
from kdspeech.recipe_file import load_recipe
from kdspeech.teaching.all_teachers import AllTeachers
from kdspeech.workspace import Workspace
from tests.conftest import DIGITS

pytestmark = pytest.mark.slow  # NeMo takes ten seconds to import, and the teachers train

SPEAKERS = ("ann", "bob")
SMALL = (
    "teacher.epochs=24",
    "teacher.learning_rate=3e-3",
    "teacher.speeds=[1.0]",
    "student.encoder_config.n_layers=2",
    "student.decoder_layers=1",
    "student.spec_augment=null",
)
SETTINGS = ("--recipe", "conformer_xs_from_nemo", *(part for setting in SMALL for part in ("--set", setting)))


@pytest.fixture
def tones(tmp_path: Path) -> Path:
    """Two speakers, ten words of two tones each, 12 recordings of a word (0-4 test, 5-7 valid, 8-19 train)."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "tones"
    folder.mkdir()
    for speaker, pitch in zip(SPEAKERS, (0.95, 1.05), strict=True):
        for digit in range(len(DIGITS)):
            for index in range(4, 16):
                time = np.arange(round(8_000 * rng.uniform(0.2, 0.3))) / 8_000
                frequencies = (300 + 150 * (digit % 5), 900 + 700 * (digit // 5))  # Hz
                wave = np.concatenate([np.sin(2 * np.pi * pitch * f * time) for f in frequencies])
                noise = 0.01 * rng.normal(size=len(wave))
                soundfile.write(folder / f"{digit}_{speaker}_{index}.wav", 0.3 * wave + noise, 8_000)
    return folder


def test_nemo_teachers_from_training_to_dump(run_cli: Callable[..., object], tmp_path: Path, tones: Path) -> None:
    workspace = Workspace(tmp_path / "workspace")

    def kdspeech(*arguments: object) -> str:
        ended = run_cli(*arguments, "--workspace", workspace.root)
        assert ended.exit_code == 0, ended.stderr  # type: ignore[attr-defined]
        return str(ended.stderr)  # type: ignore[attr-defined]

    kdspeech("prepare", "fsdd", "--root", tones)
    kdspeech("train-teachers", "--speakers", "all", "--jobs", 1, *SETTINGS)
    for name in SPEAKERS:
        report = json.loads((workspace.teacher_dir(name) / "training.json").read_text())
        assert report["valid_wra"]["ctc"] > 50, report
    assert "done already" in kdspeech("train-teachers", "--speakers", "all", "--jobs", 1, *SETTINGS)

    teacher = AllTeachers(teachers, students).load_teacher(workspace.teacher_dir("ann"))
    assert teacher.frame_shift_s == pytest.approx(0.02)
    rng = np.random.default_rng(0)
    waveforms = [0.1 * rng.normal(size=size).astype(np.float32) for size in (9_000, 5_000)]
    together = teacher.score(waveforms, [[4, 5], [6]])
    for waveform, tokens, scores in zip(waveforms, ([4, 5], [6]), together, strict=True):
        (alone,) = teacher.score([waveform], [tokens])
        for kind in ("ctc_log_probs", "decoder_log_probs"):
            np.testing.assert_allclose(getattr(scores, kind), getattr(alone, kind), rtol=0, atol=1e-4)

    kdspeech("dump-teachers", "--speakers", "all", "--jobs", 1, *SETTINGS)
    store, spoken = LogProbStore(workspace.dumps_dir), workspace.utterances
    for kind in KINDS:
        assert len(store.read("bob", kind, spoken)) == len(spoken)

    overrides = tuple(part for part in SETTINGS[2:] if part != "--set")
    start = resolve_student(workspace, load_recipe("conformer_xs_from_nemo", overrides).student)
    common = read_student(workspace.initial_teacher_dir).weights
    for seed in (0, 1):
        built = students.build_student(start, workspace.vocabulary, seed).state_dict()
        assert all(torch.equal(built[name], common[name]) for name in common)
    assert students.starting_speakers(start) == ()
    more = students.build_student(start.model_copy(update={"intermediate_layer": 1}), workspace.vocabulary, 0)
    assert set(more.state_dict()) - set(common) == {"intermediate_head.weight", "intermediate_head.bias"}
    assert all(torch.equal(more.state_dict()[name], common[name]) for name in common)
