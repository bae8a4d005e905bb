"""The numbers of the plots, against teachers whose answers are known."""

import itertools
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from kdspeech.combination.vote import Answer, vote
from kdspeech.dumps.dump_teachers import dump_teachers
from kdspeech.errors import KdspeechError
from kdspeech.files import read_json, write_json
from kdspeech.lexicon import Lexicon
from kdspeech.targets.pseudo_labels import pooled_words
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import Behaviour, FakeTeachers, add_teacher, make_workspace
from tests.learners import tiny_recipe
from tests.scripts import load_script, run_script

WORDS = ("one", "two", "six")


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("plots")


def fold(script: ModuleType, heard: dict[str, list[str]], spoken: list[str], **more: Any) -> Any:
    """`heard`: teacher -> what it hears of each of the spoken words."""
    ids = [f"u{i}" for i in range(len(spoken))]
    teachers = {name: {i: Answer(text) for i, text in zip(ids, texts, strict=True)} for name, texts in heard.items()}
    settings = {"speaker": "ann", "words": WORDS, "posteriors": None, "students": {}, **more}
    return script.Fold(references=dict(zip(ids, spoken, strict=True)), teachers=teachers, **settings)


HEARD = {"a": ["one", "two", "one", ""], "b": ["one", "six", "two", ""], "c": ["one", "two", "six", ""]}
SPOKEN = ["one", "two", "six", "six"]  # agreement 3/3, 2/3, 1/3 (the first wins: wrong), nobody hears anything


def test_bars_of_teachers_and_students(script: ModuleType) -> None:
    students = {
        "labels": [dict.fromkeys(("u0", "u1", "u2", "u3"), "six"), dict.fromkeys(("u0", "u1"), "none")],
        "decoder-kd-adapted": [{"u0": "one", "u1": "two", "u2": "six"}],
        "decoder-kd-0pct": [{"u0": "one"}],
    }
    other = {"a": ["one"] * 4, "b": ["one"] * 4}
    folds = [
        fold(script, HEARD, SPOKEN, students=students),
        fold(script, other, ["one"] * 4, speaker="bob", students={"labels": [{"u0": "one"}]}),
    ]
    chart = script.speaker_bars(folds, "lexicon")
    values = {(group.name, bar.name): bar.value for group in chart.groups for bar in group.bars}
    assert values["ann", "mean single teacher"] == pytest.approx(100 * (2 + 1 + 3) / 12)
    assert values["ann", "teacher vote"] == 50.0
    assert values["ann", "labels only"] == 25.0  # two seeds: 50 and 0
    assert values["ann", "decoder-kd, adapted"] == 75.0
    assert values["mean", "teacher vote"] == 75.0
    assert values["mean", "labels only"] == 25.0
    assert ("mean", "decoder-kd, adapted") not in values  # bob has none
    (bar,) = [bar for group in chart.groups for bar in group.bars if (group.name, bar.name) == ("ann", "labels only")]
    assert (bar.low, bar.high) == (0.0, 50.0)


def test_subsets_are_all_or_as_many_different_ones_as_asked(script: ModuleType) -> None:
    assert script.subsets_of(4, 2, 200) == list(itertools.combinations(range(4), 2))
    drawn = script.subsets_of(14, 7, 200)
    assert len(set(drawn)) == 200
    assert all(len(set(subset)) == 7 and max(subset) < 14 for subset in drawn)
    assert drawn == script.subsets_of(14, 7, 200)
    members = np.bincount([i for subset in drawn for i in subset], minlength=14)
    assert members.min() > 70  # each teacher is in half of them


