"""Aggregation on stored dumps: the pooled values, and who speaks for whom."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from kdspeech.choices import Kind
from kdspeech.dumps.dump_teachers import dump_teachers
from kdspeech.dumps.store import LogProbStore
from kdspeech.errors import ConfigError, StoreError
from kdspeech.files import read_json
from kdspeech.model_folders.teacher_folder import read_teacher_card, teachers_of, write_teacher_card
from kdspeech.targets.aggregate import aggregate, switched_targets
from kdspeech.targets.pooled_targets import on_one_grid
from kdspeech.targets.pooling import frame_mask, pool, temper
from kdspeech.targets.speaking import Turns
from kdspeech.utterance import write_manifest
from kdspeech.workspace import Workspace
from tests.doubles import Behaviour, FakeTeachers, add_teacher
from tests.dumped import SPEAKERS, dump, recipe


def test_targets_are_the_pooled_rows_of_the_other_teachers(workspace: Workspace) -> None:
    targets = aggregate(workspace, "dora", recipe(pooling="prob_mean", temperature=2.0))
    expected = [u for u in workspace.utterances if u.speaker != "dora" and u.split != "test"]
    assert sorted(targets) == sorted(u.utt_id for u in expected)
    store, weights = LogProbStore(workspace.dumps_dir), np.full(3, 1 / 3)
    for utterance in expected:
        target = targets[utterance.utt_id]
        for kind, found in (("ctc", target.ctc_log_probs), ("decoder", target.decoder_log_probs)):
            rows = [store.read(t, kind, [utterance])[utterance.utt_id] for t in ("anna", "bert", "carl")]  # type: ignore[arg-type]
            pooled = pool(rows, weights, "prob_mean", 2.0)  # type: ignore[arg-type]
            assert found == pytest.approx(pooled, abs=1e-2)
            if kind == "ctc":
                plain = pool(rows, weights, "prob_mean", 1.0)  # type: ignore[arg-type]
                assert target.frame_mask is not None
                assert target.frame_mask.tolist() == frame_mask(plain[:, -1], 0.95, 2).tolist()
        assert target.num_teachers == 3
        assert target.confidence == pytest.approx(2 / 3 if utterance.speaker == "anna" else 1.0)


def test_agreement_gives_the_lonely_teacher_less(workspace: Workspace) -> None:
    mixture = {"pooling": "prob_mean", "temperature": 1.0}
    uniform = aggregate(workspace, "dora", recipe(**mixture))["anna-one-0"]
    agreed = aggregate(workspace, "dora", recipe(pooling="prob_mean", temperature=1.0, weights="agreement"))[
        "anna-one-0"
    ]
    right, wrong = (workspace.vocabulary.encode(word)[0] for word in ("one", "two"))
    assert uniform.ctc_log_probs is not None
    assert agreed.ctc_log_probs is not None
    # Frame 1 holds the first piece: anna and carl say 0.9 for "one", bert 0.8 for "two"; the weights are 2 : 1 : 2.
    assert np.exp(uniform.ctc_log_probs[1, right]) == pytest.approx((0.9 + 0.9 + 0.2 / 40) / 3, abs=5e-3)
    assert np.exp(agreed.ctc_log_probs[1, right]) == pytest.approx((2 * 0.9 + 2 * 0.9 + 0.2 / 40) / 5, abs=5e-3)
    assert np.exp(agreed.ctc_log_probs[1, wrong]) == pytest.approx((0.8 + 4 * 0.1 / 40) / 5, abs=5e-3)


OTHERS = ("anna", "bert", "carl")  # teachers and training speakers where dora is held out


def stored(workspace: Workspace, utt_id: str, kind: Kind, teachers: Sequence[str] = OTHERS) -> list[np.ndarray]:
    (utterance,) = [u for u in workspace.utterances if u.utt_id == utt_id]
    rows = [LogProbStore(workspace.dumps_dir).read(t, kind, [utterance])[utt_id] for t in teachers]
    return [row for row in rows if isinstance(row, np.ndarray)]


@pytest.mark.parametrize(("who", "teachers"), [("own", ("bert",)), ("others", ("anna", "carl"))])
def test_only_some_speak(workspace: Workspace, who: str, teachers: tuple[str, ...]) -> None:
    """bert's recordings: his own teacher alone, or the two others; frames and tokens alike."""
    target = aggregate(workspace, "dora", recipe(who=who, temperature=2.0))["bert-two-0"]
    weights = np.full(len(teachers), 1 / len(teachers))
    for kind, found in (("ctc", target.ctc_log_probs), ("decoder", target.decoder_log_probs)):
        pooled = pool(stored(workspace, "bert-two-0", kind, teachers), weights, "logprob_mean", 2.0)  # type: ignore[arg-type]
        assert found == pytest.approx(pooled, abs=1e-2)
    assert target.num_teachers == len(teachers)


