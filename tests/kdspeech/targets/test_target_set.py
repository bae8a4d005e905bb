"""Targets on disk: they come back as they were, and a damaged or foreign file is refused."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kdspeech.dumps.store import LogProbStore
from kdspeech.errors import StoreError
from kdspeech.folds import Provenance
from kdspeech.logspace import normalise
from kdspeech.targets.target_set import Target, TargetSet
from kdspeech.workspace import Workspace


def make_targets(num: int, columns: int = 6) -> dict[str, Target]:
    rng = np.random.default_rng(0)

    def rows(count: int) -> np.ndarray:
        return normalise(rng.normal(scale=3, size=(count, columns)).astype(np.float32))

    return {
        f"u{i}": Target(f"u{i}", rows(4 + i), rng.random(4 + i) < 0.5, rows(2 + i), 0.25 * i, 3 + i) for i in range(num)
    }


@pytest.mark.parametrize("top_k", [None, 2])
def test_targets_come_back_from_their_file(tmp_path: Path, top_k: int | None) -> None:
    made = make_targets(4)
    provenance = Provenance("here", "statistic", ("anna",))
    kept = TargetSet(made, frame_shift_s=0.04, temperature=2.0, provenance=provenance, details={"a": [1]})
    kept.save(tmp_path / "targets.safetensors", top_k=top_k, dtype="float32")
    back = TargetSet.load(tmp_path / "targets.safetensors")
    assert (back.frame_shift_s, back.temperature, back.provenance, back.details) == (0.04, 2.0, provenance, {"a": [1]})
    for again in (back, pickle.loads(pickle.dumps(back))):
        assert list(again) == list(made)
        for utt_id, target in again.items():
            assert target.frame_mask is not None
            assert target.ctc_log_probs is not None
            assert target.frame_mask.tolist() == made[utt_id].frame_mask.tolist()  # type: ignore[union-attr]
            assert (target.confidence, target.num_teachers) == (made[utt_id].confidence, made[utt_id].num_teachers)
            assert target.ctc_log_probs.argmax(1).tolist() == made[utt_id].ctc_log_probs.argmax(1).tolist()  # type: ignore[union-attr]
            if top_k is None:
                assert target.ctc_log_probs == pytest.approx(made[utt_id].ctc_log_probs, abs=1e-5)
                assert target.decoder_log_probs == pytest.approx(made[utt_id].decoder_log_probs, abs=1e-5)


def test_targets_without_a_kind(tmp_path: Path) -> None:
    only_decoder = {i: replace(t, ctc_log_probs=None, frame_mask=None) for i, t in make_targets(2).items()}
    provenance, path = Provenance("here", "statistic", ()), tmp_path / "targets.safetensors"
    TargetSet(only_decoder, frame_shift_s=0.04, temperature=1.0, provenance=provenance).save(path)
    target = TargetSet.load(path)["u1"]
    assert target.ctc_log_probs is None
    assert target.frame_mask is None
    assert target.decoder_log_probs is not None
    uneven = {**only_decoder, "u9": make_targets(1)["u0"]}
    with pytest.raises(StoreError, match="the same distributions for every utterance"):
        TargetSet(uneven, frame_shift_s=0.04, temperature=1.0, provenance=provenance).save(path)


def test_a_damaged_target_file_is_refused(tmp_path: Path, workspace: Workspace) -> None:
    path = tmp_path / "targets.safetensors"
    provenance = Provenance("here", "statistic", ())
    TargetSet(make_targets(2), frame_shift_s=0.04, temperature=1.0, provenance=provenance).save(path)
    content = bytearray(path.read_bytes())
    content[-3] ^= 4
    path.write_bytes(bytes(content))
    with pytest.raises(StoreError, match="is damaged"):
        TargetSet.load(path)
    with pytest.raises(StoreError, match="holds no targets"):
        TargetSet.load(LogProbStore(workspace.dumps_dir).path("anna", "ctc", "bert"))
