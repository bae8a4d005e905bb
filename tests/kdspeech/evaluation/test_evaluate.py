"""Evaluation of a student whose every answer is known, and refusal of runs that do not fit."""

from dataclasses import replace
from pathlib import Path

import pytest

from kdspeech.choices import DECODE_MODES, DecodeMode
from kdspeech.comparison.compare import compare
from kdspeech.decoding.options import DecodeOptions
from kdspeech.errors import ConfigError, KdspeechError, LeakError, RunError, VocabularyError
from kdspeech.evaluation.evaluate import evaluate, results_path
from kdspeech.evaluation.results import EvaluationResult, print_result
from kdspeech.files import read_json, write_json
from kdspeech.lexicon import Lexicon
from kdspeech.recipe_file import load_recipe
from kdspeech.scoring.score_files import score
from kdspeech.training.train import train
from kdspeech.utterance import write_manifest
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import FakeStudents, make_workspace

RECIPE = load_recipe("conformer_xs_from_speechbrain", ("stages.0.epochs=1",))


@pytest.fixture
def workspace(tmp_path: Path, lexicon: Lexicon, vocabulary: Vocabulary) -> Workspace:
    return make_workspace(tmp_path, lexicon, vocabulary)


def trained(workspace: Workspace, students: FakeStudents, held_out: str = "bert") -> Path:
    return train(workspace, held_out, "labels", recipe=RECIPE, students=students)


@pytest.mark.parametrize("decode_mode", DECODE_MODES)
@pytest.mark.parametrize("deaf", [False, True])
def test_the_held_out_speaker_is_decoded_whole(
    workspace: Workspace, lexicon: Lexicon, decode_mode: str, deaf: bool
) -> None:
    students = FakeStudents(lexicon, deaf_to=(1,) if deaf else ())
    run = trained(workspace, students)

    result = evaluate(workspace, run, decode_mode, students=students)  # type: ignore[arg-type]

    expected = [u.utt_id for u in workspace.utterances if u.speaker == "bert"]
    assert [u.utt_id for u in result.utterances] == expected
    assert result.scores.correct == (0 if deaf else len(expected))
    following = dict(zip(lexicon.words, [*lexicon.words[1:], lexicon.words[0]], strict=True))
    for utterance in result.utterances:
        assert utterance.hypothesis == (following[utterance.reference] if deaf else utterance.reference)
        assert utterance.log_prob < 0
        assert utterance.confidence is not None
        assert 0.0 <= utterance.confidence <= 1.0


def test_the_results_file_holds_everything(workspace: Workspace, lexicon: Lexicon) -> None:
    students = FakeStudents(lexicon)
    run = trained(workspace, students)

    result = evaluate(workspace, run, "lexicon", students=students)

    row = read_json(results_path(run, "lexicon"))
    assert row["settings"]["held_out"] == "bert"
    assert row["settings"]["vocabulary_sha256"] == workspace.vocabulary.sha256
    assert (row["scores"]["correct"], row["scores"]["utterances"], row["scores"]["wra"]) == (50, 50, 100.0)
    assert row["by_speaker"]["bert"] == row["scores"]
    assert len(row["utterances"]) == 50
    assert EvaluationResult.load(results_path(run, "lexicon")) == result


@pytest.mark.parametrize("decode_mode", DECODE_MODES)
def test_confidence_is_calibrated_on_the_training_speakers_and_checked_on_the_held_out_one(
    workspace: Workspace, lexicon: Lexicon, decode_mode: DecodeMode
) -> None:
    students = FakeStudents(lexicon, deaf_to=(1,))  # deaf to bert alone, so validation is all right and bert all wrong
    run = trained(workspace, students)

    result = evaluate(workspace, run, decode_mode, students=students)

    known = [u for u in workspace.utterances if u.split == "valid" and u.speaker != "bert"]
    check = result.confidence
    assert check is not None
    assert (check.calibration["num_utterances"], check.calibration["num_correct"]) == (len(known), len(known))
    confidences = [u.confidence for u in result.utterances if u.confidence is not None]
    assert check.error_after == pytest.approx(sum(confidences) / 50)  # none is right: the error is the mean confidence
    stored = read_json(run / f"calibration-{decode_mode}.json")
    assert stored["calibration"] == check.calibration
    assert stored["fitted_on"] == check.fitted_on == "20 validation utterances of the training speakers"