def test_a_speakers_own_teacher_counts_more(workspace: Workspace) -> None:
    target = aggregate(workspace, "dora", recipe(own_share=0.5, pooling="prob_mean", temperature=1.0))["bert-two-0"]
    pooled = pool(stored(workspace, "bert-two-0", "decoder"), np.array([0.25, 0.5, 0.25]), "prob_mean", 1.0)
    assert target.decoder_log_probs == pytest.approx(pooled, abs=1e-2)
    assert target.num_teachers == 3


@pytest.mark.parametrize("setting", [{"own_share": 0.5}, {"who": "others"}, {"calibrate": True}, {}])
def test_whom_a_teacher_has_heard_decides_where_it_is_asked(workspace: Workspace, setting: dict[str, Any]) -> None:
    """The same checkpoint, whose card now says that it knows carl, too."""
    before = aggregate(workspace, "dora", recipe(**setting)).details
    folder = workspace.teacher_dir("bert")
    write_teacher_card(folder, replace(read_teacher_card(folder), speakers=("bert", "carl")))
    after = aggregate(workspace, "dora", recipe(**setting)).details
    assert (before != after) == bool(setting)
    assert ("speakers" in before) == bool(setting)


def test_where_teachers_disagree_nothing_counts(workspace: Workspace) -> None:
    """bert is deaf to anna: on her recordings two of three agree."""
    targets = aggregate(workspace, "dora", recipe(min_agreement=0.7))
    assert {utt_id.split("-")[0] for utt_id, target in targets.items() if not target.counts} == {"anna"}
    for utt_id, target in targets.items():
        assert target.frame_mask is not None
        assert target.frame_mask.any() == target.counts == (not utt_id.startswith("anna"))
    lower = aggregate(workspace, "dora", recipe(min_agreement=0.6))
    assert all(target.counts for target in lower.values())


def test_one_teacher_cannot_agree_with_itself(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"min_agreement=0.5 needs several teachers: .* anna, bert one speaks alone"):
        aggregate(workspace, "dora", recipe(min_agreement=0.5, who="others"), teachers=["anna", "bert"])


def test_the_blank_can_be_cut_out(workspace: Workspace) -> None:
    kept = aggregate(workspace, "dora", recipe(temperature=1.0))["bert-two-0"]
    cut = aggregate(workspace, "dora", recipe(temperature=1.0, blank="delete"))["bert-two-0"]
    assert kept.ctc_log_probs is not None
    assert cut.ctc_log_probs is not None
    probabilities = np.exp(kept.ctc_log_probs[:, :-1])
    expected = probabilities / probabilities.sum(axis=1, keepdims=True)
    assert np.exp(cut.ctc_log_probs[:, :-1]) == pytest.approx(expected, abs=1e-2)
    assert np.exp(cut.ctc_log_probs[:, -1]).tolist() == [0.0] * len(expected)
    assert cut.frame_mask is not None
    assert cut.frame_mask.tolist() == kept.frame_mask.tolist()  # type: ignore[union-attr]


