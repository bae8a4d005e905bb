"""Transcription by a student that reads the word off the waveform, of files of every kind and in every state."""

import io
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from kdspeech.audio import SAMPLE_RATE
from kdspeech.choices import DECODE_MODES, DecodeMode
from kdspeech.decoding.options import DecodeOptions
from kdspeech.errors import KdspeechError, RunError
from kdspeech.evaluation.evaluate import evaluate
from kdspeech.lexicon import Lexicon
from kdspeech.recipe_file import load_recipe
from kdspeech.scoring.score_files import score
from kdspeech.training.train import train
from kdspeech.transcription.sources import Source, find_sources
from kdspeech.transcription.transcribe import transcribe
from kdspeech.transcription.transcriber import Transcriber
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import FakeStudents, make_workspace, synthetic_waveform

RECIPE = load_recipe("conformer_xs_from_speechbrain", ("stages.0.epochs=1",))
MakeTranscriber = Callable[..., Transcriber]


@pytest.fixture
def workspace(tmp_path: Path, lexicon: Lexicon, vocabulary: Vocabulary) -> Workspace:
    return make_workspace(tmp_path / "w", lexicon, vocabulary, repetitions=3)


@pytest.fixture
def run(workspace: Workspace, lexicon: Lexicon) -> Path:
    return train(workspace, "bert", "labels", recipe=RECIPE, students=FakeStudents(lexicon))


@pytest.fixture
def make(run: Path, lexicon: Lexicon) -> MakeTranscriber:
    """make(mode="ctc", run=..., options=...): a transcriber that knows every word."""

    def make(mode: DecodeMode = "ctc", folder: Path = run, options: DecodeOptions | None = None) -> Transcriber:
        students = FakeStudents(lexicon)
        chosen = options or DecodeOptions()
        return Transcriber(folder, mode, students=students, lexicon=lambda: lexicon, options=chosen)

    return make


def test_a_run_folder_alone_is_enough(run: Path, workspace: Workspace, tmp_path: Path, make: MakeTranscriber) -> None:
    moved = tmp_path / "elsewhere"
    shutil.copytree(run, moved)
    files = [Path(u.audio_filepath) for u in workspace.utterances][:7]
    kept = [shutil.copy(path, tmp_path / path.name) for path in files]
    words = [u.text for u in workspace.utterances][:7]
    shutil.rmtree(workspace.root)
    found = transcribe(make(folder=moved), find_sources([Path(path) for path in kept]))
    assert [t.hypothesis for t in found.transcripts] == words
    assert [t.audio_filepath for t in found.transcripts] == [str(path) for path in kept]
    assert found.unheard == ()


@pytest.mark.parametrize("mode", DECODE_MODES)
def test_what_eval_hears_is_what_is_transcribed(
    workspace: Workspace, run: Path, lexicon: Lexicon, make: MakeTranscriber, mode: DecodeMode
) -> None:
    """Text, log-probability and calibrated confidence, for each of the held-out speaker's recordings."""
    result = evaluate(workspace, run, mode, students=FakeStudents(lexicon, deaf_to=(1,)))
    held_out = [u for u in workspace.utterances if u.speaker == "bert"]
    students = FakeStudents(lexicon, deaf_to=(1,))
    transcriber = Transcriber(run, mode, students=students, lexicon=lambda: lexicon)
    found = transcribe(transcriber, [Source(u.utt_id, Path(u.audio_filepath)) for u in held_out])
    for transcript, decoded in zip(found.transcripts, result.utterances, strict=True):
        assert (transcript.audio_filepath, transcript.hypothesis) == (decoded.utt_id, decoded.hypothesis)
        assert transcript.log_prob == pytest.approx(decoded.log_prob, abs=1e-3)
        assert transcript.confidence == pytest.approx(decoded.confidence, abs=1e-4)
        assert transcript.calibrated


def test_the_length_of_the_list_needs_no_calibration_of_its_own(
    workspace: Workspace, run: Path, lexicon: Lexicon, make: MakeTranscriber
) -> None:
    assert make("lexicon").calibration is None
    evaluate(workspace, run, "lexicon", students=FakeStudents(lexicon))
    for nbest in (1, 5):
        transcriber = make("lexicon", options=DecodeOptions(nbest=nbest))
        assert transcriber.calibration is not None
    assert make("ctc").calibration is None
    assert make("decoder", options=DecodeOptions(beam=4)).calibration is None
    (run / "checkpoints" / "last.ckpt").write_bytes((run / "checkpoints" / "best.ckpt").read_bytes() + b" ")
    assert make("lexicon").calibration is None  # fitted to other weights