def test_curves_equal_the_vote_and_the_pool_of_each_subset(script: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    posteriors = np.log(rng.dirichlet(np.ones(3), size=(4, 20))).astype(np.float32)  # [K, N, W]
    heard = {f"t{k}": [WORDS[int(row.argmax())] for row in rows] for k, rows in enumerate(posteriors)}
    spoken = [WORDS[int(i)] for i in rng.integers(0, 3, size=20)]
    one = fold(script, heard, spoken, posteriors=posteriors)
    subsets = script.subsets_of(4, 2, 200)
    voted, pooled = [], []
    for subset in subsets:
        for n, text in enumerate(spoken):
            voted.append(vote([Answer(heard[f"t{k}"][n]) for k in subset]).text == text)
            row = pooled_words([posteriors[k, n] for k in subset], [1.0] * 2, temperature=1.0)
            pooled.append(WORDS[int(row.argmax())] == text)
    assert script.vote_wra(one, subsets) == pytest.approx(100 * np.mean(voted))
    assert script.pooled_wra(one, subsets) == pytest.approx(100 * np.mean(pooled))
    monkeypatch.setattr(script, "_FLOATS", 6 * 3 * 7)  # seven utterances at a time
    assert script.pooled_wra(one, subsets) == pytest.approx(100 * np.mean(pooled))
    chart = script.number_curves([one], "lexicon", 200)
    assert [line.name for line in chart.lines] == ["vote by lexicon", "pooled word posteriors"]
    assert [point.x for point in chart.lines[0].points] == [1, 2, 3, 4]
    assert chart.lines[0].points[1].y == pytest.approx(100 * np.mean(voted))
    assert chart.lines[0].points[0].y == chart.lines[1].points[0].y  # a single teacher is its own pool
    assert chart.y_scale.low <= min(p.y for line in chart.lines for p in line.points)


def test_agreement_is_binned_with_counts(script: ModuleType) -> None:
    students = {"decoder-kd": [{"u0": "one", "u2": "six"}, {"u0": "one", "u1": "two"}]}
    bins = script.agreement_bins([fold(script, HEARD, SPOKEN, students=students)], "decoder-kd")
    found = [(b.agreement, b.utterances, b.vote, b.student) for b in bins]
    assert found == [
        pytest.approx((0.0, 1, 0.0, 0.0)),  # nobody hears anything: no agreement
        pytest.approx((100 / 3, 1, 0.0, 50.0)),
        pytest.approx((200 / 3, 1, 100.0, 50.0)),
        pytest.approx((100.0, 1, 100.0, 100.0)),
    ]
    none = script.agreement_bins([fold(script, HEARD, SPOKEN)], "decoder-kd")
    assert all(b.student is None for b in none)
    assert [line.name for line in script.agreement_curves(none, "lexicon", "decoder-kd").lines] == ["teacher vote"]


def test_five_teachers_have_a_bin_for_each_share(script: ModuleType) -> None:
    """0.2, 0.4, ... are upper ends: rounding must not push them into the next bin."""
    heard = {f"t{k}": ["one" if k < n else "" for n in range(1, 6)] for k in range(5)}
    bins = script.agreement_bins([fold(script, heard, ["one"] * 5)], "labels")
    assert [(round(b.agreement), b.utterances) for b in bins] == [(20, 1), (40, 1), (60, 1), (80, 1), (100, 1)]


def test_pictures_and_numbers_are_written(script: ModuleType, tmp_path: Path) -> None:
    posteriors = np.log(np.full((3, 4, 3), 1 / 3, dtype=np.float32))
    folds = [fold(script, HEARD, SPOKEN, posteriors=posteriors, students={"labels": [{"u0": "one"}]})]
    written = script.draw_all(folds, "lexicon", "labels", 10, tmp_path)
    assert [path.name for path in written] == ["speakers-lexicon.svg", "teachers-lexicon.svg", "agreement-lexicon.svg"]
    for path in written:
        ElementTree.fromstring(path.read_text())
    assert set(read_json(tmp_path / "plots-lexicon.json")) == {"speakers", "teachers", "agreement"}


def test_only_the_speakers_asked_for_are_held_out_and_all_others_teach(
    script: ModuleType, tmp_path: Path, vocabulary: Vocabulary
) -> None:
    """Of carl's two teachers one is deaf to him: single teachers are right on half of his recordings."""
    workspace = make_workspace(tmp_path, Lexicon(WORDS), vocabulary)
    for speaker in workspace.speakers:
        add_teacher(workspace, speaker, Behaviour(deaf_to=(2,)) if speaker == "anna" else Behaviour())
    dump_teachers(workspace, ["all"], recipe=tiny_recipe([{"epochs": 1}]), teachers=FakeTeachers(), jobs=1)
    assert run_script(script, ["--workspace", str(workspace.root), "--folds", "carl"]) == 0
    numbers = read_json(workspace.reports_dir / "plots" / "plots-lexicon.json")
    assert numbers["speakers"][0] == ["system", "mean", "carl"]
    assert numbers["speakers"][1] == ["mean single teacher", "50.0 (50.0 to 50.0)", "50.0 (50.0 to 50.0)"]
    assert [row[0] for row in numbers["teachers"][1:]] == ["1", "2"]


def test_students_of_other_settings_are_no_further_seeds(script: ModuleType, tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    for seed, delay in enumerate((0, 2)):
        run = workspace.run_dir("r", "anna", "ctc-kd", seed)
        write_json(run / "config.json", {"held_out": "anna", "seed": seed, "inputs": {}, "training": {"delay": delay}})
        settings = {"held_out": "anna", "seed": seed, "recipe": "r", "mode": "ctc-kd", "decode_mode": "ctc"}
        write_json(run / "results-ctc.json", {"settings": settings, "utterances": []})
    with pytest.raises(KdspeechError, match=r"seed0/results-ctc.json is of .*these are 2 systems"):
        script.read_folds(workspace, "r", ["anna"], "ctc", 1.0)


def test_a_workspace_without_dumps_is_refused(
    script: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_script(script, ["--workspace", str(tmp_path)]) == 1
    assert "prepare" in capsys.readouterr().err