def test_n_best_lists_are_stored_and_sum_to_one_over_the_lexicon(workspace: Workspace, lexicon: Lexicon) -> None:
    students = FakeStudents(lexicon)
    run = trained(workspace, students)
    options = DecodeOptions(nbest=10)

    result = evaluate(workspace, run, "lexicon", students=students, options=options)

    for utterance in result.utterances:
        assert utterance.n_best[0].text == utterance.hypothesis
        assert len({other.text for other in utterance.n_best}) == 10
        assert sum(other.confidence for other in utterance.n_best) == pytest.approx(1.0)
        assert utterance.n_best[0].confidence == utterance.confidence
        scores = [other.log_prob for other in utterance.n_best]
        assert scores == sorted(scores, reverse=True)
    path = results_path(run, "lexicon", options=options)
    assert path.name == "results-lexicon-nbest10.json"
    assert EvaluationResult.load(path) == result


def test_two_settings_of_a_mode_lie_side_by_side(
    workspace: Workspace, lexicon: Lexicon, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    students = FakeStudents(lexicon)
    run = trained(workspace, students)
    priors = tmp_path / "priors.tsv"
    priors.write_text("".join(f"{word}\t1\n" for word in lexicon.words), encoding="utf-8")

    def run_with(options: DecodeOptions) -> EvaluationResult:
        return evaluate(workspace, run, "lexicon", students=students, options=options)

    plain, first = run_with(DecodeOptions()), run_with(DecodeOptions(priors=priors))
    priors.write_text(priors.read_text(encoding="utf-8").replace("one\t1", "one\t2"), encoding="utf-8")
    second = run_with(DecodeOptions(priors=priors))

    assert len(list(run.glob("results-lexicon*.json"))) == 3
    assert plain.settings.options == {}
    assert first.settings.options != second.settings.options
    capsys.readouterr()
    assert run_with(DecodeOptions()) == plain
    assert "up to date" in capsys.readouterr().err


def test_results_from_before_there_was_confidence_are_readable_and_made_again(
    workspace: Workspace, lexicon: Lexicon
) -> None:
    students = FakeStudents(lexicon)
    run = trained(workspace, students)
    now = evaluate(workspace, run, "ctc", students=students)
    path = results_path(run, "ctc")
    row = read_json(path)
    del row["confidence"], row["settings"]["options"]
    for utterance in row["utterances"]:
        for later in ("confidence", "n_best", "production_id", "microphone", "band"):
            del utterance[later]
    write_json(path, row)

    old = EvaluationResult.load(path)
    assert (old.scores, old.confidence, old.utterances[0].confidence) == (now.scores, None, None)
    print_result(old)
    assert evaluate(workspace, run, "ctc", students=students) == now
    assert EvaluationResult.load(path) == now


def test_microphones_of_one_act_of_speaking_are_one_unit_without_the_manifest(
    workspace: Workspace, lexicon: Lexicon
) -> None:
    """Three training recordings of a word become one production at three microphones."""
    heard = [
        replace(u, production_id=f"{u.speaker} {u.text} {u.split}", microphone=f"M{u.utt_id[-1]}", band="LOW")
        for u in workspace.utterances
    ]
    write_manifest(workspace.manifest_path, heard)
    workspace = Workspace(workspace.root)
    students = FakeStudents(lexicon)
    run = trained(workspace, students)

    for decode_mode in ("ctc", "lexicon"):
        evaluate(workspace, run, decode_mode, students=students)

    found = compare([results_path(run, "ctc")], [results_path(run, "lexicon")], num_replicates=100)
    assert (found.speakers[0].utterances, found.speakers[0].productions) == (50, 30)
    report = score(results_path(run, "ctc"))
    assert set(report.groups["microphone"]) == {"M0", "M1", "M2", "M3", "M4"}
    assert set(report.groups["band"]) == {"LOW"}


def test_up_to_date_results_are_read(
    workspace: Workspace, lexicon: Lexicon, capsys: pytest.CaptureFixture[str]
) -> None:
    students = FakeStudents(lexicon)
    run = trained(workspace, students)
    first = evaluate(workspace, run, "ctc", students=students)
    built = students.built

    assert evaluate(workspace, run, "ctc", students=students) == first
    assert students.built == built
    assert "up to date" in capsys.readouterr().err

    evaluate(workspace, run, "ctc", students=students, force=True)
    assert students.built == built + 1
    with (run / "checkpoints" / "last.ckpt").open("ab") as file:
        file.write(b"\0" * 4)  # another checkpoint, still readable
    evaluate(workspace, run, "ctc", students=students)
    assert students.built == built + 2


def test_the_best_checkpoint_has_results_of_its_own(workspace: Workspace, lexicon: Lexicon) -> None:
    students = FakeStudents(lexicon)
    run = trained(workspace, students)
    evaluate(workspace, run, "ctc", students=students, checkpoint="best")
    assert results_path(run, "ctc", "best").exists()
    assert not results_path(run, "ctc").exists()


def test_runs_that_do_not_fit_are_refused(workspace: Workspace, lexicon: Lexicon) -> None:
    students = FakeStudents(lexicon)
    run = trained(workspace, students)

    with pytest.raises(ConfigError, match="'beam'"):
        evaluate(workspace, run, "beam", students=students)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="ctc does not use --beam"):
        evaluate(workspace, run, "ctc", students=students, options=DecodeOptions(beam=4))
    with pytest.raises(RunError, match="is not a run"):
        evaluate(workspace, workspace.root, "ctc", students=students)
    proof = run / "fold_proof.json"
    row = read_json(proof)
    write_json(proof, {**row, "held_out": "anna"})
    with pytest.raises(LeakError, match="anna was held out"):
        evaluate(workspace, run, "ctc", students=students)
    proof.unlink()
    with pytest.raises(RunError, match=r"fold_proof\.json does not exist"):
        evaluate(workspace, run, "ctc", students=students)
    write_json(proof, row)
    (run / "checkpoints" / "last.ckpt").unlink()
    settings = read_json(run / "config.json")
    write_json(run / "config.json", {**settings, "unlabelled": {"label_share": 0.1, "adapt": True}})
    again = "kdspeech train --held-out bert --mode labels --labels 0.1 --adapt-unlabelled --seed 0"
    with pytest.raises(RunError, match=rf"last\.ckpt does not exist.*`{again}`"):
        evaluate(workspace, run, "ctc", students=students)
    assert not list(run.glob("results-*"))


