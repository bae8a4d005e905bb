"""Words taught over a closed list: by whom, over what, and where nothing is taught."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdspeech.config import TargetConfig
from kdspeech.dumps.dump_teachers import dump_teachers
from kdspeech.dumps.store import LogProbStore
from kdspeech.errors import ConfigError
from kdspeech.lexicon import Lexicon
from kdspeech.logspace import normalise
from kdspeech.model_folders.teacher_folder import read_teacher_card
from kdspeech.recipe_file import load_recipe
from kdspeech.targets.pooling import temper
from kdspeech.targets.pseudo_labels import pooled_words
from kdspeech.targets.speaking import Turns
from kdspeech.targets.word_targets import WordTargets
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import Behaviour, FakeTeachers, add_teacher, make_workspace

TEACHERS = ("anna", "bert", "carl")
FOREIGN = Vocabulary.train(["one two six"], size=20, model_type="char")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary) -> Workspace:
    """carl's pieces are letters, the others' are not; bert is deaf to anna."""
    workspace = make_workspace(tmp_path_factory.mktemp("words"), Lexicon(("one", "two", "six")), vocabulary)
    add_teacher(workspace, "anna")
    add_teacher(workspace, "bert", Behaviour(deaf_to=(0,), peak=0.6))
    add_teacher(workspace, "carl", Behaviour(peak=0.7), FOREIGN)
    recipe = load_recipe("conformer_xs_from_speechbrain")
    dump_teachers(workspace, ["all"], recipe=recipe, teachers=FakeTeachers(), kinds=["word", "hypotheses"], jobs=1)
    return workspace


def make(
    workspace: Workspace, utterances: Sequence[Utterance] | None = None, own_share: float = 0.8, **settings: Any
) -> WordTargets:
    return WordTargets(
        LogProbStore(workspace.dumps_dir),
        [read_teacher_card(workspace.teacher_dir(teacher)) for teacher in TEACHERS],
        workspace.utterances if utterances is None else utterances,
        workspace.lexicon,
        TargetConfig(temperature=settings.pop("temperature", 2.0), **settings),
        own_share,
        turns=Turns() if settings.get("switch") else None,
        calibrated_on=([u for u in workspace.utterances if u.split == "valid"], workspace.vocabulary),
    )


def rows(workspace: Workspace, utt_id: str) -> list[np.ndarray]:
    """By teacher."""
    (utterance,) = [u for u in workspace.utterances if u.utt_id == utt_id]
    store = LogProbStore(workspace.dumps_dir)
    return [store.read(t, "word", [utterance])[utt_id] for t in TEACHERS]  # type: ignore[misc]


@pytest.mark.parametrize(
    ("settings", "weights"),
    [
        ({}, [1, 8, 1]),
        ({"own_share": 0.5}, [1, 2, 1]),
        ({"who": "own"}, [0, 1, 0]),
        ({"who": "others"}, [1, 0, 1]),
    ],
)
def test_teachers_of_any_vocabulary_are_pooled(
    workspace: Workspace, settings: dict[str, Any], weights: list[float]
) -> None:
    expected = sum(w * temper(row, 2.0) for w, row in zip(weights, rows(workspace, "bert-two-0"), strict=True))
    found = make(workspace, **settings)["bert-two-0"]
    np.testing.assert_allclose(found, normalise(np.asarray(expected) / sum(weights)), atol=1e-5)


def test_words_are_pooled_as_the_recipe_says(workspace: Workspace) -> None:
    """On anna's word bert hears another one: a mixture keeps both, a product what all allow."""
    tempered = [temper(row, 2.0) for row in rows(workspace, "anna-one-0")]
    mixture = np.log(sum(w * np.exp(row) for w, row in zip((8, 1, 1), tempered, strict=True)) / 10)
    found = make(workspace, pooling="prob_mean")["anna-one-0"]
    np.testing.assert_allclose(found, mixture, atol=1e-5)
    assert np.abs(found - make(workspace)["anna-one-0"]).max() > 0.01


def test_where_words_disagree_nothing_is_taught(workspace: Workspace) -> None:
    targets = make(workspace, min_agreement=0.7)
    assert set(targets) == {u.utt_id for u in workspace.utterances if u.speaker != "anna"}
    assert "anna-one-0" not in targets
    with pytest.raises(KeyError):
        targets["anna-one-0"]
    two = [u for u in workspace.utterances if u.speaker == "bert"]
    assert len(make(workspace, two, min_agreement=0.7, who="others")) == len(two)


def test_one_teacher_cannot_agree_with_itself(workspace: Workspace) -> None:
    cards = [read_teacher_card(workspace.teacher_dir(teacher)) for teacher in TEACHERS[:2]]
    config = TargetConfig(who="others", min_agreement=0.5)
    store = LogProbStore(workspace.dumps_dir)
    with pytest.raises(ConfigError, match="on 'anna-one-0' one speaks alone"):
        WordTargets(store, cards, workspace.utterances, workspace.lexicon, config, own_share=None)


def test_a_labels_words_are_pooled_over_its_recordings(workspace: Workspace) -> None:
    """All training recordings of `two`; one whose transcript is not read is told apart and pooled with none."""
    unread = "carl-two-0"
    utterances = [replace(u, text="") if u.utt_id == unread else u for u in workspace.utterances]
    targets, single = make(workspace, utterances, over="label"), make(workspace, utterances)
    members = [u.utt_id for u in utterances if u.text == "two" and u.split == "train"]
    assert len(members) == 8
    expected = normalise(np.mean([single[member] for member in members], axis=0))
    for member in members:
        np.testing.assert_allclose(targets[member], expected, atol=1e-5)
    np.testing.assert_allclose(targets[unread], single[unread])


def test_one_teacher_speaks_at_a_time_as_often_as_it_is_loud(workspace: Workspace) -> None:
    targets = make(workspace, switch=True)
    singles = [pooled_words([row], [1.0], 2.0) for row in rows(workspace, "bert-two-0")]
    heard = [0, 0, 0]
    for epoch in range(120):
        targets._turns.start_epoch(epoch)  # type: ignore[union-attr]
        said = [k for k, row in enumerate(singles) if np.array_equal(targets["bert-two-0"], row)]
        heard[said[0]] += 1
    assert sum(heard) == 120
    assert heard[1] == pytest.approx(80, abs=16)  # 4 of 6; three standard errors


def test_words_are_calibrated(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    """Three right words of three are taken for four of five: whoever was surer than that is cooled."""
    found, plain = make(workspace, calibrate=True, who="own")["anna-two-0"], make(workspace, who="own")["anna-two-0"]
    assert found.argmax() == plain.argmax()
    cooled = make(workspace, calibrate=True, who="own", temperature=1.0)["anna-two-0"]
    assert np.exp(cooled.max()) == pytest.approx(1 - 0.2 * 2 / 3, abs=0.02)  # 1 - spread (W - 1) / W
    assert "temperatures" in capsys.readouterr().out


def test_nothing_speaks_for_a_speaker_without_a_teacher(tmp_path: Path, workspace: Workspace) -> None:
    stranger = [replace(u, speaker="zoe") for u in workspace.utterances if u.speaker == "anna"]
    with pytest.raises(ConfigError, match="none may speak on the recordings of zoe"):
        make(workspace, stranger, who="own")
