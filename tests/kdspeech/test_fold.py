"""The fold proof: a leak is planted in each place, and each is refused."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from kdspeech.errors import KdspeechError, LeakError
from kdspeech.folds import Fold, Provenance, make_fold
from kdspeech.utterance import Utterance


def _utterance(speaker: str, index: int, split: str) -> Utterance:
    name = f"{speaker}_{index}"
    return Utterance(
        utt_id=name,
        audio_filepath=f"/audio/{name}.wav",
        duration=0.5,
        text="zero",
        speaker=speaker,
        split=split,
        production_id=f"production_{name}",
        audio_sha256=f"hash_{name}",
    )


_SPLITS = ("test", "valid", "train", "train", "train")
_UTTERANCES = [
    _utterance(speaker, index, split) for speaker in ("ann", "bob", "cid") for index, split in enumerate(_SPLITS)
]
_CLEAN = (
    Provenance("teachers/ann", "teacher", ("ann",)),
    Provenance("teachers/cid", "teacher", ("cid",)),
    Provenance("manifests/vocabulary", "vocabulary", ()),
    Provenance("targets", "statistic", ("ann", "cid")),
    Provenance("published.nemo", "checkpoint", None),
)


@pytest.fixture
def fold() -> Fold:
    return make_fold(_UTTERANCES, "bob", ("ann", "bob", "cid"))


def test_a_clean_fold_is_proved_with_its_counts(fold: Fold) -> None:
    proof = fold.validate(_CLEAN)
    assert proof.held_out == "bob"
    assert proof.training_speakers == ("ann", "cid")
    assert proof.teachers == ("ann", "cid")
    assert (proof.num_train, proof.num_valid, proof.num_test) == (6, 2, 5)
    assert proof.unknown_provenance == ("checkpoint published.nemo",)
    assert proof.checked[0].startswith("2 teachers")
    assert proof.checked[1].startswith("6 training and 2 validation utterances")
    assert proof.checked[2].startswith("4 artefacts made without bob: teacher teachers/ann, ")
    assert proof.to_dict()["num_train"] == 6


def test_a_fold_parts_the_manifest(fold: Fold) -> None:
    assert {u.speaker for u in fold.test} == {"bob"}
    assert {u.split for u in fold.train} == {"train"}
    assert {u.split for u in fold.valid} == {"valid"}
    assert {(u.split, u.speaker) for u in fold.set_aside} == {("test", "ann"), ("test", "cid")}
    assert not {u.utt_id for u in fold.train} & {u.utt_id for u in fold.valid}


def _leaked(fold: Fold, **changes: object) -> Utterance:
    """A training speaker's utterance that is, in one respect, the held-out speaker's."""
    return replace(fold.train[0], utt_id="leaked", **changes)  # type: ignore[arg-type]  # names come from the tests


Plant = Callable[[Fold], Fold]

_DATA_LEAKS: dict[str, tuple[Plant, str]] = {
    "teachers list": (lambda f: replace(f, teachers=("ann", "bob")), "the teacher of bob is among the teachers"),
    "training set, by speaker": (
        lambda f: replace(f, train=(*f.train, f.test[3])),
        "'bob_3' of the training set was spoken by bob",
    ),
    "training set, by production": (
        lambda f: replace(f, train=(*f.train, _leaked(f, production_id=f.test[0].production_id))),
        "'leaked' of the training set is production 'production_bob_0' of bob",
    ),
    "training set, by audio": (
        lambda f: replace(f, train=(*f.train, _leaked(f, audio_sha256=f.test[0].audio_sha256))),
        "'leaked' of the training set is the same recording as 'bob_0'",
    ),
    "training set, by path": (
        lambda f: replace(f, train=(*f.train, _leaked(f, audio_filepath=f.test[0].audio_filepath))),
        "'leaked' of the training set is the same recording as 'bob_0'",
    ),
    "validation set, by speaker": (
        lambda f: replace(f, valid=(*f.valid, f.test[1])),
        "'bob_1' of the validation set was spoken by bob",
    ),
    "validation set, by audio": (
        lambda f: replace(f, valid=(*f.valid, _leaked(f, audio_sha256=f.test[2].audio_sha256))),
        "'leaked' of the validation set is the same recording as 'bob_2'",
    ),
    "training speakers' test set, by audio": (
        lambda f: replace(f, set_aside=(*f.set_aside, _leaked(f, audio_sha256=f.test[0].audio_sha256))),
        "'leaked' of the training speakers' test set is the same recording as 'bob_0'",
    ),
    "test set, a stranger": (
        lambda f: replace(f, test=(*f.test, _utterance("ann", 9, "test"))),
        "'ann_9'.* of the test set are other speakers'",
    ),
}


@pytest.mark.parametrize("place", _DATA_LEAKS)
def test_a_leak_in_the_data_is_refused(fold: Fold, place: str) -> None:
    plant, message = _DATA_LEAKS[place]
    with pytest.raises(LeakError, match=message):
        plant(fold).validate(_CLEAN)


@pytest.mark.parametrize("part", ["teacher", "vocabulary", "statistic", "checkpoint"])
def test_a_leak_in_an_artefact_is_refused(fold: Fold, part: str) -> None:
    leaking = Provenance("some/path", part, ("ann", "bob"))
    with pytest.raises(LeakError, match=f"the {part} some/path was made from speech or transcripts of bob"):
        fold.validate((*_CLEAN, leaking))


def test_unknown_hashes_and_productions_do_not_count_as_equal(fold: Fold) -> None:
    """Manifests that other tools wrote leave both fields empty."""
    bare = [replace(u, production_id="", audio_sha256="") for u in _UTTERANCES]
    assert make_fold(bare, "bob", ("ann",)).validate(_CLEAN).num_train == 6


def test_a_speaker_nobody_knows_has_no_fold() -> None:
    with pytest.raises(KdspeechError, match="fold dan: the test set is empty"):
        make_fold(_UTTERANCES, "dan", ())


@pytest.mark.parametrize(("split", "name"), [("train", "training"), ("valid", "validation")])
def test_an_empty_set_is_refused(split: str, name: str) -> None:
    with pytest.raises(KdspeechError, match=f"the {name} set is empty"):
        make_fold([u for u in _UTTERANCES if u.split != split], "bob", ("ann",))