def test_teachers_are_calibrated_on_their_own_validation_recordings(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each is right on its own speaker; what others say there, and bert's deafness to anna, changes nothing."""
    plain = recipe(temperature=1.0, pooling="prob_mean")
    targets = aggregate(workspace, "dora", recipe(temperature=1.0, pooling="prob_mean", calibrate=True))
    temperatures = targets.details["temperatures"]
    assert temperatures["anna"] == temperatures["carl"] != temperatures["bert"]  # the same peaks; bert's are lower
    assert "temperatures" in capsys.readouterr().out
    rows = stored(workspace, "bert-two-0", "decoder")
    tempered = [temper(row, temperatures[t]["decoder"]) for t, row in zip(OTHERS, rows, strict=True)]
    expected = pool(tempered, np.full(3, 1 / 3), "prob_mean", 1.0)
    assert targets["bert-two-0"].decoder_log_probs == pytest.approx(expected, abs=1e-2)
    assert "temperatures" not in aggregate(workspace, "dora", plain).details


@pytest.mark.parametrize("over", ["label", "index"])
def test_recordings_of_a_label_share_their_positions(workspace: Workspace, over: str) -> None:
    """Own teachers only: anna's, bert's (whose peaks are lower) and carl's word for their own recordings of `two`."""
    targets = aggregate(workspace, "dora", recipe(over=over, who="own", pooling="prob_mean", temperature=1.0))
    rows = [stored(workspace, f"{who}-two-0", "decoder", (who,))[0] for who in OTHERS]
    expected = np.exp(np.stack(rows)).mean(axis=0)
    for who in OTHERS:
        assert np.exp(targets[f"{who}-two-0"].decoder_log_probs) == pytest.approx(expected, abs=1e-2)  # type: ignore[arg-type]
    frames = targets["bert-two-1"].ctc_log_probs
    own = stored(workspace, "bert-two-1", "ctc", ("bert",))[0]
    others = [stored(workspace, f"{who}-two-1", "ctc", (who,))[0] for who in OTHERS]
    mean = np.exp(own) if over == "label" else np.exp(np.stack(others)).mean(axis=0)
    assert np.exp(frames) == pytest.approx(mean, abs=1e-2)  # type: ignore[arg-type]


def test_one_teacher_speaks_at_a_time(workspace: Workspace) -> None:
    switching = recipe(switch=True, temperature=2.0)
    turns, found = Turns(), Counter[str]()
    targets = switched_targets(aggregate(workspace, "dora", switching), workspace, switching, turns)
    singles = {t: temper(row, 2.0) for t, row in zip(OTHERS, stored(workspace, "anna-one-0", "ctc"), strict=True)}
    for epoch in range(60):
        turns.start_epoch(epoch)
        target = targets["anna-one-0"]
        said = [t for t, row in singles.items() if np.allclose(target.ctc_log_probs, row, atol=1e-3)]  # type: ignore[arg-type]
        assert "bert" in said or said == ["anna", "carl"]  # these two say the same
        found[said[0]] += 1
        assert target.confidence == pytest.approx(2 / 3)
    assert found["bert"] == pytest.approx(20, abs=11)  # three standard errors
    assert list(targets) == list(aggregate(workspace, "dora", switching))


def test_every_setting_is_noticed_and_none_is_written_down_at_its_default(workspace: Workspace) -> None:
    settings: list[dict[str, object]] = [
        {"who": "own"},
        {"who": "others"},
        {"own_share": 0.8},
        {"min_agreement": 0.5},
        {"calibrate": True},
        {"over": "label"},
        {"over": "index"},
        {"blank": "delete"},
        {"switch": True},
    ]
    folder = workspace.targets_dir / "conformer_xs_from_speechbrain" / "dora"
    plain = aggregate(workspace, "dora", recipe())
    assert set(plain.details["settings"]) == {
        "pooling", "temperature", "blank_threshold", "dilation", "min_teachers", "weights",
    }  # fmt: skip
    for number, setting in enumerate(settings, start=2):
        made = aggregate(workspace, "dora", recipe(**setting))
        assert len(list(folder.glob("*.safetensors"))) == number
        assert made.details["settings"] == {**plain.details["settings"], **setting}


def test_the_record_names_teachers_settings_and_inputs(workspace: Workspace) -> None:
    targets = aggregate(workspace, "dora", recipe(temperature=3.0))
    assert targets.temperature == 3.0
    assert targets.frame_shift_s == 0.04
    assert targets.provenance.part == "statistic"
    assert targets.provenance.speakers == ("anna", "bert", "carl")
    assert list(targets.details["teachers"]) == ["anna", "bert", "carl"]
    assert targets.details["settings"]["blank_threshold"] == 0.95
    assert (
        targets.details["inputs"]["anna/ctc/bert"]
        == LogProbStore(workspace.dumps_dir).describe("anna", "ctc", "bert")[1]
    )


def test_the_ceiling_is_printed_and_kept(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    aggregate(workspace, "dora", recipe())
    (path,) = (workspace.targets_dir / "conformer_xs_from_speechbrain" / "dora").glob("*.ceiling.json")
    rows = {(row["split"], row["speaker"]): row for row in read_json(path)["rows"]}
    assert set(rows) == {(s, who) for s in ("train", "valid") for who in ("anna", "bert", "carl", "all")}
    anna = rows["train", "anna"]
    assert anna["utterances"] == 6
    assert anna["wra"] == {"ctc": 100.0, "decoder": 100.0, "word": 100.0}  # two teachers of three are right
    assert anna["single_wra"] == pytest.approx(100 * 2 / 3)
    assert anna["confidence"] == pytest.approx(100 * 2 / 3)
    assert rows["train", "all"]["single_wra"] == pytest.approx(100 * 8 / 9)
    assert 0 < anna["frames_kept"] <= 100
    table = capsys.readouterr().out
    assert "Teachers' ceiling without dora" in table
    assert "pooled words" in table


def test_done_targets_of_other_transcripts_are_not_taken(workspace: Workspace) -> None:
    """A student must not learn what teachers said when they were told another transcript."""
    aggregate(workspace, "dora", recipe())
    first = workspace.utterances[0]
    corrected = replace(first, text="one" if first.text != "one" else "two")
    write_manifest(workspace.manifest_path, [corrected, *workspace.utterances[1:]])
    with pytest.raises(StoreError, match=f"a transcript of {first.speaker} changed in the manifest"):
        aggregate(Workspace(workspace.root), "dora", recipe())


def test_targets_that_were_deleted_are_made_again(workspace: Workspace) -> None:
    aggregate(workspace, "dora", recipe())
    (path,) = (workspace.targets_dir / "conformer_xs_from_speechbrain" / "dora").glob("*.safetensors")
    content = path.read_bytes()
    path.unlink()
    aggregate(workspace, "dora", recipe())
    assert path.read_bytes() == content


def test_done_targets_are_taken_and_changed_ones_are_not(
    workspace: Workspace, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = workspace.targets_dir / "conformer_xs_from_speechbrain" / "dora"
    first = aggregate(workspace, "dora", recipe())
    (path,) = folder.glob("*.safetensors")
    made = path.stat().st_mtime_ns
    again = aggregate(workspace, "dora", recipe())
    assert path.stat().st_mtime_ns == made
    assert "already" in capsys.readouterr().err
    assert again["bert-two-0"].ctc_log_probs == pytest.approx(first["bert-two-0"].ctc_log_probs)
    aggregate(workspace, "dora", recipe(temperature=4.0))
    assert len(list(folder.glob("*.safetensors"))) == 2
    add_teacher(workspace, "anna", Behaviour(peak=0.7))
    dump(workspace)
    aggregate(workspace, "dora", recipe())
    assert len(list(folder.glob("*.safetensors"))) == 3


def test_named_teachers_only(workspace: Workspace) -> None:
    targets = aggregate(workspace, "dora", recipe(), teachers=["anna", "carl"])
    assert {target.num_teachers for target in targets.values()} == {2}
    assert teachers_of(workspace) == list(SPEAKERS)


def test_another_frame_rate_is_laid_onto_the_first_teachers_grid(workspace: Workspace) -> None:
    add_teacher(workspace, "carl", Behaviour(frame_shift_s=0.02))
    dump_teachers(workspace, ["carl"], recipe=recipe(), teachers=FakeTeachers(), on=SPEAKERS, jobs=1)
    targets = aggregate(workspace, "dora", recipe())
    rows = targets["anna-one-0"].ctc_log_probs
    assert rows is not None
    assert len(rows) == 15
    slow, fast = np.zeros((2, 3), dtype=np.float32), np.arange(12, dtype=np.float32).reshape(4, 3)
    _, mapped = on_one_grid("x", {"a": slow, "b": fast}, {"a": 0.04, "b": 0.02})
    assert mapped.tolist() == fast[[0, 1]].tolist()  # of rows 1 and 2 the one with less blank
    longer = on_one_grid("x", {"a": fast, "b": np.zeros((5, 3), dtype=np.float32)}, {"a": 0.02, "b": 0.02})
    assert [len(rows) for rows in longer] == [4, 4]
