"""What is not pooled: leaks, too few teachers, and dumps of other recordings, checkpoints, vocabularies or frames."""

from dataclasses import replace

import pytest

from kdspeech.dumps.dump_teachers import dump_teachers
from kdspeech.dumps.store import LogProbStore
from kdspeech.errors import ConfigError, KdspeechError, LeakError, StoreError, VocabularyError
from kdspeech.files import read_json, write_json
from kdspeech.model_folders.teacher_folder import write_teacher_card
from kdspeech.targets.aggregate import aggregate
from kdspeech.utterance import write_manifest
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import Behaviour, FakeTeachers, add_teacher
from tests.dumped import SPEAKERS, dump, recipe


def test_nothing_of_the_held_out_speaker_is_opened(workspace: Workspace) -> None:
    """Its recordings' shards and its teacher's are destroyed; pooling the others does not notice."""
    for path in workspace.dumps_dir.rglob("*.safetensors"):
        if "dora" in path.relative_to(workspace.dumps_dir).as_posix():
            path.write_bytes(b"not a shard")
    targets = aggregate(workspace, "dora", recipe())
    assert not any(utt_id.startswith("dora") for utt_id in targets)
    with pytest.raises(StoreError):
        aggregate(workspace, "anna", recipe())


def test_a_teacher_that_heard_the_held_out_speaker_is_refused(workspace: Workspace) -> None:
    card = add_teacher(workspace, "carl")
    write_teacher_card(workspace.teacher_dir("carl"), replace(card, speakers=("carl", "dora")))
    with pytest.raises(LeakError, match="fold dora: the teacher carl was made from speech"):
        aggregate(workspace, "dora", recipe())


def test_a_vocabulary_of_the_held_out_speaker_is_refused(workspace: Workspace) -> None:
    write_json(workspace.corpus_path, {**read_json(workspace.corpus_path), "vocabulary_speakers": ["anna", "dora"]})
    with pytest.raises(LeakError, match="fold dora: the vocabulary"):
        aggregate(Workspace(workspace.root), "dora", recipe())


def test_too_few_teachers(workspace: Workspace) -> None:
    with pytest.raises(ConfigError, match=r"has 3 teachers \(anna, bert, carl\), targets.min_teachers asks for 4"):
        aggregate(workspace, "dora", recipe(min_teachers=4))
    with pytest.raises(ConfigError, match=r"fold dora has 0 teachers \(none\)"):
        aggregate(workspace, "dora", recipe(), teachers=["dora"])
    with pytest.raises(KdspeechError, match="unknown speaker 'zoe'"):
        aggregate(workspace, "zoe", recipe())


def test_a_teacher_that_has_not_scored_a_speaker(workspace: Workspace) -> None:
    LogProbStore(workspace.dumps_dir).path("carl", "decoder", "bert").unlink()
    with pytest.raises(StoreError, match=r"carl has not scored the recordings of bert.*--speakers carl --on bert"):
        aggregate(workspace, "dora", recipe())


def test_utterances_that_came_later_are_named(workspace: Workspace) -> None:
    new = replace(workspace.utterances[0], utt_id="anna-one-new", production_id="new")
    write_manifest(workspace.manifest_path, [*workspace.utterances, new])
    with pytest.raises(StoreError, match=r"anna.*made before a recording or a transcript of anna changed.*--on anna"):
        aggregate(Workspace(workspace.root), "dora", recipe())


def test_dumps_of_an_earlier_checkpoint_are_refused(workspace: Workspace) -> None:
    add_teacher(workspace, "carl", Behaviour(peak=0.7))
    with pytest.raises(StoreError, match="another checkpoint of teacher carl"):
        aggregate(workspace, "dora", recipe())


def test_dumps_over_another_vocabulary_are_refused(workspace: Workspace) -> None:
    Vocabulary.train(["one two three"], size=20, model_type="char").save(workspace.vocabulary_dir)
    with pytest.raises(VocabularyError, match=r"these teachers use another: anna \(\w{12}\), bert"):
        aggregate(Workspace(workspace.root), "dora", recipe())


def test_teachers_must_agree_on_the_number_of_frames(workspace: Workspace) -> None:
    add_teacher(workspace, "carl", Behaviour(extra_frames=2))
    dump(workspace, ("carl",))
    dump_teachers(workspace, ["carl"], recipe=recipe(), teachers=FakeTeachers(), on=SPEAKERS, jobs=1)
    with pytest.raises(StoreError, match=r"utterance 'anna-one-0': teacher carl has 17 frames, teacher anna has 15"):
        aggregate(workspace, "dora", recipe())
