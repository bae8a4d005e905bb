"""The log-prob store: what goes in comes out by id, and everything that does not fit is named."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors
from safetensors.numpy import load_file, save_file

from kdspeech.config import DumpConfig
from kdspeech.dumps.shard import ShardHeader, ShardKey, sha256_of_recordings
from kdspeech.dumps.store import LogProbStore
from kdspeech.errors import StoreError, VocabularyError
from kdspeech.lexicon import Lexicon
from kdspeech.logspace import normalise
from kdspeech.protocols import ScoredText, TeacherCard
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary
from tests.doubles import write_shard

CARD = TeacherCard("anna", "speechbrain", "somewhere", ("anna",), "c" * 64, "v" * 64)
UTTERANCES = [Utterance(f"bert-{i}", f"/audio/{i}.wav", 1.0, "one", "bert", "train") for i in range(4)]


def header(
    kind: str = "ctc", columns: int | None = 6, config: DumpConfig | None = None, **changes: object
) -> ShardHeader:
    key = ShardKey.of(CARD, kind, UTTERANCES, config or DumpConfig(dtype="float32"), None)  # type: ignore[arg-type]
    made = ShardHeader(key, ("anna",), columns, 5, 0.04, tuple(u.utt_id for u in UTTERANCES))
    return replace(made, **changes)  # type: ignore[arg-type]


def some_rows(columns: int = 6) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {u.utt_id: normalise(rng.normal(size=(3 + i, columns)).astype(np.float32)) for i, u in enumerate(UTTERANCES)}


@pytest.fixture
def store(tmp_path: Path) -> LogProbStore:
    store = LogProbStore(tmp_path)
    write_shard(store, header(), some_rows())
    return store


def rewrite(path: Path, change_tensors: object = None, **changes: object) -> None:
    """Writes a shard again with another header or other tensors; the payload's hash stays that of the header."""
    with safetensors.safe_open(str(path), framework="numpy") as file:
        metadata = json.loads(file.metadata()["kdspeech"])
    tensors = load_file(path)
    if callable(change_tensors):
        change_tensors(tensors)
    save_file(tensors, path, metadata={"kdspeech": json.dumps({**metadata, **changes})})


def test_rows_come_back_by_id_in_any_order(store: LogProbStore) -> None:
    rows, wanted = some_rows(), [UTTERANCES[2], UTTERANCES[0]]
    back = store.read("anna", "ctc", wanted, checkpoint_sha256="c" * 64)
    assert list(back) == ["bert-2", "bert-0"]
    for utt_id, row in back.items():
        assert row == pytest.approx(rows[utt_id], abs=1e-5)


def test_a_shard_describes_itself(store: LogProbStore) -> None:
    found, payload = store.describe("anna", "ctc", "bert")
    assert found == header()
    assert len(payload) == 64
    with safetensors.safe_open(str(store.path("anna", "ctc", "bert")), framework="numpy") as file:
        metadata = json.loads(file.metadata()["kdspeech"])
    assert metadata["format_version"] == 1
    assert metadata["key"]["checkpoint_sha256"] == "c" * 64
    assert metadata["frame_shift_s"] == 0.04
    assert metadata["blank_id"] == 5


def test_hypotheses_and_words_come_back(tmp_path: Path) -> None:
    store = LogProbStore(tmp_path)
    texts = {
        u.utt_id: (ScoredText("née", -1.25, "ctc"), ScoredText("", -7.0, "decoder"))[: i % 3]
        for i, u in enumerate(UTTERANCES)
    }
    write_shard(store, header("hypotheses", None), texts)
    assert dict(store.read("anna", "hypotheses", UTTERANCES)) == texts
    words = {utt_id: rows[0] for utt_id, rows in some_rows(3).items()}
    write_shard(store, header("word", 3), words)
    for utt_id, row in store.read("anna", "word", UTTERANCES).items():
        assert row == pytest.approx(words[utt_id], abs=1e-5)


def test_sparse_rows_come_back_dense(tmp_path: Path) -> None:
    store = LogProbStore(tmp_path)
    write_shard(store, header(config=DumpConfig(top_k=2, dtype="float16")), some_rows())
    for utt_id, row in store.read("anna", "ctc", UTTERANCES).items():
        assert isinstance(row, np.ndarray)
        assert row.shape == some_rows()[utt_id].shape
        assert row.argmax(axis=1).tolist() == some_rows()[utt_id].argmax(axis=1).tolist()


def test_a_store_can_be_sent_to_another_process(store: LogProbStore) -> None:
    rows = store.read("anna", "ctc", UTTERANCES)
    again = pickle.loads(pickle.dumps(rows))
    assert np.array_equal(np.asarray(again["bert-1"]), np.asarray(rows["bert-1"]))


def test_has_knows_what_a_shard_is_made_of(store: LogProbStore) -> None:
    key = header().key
    assert store.has(key)
    assert not store.has(replace(key, checkpoint_sha256="d" * 64))
    assert not store.has(replace(key, top_k=3))
    assert not store.has(replace(key, speaker="carl"))
    changed = [replace(UTTERANCES[0], text="two"), *UTTERANCES[1:]]
    assert not store.has(ShardKey.of(CARD, "ctc", changed, DumpConfig(dtype="float32"), None))
    assert not store.has(ShardKey.of(CARD, "ctc", UTTERANCES[:3], DumpConfig(dtype="float32"), None))


def test_a_missing_shard_names_the_command(store: LogProbStore) -> None:
    carl = replace(UTTERANCES[0], speaker="carl")
    with pytest.raises(StoreError, match=r"carl.safetensors does not exist.*--speakers anna --on carl"):
        store.read("anna", "ctc", [carl])


