"""Dumping: what is stored is what the teacher said, done work is kept, teachers that break their contract are named."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from kdspeech.audio import load_audio
from kdspeech.config import Recipe
from kdspeech.dumps.dump_teachers import balanced_shares, dump_teachers
from kdspeech.dumps.store import LogProbStore
from kdspeech.errors import ConfigError, KdspeechError, TeacherError, VocabularyError
from kdspeech.files import read_json
from kdspeech.lexicon import Lexicon
from kdspeech.recipe_file import load_recipe
from kdspeech.utterance import Utterance, write_manifest
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import Behaviour, FakeTeachers, add_teacher, make_workspace

RECIPE = load_recipe("conformer_xs_from_speechbrain")


@pytest.fixture
def words() -> Lexicon:
    return Lexicon(("one", "two", "three"))


@pytest.fixture
def workspace(tmp_path: Path, words: Lexicon, vocabulary: Vocabulary) -> Workspace:
    """anna and bert hear everyone, carl does not understand anna."""
    workspace = make_workspace(tmp_path / "workspace", words, vocabulary)
    for speaker in ("anna", "bert"):
        add_teacher(workspace, speaker)
    add_teacher(workspace, "carl", Behaviour(deaf_to=(0,)))
    return workspace


def dump(workspace: Workspace, speakers: str = "all", recipe: Recipe = RECIPE, **options: object) -> list[str]:
    """Runs in this process and gives the teachers that were loaded."""
    teachers = FakeTeachers()
    dump_teachers(workspace, speakers.split(","), recipe=recipe, teachers=teachers, jobs=1, **options)  # type: ignore[arg-type]
    return teachers.loaded


def of(workspace: Workspace, speaker: str) -> list[Utterance]:
    return [u for u in workspace.utterances if u.speaker == speaker]


def test_what_is_stored_is_what_the_teacher_said(workspace: Workspace) -> None:
    assert dump(workspace) == ["anna", "bert", "carl"]
    store, utterances = LogProbStore(workspace.dumps_dir), of(workspace, "anna")
    teacher = FakeTeachers().load_teacher(workspace.teacher_dir("carl"))
    ctc = store.read("carl", "ctc", utterances, vocabulary=workspace.vocabulary)
    decoder = store.read("carl", "decoder", utterances, vocabulary=workspace.vocabulary)
    texts = store.read("carl", "hypotheses", utterances)
    words = store.read("carl", "word", utterances, lexicon=workspace.lexicon)
    for utterance in utterances:
        waveform = load_audio(utterance.audio_filepath)
        (said,) = teacher.score([waveform], [workspace.vocabulary.encode(utterance.text)])
        assert ctc[utterance.utt_id] == pytest.approx(said.ctc_log_probs, abs=1e-2)
        assert decoder[utterance.utt_id] == pytest.approx(said.decoder_log_probs, abs=1e-2)
        assert texts[utterance.utt_id] == said.hypotheses
        heard = teacher.word_heard(waveform)
        posteriors = words[utterance.utt_id]
        assert isinstance(posteriors, np.ndarray)
        assert workspace.lexicon.words[posteriors.argmax()] == heard
        assert np.exp(posteriors).sum() == pytest.approx(1.0, abs=1e-5)


def test_the_table_is_decoded_from_the_store(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    dump(workspace)
    matrix = read_json(workspace.reports_dir / "dump-matrix.json")
    for kind in ("ctc", "decoder", "word", "hypotheses"):
        rates = {
            teacher: {speaker: cell["wra"] for speaker, cell in row.items()} for teacher, row in matrix[kind].items()
        }
        assert rates["anna"] == {"anna": 100.0, "bert": 100.0, "carl": 100.0}
        assert rates["carl"] == {"anna": 0.0, "bert": 100.0, "carl": 100.0}
    assert matrix["ctc"]["carl"]["anna"]["utterances"] == 15
    assert matrix["ctc"]["carl"]["carl"]["utterances"] == 6  # test and valid: it was trained on the others
    output = capsys.readouterr().out
    assert "greedy CTC" in output
    assert "closed lexicon" in output
    assert re.search(r"carl\s*│\s*0\.0 │\s*100\.0 │\s*\[100\.0\] │\s*50\.0", output)


def test_done_work_is_skipped_and_force_redoes_it(workspace: Workspace) -> None:
    dump(workspace)
    assert dump(workspace) == []
    path = LogProbStore(workspace.dumps_dir).path("bert", "word", "carl")
    path.unlink()
    assert dump(workspace) == ["bert"]
    assert path.exists()
    path.write_bytes(path.read_bytes()[:-1])
    assert dump(workspace) == ["bert"]
    assert dump(workspace, "anna", force=True) == ["anna"]


def test_a_changed_teacher_is_dumped_again(workspace: Workspace) -> None:
    dump(workspace)
    add_teacher(workspace, "bert", Behaviour(peak=0.8))
    assert dump(workspace) == ["bert"]
    assert dump(workspace, recipe=replace_dump(top_k=3)) == ["anna", "bert", "carl"]


def replace_dump(**changes: object) -> Recipe:
    return RECIPE.model_copy(update={"dump": RECIPE.dump.model_copy(update=changes)})


def test_a_changed_transcript_is_dumped_again(workspace: Workspace) -> None:
    dump(workspace)
    changed = [replace(u, text="two") if u.utt_id == "bert-one-0" else u for u in workspace.utterances]
    write_manifest(workspace.manifest_path, changed)
    again = Workspace(workspace.root)
    store = LogProbStore(workspace.dumps_dir)
    before = {speaker: store.describe("anna", "ctc", speaker) for speaker in again.speakers}
    dump(again, "anna", on=["all"])
    after = {speaker: store.describe("anna", "ctc", speaker) for speaker in again.speakers}
    assert [speaker for speaker in again.speakers if before[speaker] != after[speaker]] == ["bert"]


def test_on_names_the_recordings(workspace: Workspace) -> None:
    dump(workspace, "anna", on=["bert"], kinds=["ctc"])
    files = [str(path.relative_to(workspace.dumps_dir)) for path in workspace.dumps_dir.rglob("*.safetensors")]
    assert files == ["anna/ctc/bert.safetensors"]


def test_processes_share_the_work(
    tmp_path: Path, words: Lexicon, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = make_workspace(tmp_path / "workspace", words, vocabulary, ("anna", "bert"), repetitions=3)
    for speaker in workspace.speakers:
        add_teacher(workspace, speaker)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    dump_teachers(workspace, ["all"], recipe=RECIPE, teachers=FakeTeachers(), kinds=["ctc"], jobs=2)
    assert len(list(workspace.dumps_dir.rglob("*.safetensors"))) == 4


def test_shares_are_balanced_runs() -> None:
    units = [(teacher, speaker) for teacher in "abcde" for speaker in "vwxyz"]
    first, second = balanced_shares(units, [500] * 25, 2)
    assert first + second == units
    assert abs(len(first) - len(second)) == 1
    assert balanced_shares(["a"], [3.0], 4) == [["a"]]
    assert balanced_shares(["a", "b", "c"], [10.0, 1.0, 1.0], 2) == [["a"], ["b", "c"]]


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        (Behaviour(missing_columns=1), r"shape \[\d+, 40\], expected 41 columns.*off by one"),
        (Behaviour(extra_frames=9), r"24 frames, expected about 15 by its duration"),
        (Behaviour(frame_shift_s=0.02, extra_frames=-15), r"15 frames, expected about 30"),
        (Behaviour(unnormalised=True), r"sum to 1 ± 1.7.*logits"),
        (Behaviour(not_finite=True), r"NaN or infinite"),
        (Behaviour(has_ctc=False), r"gives no CTC log-probs.*dump\.kinds=\[decoder,hypotheses\]"),
    ],
)
def test_a_teacher_that_breaks_its_contract(workspace: Workspace, behaviour: Behaviour, message: str) -> None:
    add_teacher(workspace, "bert", behaviour)
    with pytest.raises(TeacherError, match=rf"teacher bert, utterance 'anna-one-0'.*{message}"):
        dump(workspace, "bert", on=["anna"])
    assert not workspace.dumps_dir.exists()  # nothing half written


def test_kinds_that_are_not_asked_for_need_not_be_there(workspace: Workspace) -> None:
    add_teacher(workspace, "bert", Behaviour(has_ctc=False))
    dump(workspace, "bert", kinds=["decoder", "hypotheses"])


def test_a_decoder_that_was_fed_something_else(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.doubles.FakeTeacher.score", score_with_a_row_too_many)
    with pytest.raises(TeacherError, match=r"4 decoder rows for 2 reference tokens"):
        dump(workspace, "anna", kinds=["decoder"])


def score_with_a_row_too_many(self: object, waveforms: list[np.ndarray], token_ids: list[list[int]]) -> list[object]:
    teacher = self
    longer = [[*tokens, 3] for tokens in token_ids]
    return [teacher._score_one(w, tokens) for w, tokens in zip(waveforms, longer, strict=True)]  # type: ignore[attr-defined]


def test_missing_scores_are_noticed(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.doubles.FakeTeacher.score", lambda self, waveforms, token_ids: [])
    with pytest.raises(TeacherError, match=r"teacher anna gave scores for 0 of 15 utterances"):
        dump(workspace, "anna", on=["bert"])


@pytest.mark.parametrize("shift", [1, -1])
def test_a_teacher_with_shifted_columns_is_reported_loudly(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], shift: int
) -> None:
    """Normalised, finite, right size: a blank in the wrong column shows only when the dump is decoded."""
    add_teacher(workspace, "bert", Behaviour(column_shift=shift))
    dump(workspace, kinds=["ctc"])
    warnings = capsys.readouterr().err
    assert "teacher bert does not understand its OWN speaker: of 6 held-back utterances it gets 0.0 %" in warnings
    assert "teacher anna" not in warnings


def test_a_foreign_vocabulary_gives_words_and_hypotheses_only(workspace: Workspace) -> None:
    foreign = Vocabulary.train(["one two three four"], size=20, model_type="char")
    add_teacher(workspace, "bert", vocabulary=foreign)
    with pytest.raises(VocabularyError, match=f"teacher bert uses vocabulary {foreign.sha256[:12]}"):
        dump(workspace, "anna,bert")
    dump(workspace, "anna,bert", on=["carl"], kinds=["word", "hypotheses"])
    matrix = read_json(workspace.reports_dir / "dump-matrix.json")
    assert matrix["word"]["bert"]["carl"]["wra"] == 100.0


def test_names_and_kinds_are_checked_first(workspace: Workspace) -> None:
    with pytest.raises(KdspeechError, match="unknown speaker 'zoe'"):
        dump(workspace, "anna,zoe")
    with pytest.raises(KdspeechError, match="unknown speaker 'zoe'"):
        dump(workspace, "anna", on=["zoe"])
    with pytest.raises(ConfigError, match="unknown kind 'attention'; there are ctc, decoder, word, hypotheses"):
        dump(workspace, "anna", kinds=["attention"])
    (workspace.teacher_dir("carl") / "teacher.json").unlink()
    with pytest.raises(TeacherError, match="--speakers carl"):
        dump(workspace)


def test_without_a_lexicon_the_recipe_leaves_words_out(workspace: Workspace) -> None:
    folder = workspace.lexicon_path
    for speaker in workspace.speakers:
        add_teacher(workspace, speaker)
    folder.unlink()
    again = Workspace(workspace.root)
    dump(again, "anna", on=["bert"])
    assert sorted(path.parent.name for path in again.dumps_dir.rglob("*.safetensors")) == [
        "ctc",
        "decoder",
        "hypotheses",
    ]
    with pytest.raises(KdspeechError, match="no closed word list"):
        dump(again, "anna", kinds=["word"])