def test_another_vocabulary_is_refused(workspace: Workspace, lexicon: Lexicon) -> None:
    students = FakeStudents(lexicon)
    run = trained(workspace, students)
    Vocabulary.train(lexicon.words, size=30, model_type="char").save(workspace.vocabulary_dir)
    with pytest.raises(VocabularyError, match="uses vocabulary"):
        evaluate(Workspace(workspace.root), run, "ctc", students=students)


def test_another_manifest_is_refused(workspace: Workspace, lexicon: Lexicon) -> None:
    students = FakeStudents(lexicon)
    run = trained(workspace, students)
    write_manifest(workspace.manifest_path, workspace.utterances[:-1])
    with pytest.raises(RunError, match="was trained on manifest"):
        evaluate(Workspace(workspace.root), run, "ctc", students=students)


def test_a_corpus_without_word_list_has_no_lexicon_score(workspace: Workspace, lexicon: Lexicon) -> None:
    students = FakeStudents(lexicon)
    run = trained(workspace, students)
    workspace.lexicon_path.unlink()
    with pytest.raises(KdspeechError, match="no closed word list"):
        evaluate(Workspace(workspace.root), run, "lexicon", students=students)


@pytest.mark.parametrize(
    ("words", "warning"), [(("",) * 10, "all 50 hypotheses are empty"), (("one",) * 10, "are 'one': the model ignores")]
)
def test_a_collapsed_student_is_reported_loudly(
    workspace: Workspace, words: tuple[str, ...], warning: str, capsys: pytest.CaptureFixture[str]
) -> None:
    students = FakeStudents(Lexicon(("any",)))
    students.words = words
    run = trained(workspace, students)

    print_result(evaluate(workspace, run, "ctc", students=students))

    assert warning in capsys.readouterr().err
