"""The round trip, through NeMo's own code: its datasets read our manifests, and we read its."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kdspeech.audio import SAMPLE_RATE, load_audio
from kdspeech.corpora.prepare import prepare
from kdspeech.students.nemo_import import quiet_nemo
from kdspeech.utterance import Utterance, write_manifest
from kdspeech.workspace import Workspace

pytestmark = pytest.mark.slow

_TEXTS = ("yes", "don't", "x ray", "zoo", "thirty five", "a")
_RATES = (16_000, 8_000, 44_100)


@pytest.fixture(scope="module", autouse=True)
def _nemo() -> None:
    with quiet_nemo():
        import nemo.collections.asr  # noqa: F401


@pytest.fixture
def workspace(tmp_path: Path, write_wav: Callable[..., Path]) -> Workspace:
    """A prepared corpus of three speakers, several rates, every field of an utterance in use."""
    rows = []
    for index, text in enumerate(_TEXTS):
        name = f"u{index}"
        write_wav(tmp_path / "wävs" / f"{name}.wav", 0.8 + 0.1 * index, _RATES[index % 3], seed=index)
        row = {"audio_filepath": f"wävs/{name}.wav", "text": text, "speaker": "abc"[index % 3], "split": "train"}
        extra = {"production_id": f"p{index}", "word_type": "CW", "block": "B1", "microphone": "M5", "band": "LOW"}
        rows.append({**row, **extra})
    (tmp_path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    prepare(Workspace(tmp_path / "workspace"), "manifest", tmp_path / "corpus.jsonl")
    return Workspace(tmp_path / "workspace")


def _tokenizer(workspace: Workspace) -> Any:
    from nemo.collections.common.tokenizers import SentencePieceTokenizer

    return SentencePieceTokenizer(str(workspace.vocabulary_dir / "tokenizer.model"))


def test_nemos_manifest_tools_read_every_field_of_ours(workspace: Workspace) -> None:
    from nemo.collections.asr.parts.utils.manifest_utils import read_manifest

    assert read_manifest(workspace.manifest_path) == [asdict(utterance) for utterance in workspace.utterances]


def test_nemos_collection_gives_our_utterances(workspace: Workspace) -> None:
    from nemo.collections.common.parts.preprocessing.collections import ASRAudioText
    from nemo.collections.common.parts.preprocessing.manifest import item_iter

    parser = _tokenizer(workspace).text_to_ids
    collection = ASRAudioText(str(workspace.manifest_path), parser=parser)
    found = [
        (e.audio_file, e.duration, e.text_raw, e.speaker, e.offset, e.orig_sr, e.lang, e.text_tokens)
        for e in collection
    ]
    assert found == [
        (u.audio_filepath, u.duration, u.text, u.speaker, None, None, None, workspace.vocabulary.encode(u.text))
        for u in workspace.utterances
    ]
    items = list(item_iter(str(workspace.manifest_path)))
    assert [item["id"] for item in items] == list(range(len(_TEXTS)))
    assert [item["audio_file"] for item in items] == [u.audio_filepath for u in workspace.utterances]


def test_nemos_dataset_hears_and_spells_what_we_do(workspace: Workspace) -> None:
    from nemo.collections.asr.data.audio_to_text import AudioToBPEDataset

    dataset = AudioToBPEDataset(
        manifest_filepath=str(workspace.manifest_path),
        tokenizer=_tokenizer(workspace),
        sample_rate=SAMPLE_RATE,
        use_start_end_token=False,
    )
    assert len(dataset) == len(_TEXTS)
    for index, utterance in enumerate(workspace.utterances):
        signal, num_samples, tokens, num_tokens = dataset[index]
        ours = load_audio(utterance.audio_filepath)
        assert abs(int(num_samples) - len(ours)) <= 1  # NeMo's resampler rounds up
        if _RATES[index % 3] == SAMPLE_RATE:
            np.testing.assert_array_equal(signal.numpy(), ours)
        assert tokens.tolist() == workspace.vocabulary.encode(utterance.text)
        assert int(num_tokens) == len(tokens)
        assert workspace.vocabulary.decode(tokens.tolist()) == utterance.text


def test_a_manifest_that_nemo_wrote_comes_back_whole(
    tmp_path: Path, workspace: Workspace, write_wav: Callable[..., Path]
) -> None:
    """Ours, through NeMo's writer, `prepare manifest` and NeMo's reader: no field is lost or changed on the way."""
    from nemo.collections.asr.parts.utils.manifest_utils import read_manifest, write_manifest

    rows = read_manifest(workspace.manifest_path)
    write_manifest(tmp_path / "nemo.json", [{**row, "offset": 0.0} for row in rows])
    again = Workspace(tmp_path / "again")
    prepare(again, "manifest", tmp_path / "nemo.json")
    assert again.utterances == workspace.utterances
    assert read_manifest(again.manifest_path) == rows


def test_a_plain_manifest_of_nemos_keeps_its_fields(tmp_path: Path, write_wav: Callable[..., Path]) -> None:
    from nemo.collections.asr.parts.utils.manifest_utils import write_manifest as write_nemo_manifest

    write_wav(tmp_path / "wavs" / "a.wav", 1.25)
    row = {"audio_filepath": "wavs/a.wav", "duration": 1.25, "text": "yes no", "speaker": 7, "lang": "en"}
    write_nemo_manifest(tmp_path / "nemo.json", [row])
    prepare(Workspace(tmp_path / "w"), "manifest", tmp_path / "nemo.json")
    (utterance,) = Workspace(tmp_path / "w").utterances
    assert (utterance.audio_filepath, utterance.duration) == (str(tmp_path / "wavs" / "a.wav"), 1.25)
    assert (utterance.text, utterance.speaker) == ("yes no", "7")


def test_letters_of_any_alphabet_survive(tmp_path: Path) -> None:
    from nemo.collections.asr.parts.utils.manifest_utils import read_manifest

    texts = ("señor", "привет", "你好", 'a "quoted"\tword', "line\u2028separator")
    utterances = [Utterance(f"u{i}", f"/ä/{i}.wav", 1 / 3 + i, text, "ß", "train") for i, text in enumerate(texts)]
    write_manifest(tmp_path / "m.jsonl", utterances)
    assert read_manifest(tmp_path / "m.jsonl") == [asdict(utterance) for utterance in utterances]