def test_the_list_is_ranked_and_sums_to_one(workspace: Workspace, make: MakeTranscriber, lexicon: Lexicon) -> None:
    source = Source("x", Path(workspace.utterances[0].audio_filepath))
    (transcript,) = transcribe(make("lexicon", options=DecodeOptions(nbest=10)), [source]).transcripts
    assert transcript.n_best[0].text == transcript.hypothesis == workspace.utterances[0].text
    assert {other.text for other in transcript.n_best} == set(lexicon.words)
    assert sum(other.confidence for other in transcript.n_best) == pytest.approx(1.0)
    (single,) = transcribe(make("lexicon"), [source]).transcripts
    assert [other.text for other in single.n_best] == [single.hypothesis]


def test_silence_around_a_word_changes_no_answer(run: Path, lexicon: Lexicon, tmp_path: Path) -> None:
    """The double hears the mean of each half: what is cut off must be all but the word, what is kept gives another."""
    silence = np.zeros(2 * SAMPLE_RATE, np.float32)
    hiss = 1e-4 * np.random.default_rng(0).standard_normal(8 * SAMPLE_RATE).astype(np.float32)
    word = synthetic_waveform(3, 3, duration=4.0)
    students = FakeStudents(lexicon)
    alone = Transcriber(run, "ctc", students=students, lexicon=lambda: lexicon)
    whole = Transcriber(run, "ctc", students=students, lexicon=lambda: lexicon, trim=False)
    padded = np.concatenate([silence, word, silence]) + hiss

    assert alone.hear([word, word]) == whole.hear([word, word])
    assert alone.hear([padded])[0].text == alone.hear([word])[0].text == lexicon.words[3]
    assert whole.hear([padded])[0].text != lexicon.words[3]


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "MP3", "OGG"])
@pytest.mark.parametrize("rate", [8_000, 16_000, 44_100])
@pytest.mark.parametrize("channels", [1, 2])
def test_every_form_of_a_recording_becomes_the_same_waveform(kind: str, rate: int, channels: int) -> None:
    tone = 0.1 * np.sin(2 * np.pi * 300 * np.arange(rate) / rate)
    file = io.BytesIO()
    soundfile.write(file, np.stack([tone] * channels, axis=1), rate, format=kind)
    waveform = Source("tone", data=file.getvalue()).load()
    expected = 0.1 * np.sin(2 * np.pi * 300 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    assert abs(len(waveform) - SAMPLE_RATE) <= 1
    middle = slice(4_000, 12_000)
    assert np.abs(np.fft.rfft(waveform[middle])).argmax() == np.abs(np.fft.rfft(expected[middle])).argmax()
    assert np.sqrt((waveform[middle] ** 2).mean()) == pytest.approx(0.1 / np.sqrt(2), rel=0.05)


def test_broken_files_are_put_aside_with_their_reason(tmp_path: Path, make: MakeTranscriber) -> None:
    folder = tmp_path / "new"
    (folder / "deeper").mkdir(parents=True)
    soundfile.write(folder / "b.wav", synthetic_waveform(4, 1), SAMPLE_RATE, subtype="FLOAT")
    soundfile.write(folder / "deeper" / "a.flac", synthetic_waveform(7, 1), SAMPLE_RATE)
    (folder / "c.wav").write_bytes(b"no audio")
    soundfile.write(folder / "d.wav", np.zeros(0), SAMPLE_RATE)
    soundfile.write(folder / "e.wav", np.zeros(10), SAMPLE_RATE)
    soundfile.write(folder / "f.wav", np.zeros(3 * SAMPLE_RATE), SAMPLE_RATE)
    (folder / "notes.txt").write_text("not a recording", encoding="utf-8")
    found = transcribe(make(), [*find_sources([folder]), Source("gone.wav", Path("gone.wav"))], max_duration_s=2.0)
    assert {Path(t.audio_filepath).name: t.hypothesis for t in found.transcripts} == {
        "b.wav": "four",
        "a.flac": "seven",
    }
    reasons = {Path(fault.audio_filepath).name: fault.reason for fault in found.unheard}
    assert list(reasons) == ["c.wav", "d.wav", "e.wav", "f.wav", "gone.wav"]
    for name, word in zip(reasons, ("not a readable", "empty", "less than one frame", "3.0 s", "exist"), strict=True):
        assert word in reasons[name]
        assert name in reasons[name]


def test_the_lines_can_be_scored(workspace: Workspace, make: MakeTranscriber, tmp_path: Path) -> None:
    sources = find_sources([Path(u.audio_filepath) for u in workspace.utterances])
    found = transcribe(make(), sources)
    found.save(tmp_path / "heard.jsonl")
    report = score(workspace.manifest_path, [tmp_path / "heard.jsonl"])
    assert (report.total.correct, report.total.utterances) == (90, 90)


def test_refusals(tmp_path: Path, make: MakeTranscriber, workspace: Workspace) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(KdspeechError, match="holds no recording"):
        find_sources([tmp_path / "empty"])
    with pytest.raises(RunError, match="is not a run"):
        make(folder=tmp_path / "empty")