def test_missing_utterances_are_listed(store: LogProbStore) -> None:
    strangers = [replace(UTTERANCES[0], utt_id=f"bert-{i}") for i in (7, 8)]
    with pytest.raises(StoreError, match=r"2 of 3 utterances: bert-7, bert-8.*--on bert"):
        store.read("anna", "ctc", [UTTERANCES[0], *strangers])


def test_a_truncated_shard_is_refused(store: LogProbStore) -> None:
    path = store.path("anna", "ctc", "bert")
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(StoreError, match=r"bert.safetensors is truncated or damaged"):
        LogProbStore(store.root).read("anna", "ctc", UTTERANCES)


def test_a_flipped_bit_is_refused(store: LogProbStore) -> None:
    path = store.path("anna", "ctc", "bert")
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(StoreError, match=r"bert.safetensors is damaged: its payload's sha256"):
        LogProbStore(store.root).read("anna", "ctc", UTTERANCES)


def test_another_checkpoint_is_refused(store: LogProbStore) -> None:
    with pytest.raises(StoreError, match=r"another checkpoint of teacher anna: cccccccccccc, the teacher is now dddd"):
        store.read("anna", "ctc", UTTERANCES, checkpoint_sha256="d" * 64)


def test_a_foreign_vocabulary_is_refused(store: LogProbStore, vocabulary: Vocabulary) -> None:
    with pytest.raises(VocabularyError, match=r"bert.safetensors uses vocabulary vvvvvvvvvvvv"):
        store.read("anna", "ctc", UTTERANCES, vocabulary=vocabulary)


def test_another_lexicon_is_refused(tmp_path: Path, lexicon: Lexicon) -> None:
    store, other = LogProbStore(tmp_path), Lexicon(("one", "two", "six"))
    key = ShardKey.of(CARD, "word", UTTERANCES, DumpConfig(), other)
    write_shard(store, header("word", 3, key=key), {utt_id: rows[0] for utt_id, rows in some_rows(3).items()})
    assert len(store.read("anna", "word", UTTERANCES, lexicon=other)) == 4
    with pytest.raises(StoreError, match=f"over lexicon {other.sha256[:12]}, the workspace has {lexicon.sha256[:12]}"):
        store.read("anna", "word", UTTERANCES, lexicon=lexicon)


def test_a_wrong_number_of_columns_is_refused(store: LogProbStore, vocabulary: Vocabulary) -> None:
    with pytest.raises(StoreError, match=r"'bert-0' has shape \[3, 5\], expected 6 columns"):
        write_shard(store, header(), some_rows(5))
    key = replace(header().key, vocabulary_sha256=vocabulary.sha256)
    write_shard(store, header(key=key), some_rows())
    with pytest.raises(StoreError, match=f"has 6 columns .* expected {vocabulary.num_columns} with the blank in"):
        store.read("anna", "ctc", UTTERANCES, vocabulary=vocabulary)


def test_rows_must_be_those_of_the_header(store: LogProbStore) -> None:
    rows = some_rows()
    with pytest.raises(StoreError, match=r"'bert-9' is not among the 4 utterances"):
        write_shard(store, header(), {**rows, "bert-9": rows["bert-0"]})
    del rows["bert-3"]
    with pytest.raises(StoreError, match=r"no rows for 1 utterances: bert-3"):
        write_shard(store, header(), rows)


def test_extra_rows_in_a_file_are_refused(store: LogProbStore) -> None:
    rewrite(store.path("anna", "ctc", "bert"), utterance_ids=["bert-0", "bert-1", "bert-2"])
    with pytest.raises(StoreError, match="rows for 4 utterances, its header lists 3"):
        LogProbStore(store.root).read("anna", "ctc", UTTERANCES[:2])


def test_a_misplaced_file_is_refused(store: LogProbStore) -> None:
    store.path("anna", "ctc", "bert").rename(store.path("anna", "ctc", "carl"))
    carl = [replace(u, speaker="carl") for u in UTTERANCES]
    with pytest.raises(StoreError, match="misplaced file: its header says teacher anna, kind ctc, recordings of bert"):
        LogProbStore(store.root).read("anna", "ctc", carl)


def test_what_was_made_of_other_transcripts_is_refused(store: LogProbStore) -> None:
    as_made = {"bert": sha256_of_recordings(UTTERANCES)}
    assert len(LogProbStore(store.root, as_made).read("anna", "ctc", UTTERANCES[:2])) == 2
    corrected = [replace(UTTERANCES[0], text="seven"), *UTTERANCES[1:]]
    now = LogProbStore(store.root, {"bert": sha256_of_recordings(corrected)})
    with pytest.raises(StoreError, match=r"made before a recording or a transcript of bert changed.*--on bert"):
        now.read("anna", "ctc", UTTERANCES[1:])
    with pytest.raises(StoreError, match=r"made before a recording or a transcript of bert changed"):
        now.describe("anna", "ctc", "bert")


def test_another_format_is_refused(store: LogProbStore) -> None:
    path = store.path("anna", "ctc", "bert")
    rewrite(path, format_version=99)
    with pytest.raises(StoreError, match="format version 99, this kdspeech reads 1"):
        store.describe("anna", "ctc", "bert")
    save_file({"values": np.zeros(3)}, path)
    with pytest.raises(StoreError, match="not one of kdspeech"):
        store.describe("anna", "ctc", "bert")


def test_nothing_is_left_of_a_failed_write(tmp_path: Path) -> None:
    store = LogProbStore(tmp_path / "store")
    with pytest.raises(StoreError):
        write_shard(store, header(), some_rows(5))
    assert not list((tmp_path / "store").rglob("*.safetensors"))
