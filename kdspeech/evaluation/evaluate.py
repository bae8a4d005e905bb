"""`evaluate`: decodes the held-out speaker with a trained student and writes every utterance beside the run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import torch

from kdspeech import console
from kdspeech.choices import DECODE_MODES, DEFAULT_CHECKPOINT, Checkpoint, DecodeMode
from kdspeech.decoding.calibration import expected_calibration_error
from kdspeech.decoding.options import DEFAULT_OPTIONS, DecodeOptions, resolve, settings_of, slug
from kdspeech.decoding.recogniser import make_recogniser
from kdspeech.errors import ConfigError, LeakError, RunError
from kdspeech.evaluation.results import (
    Alternative,
    ConfidenceCheck,
    DecodedUtterance,
    EvaluationResult,
    EvaluationSettings,
)
from kdspeech.files import read_json, sha256_of_file, write_json
from kdspeech.heads import of_run, taught_heads, untaught
from kdspeech.hypothesis import Hypothesis
from kdspeech.model_folders.runs import RunFolder, load_student
from kdspeech.protocols import DecodableStudents, Encoded
from kdspeech.scoring.score import normalise
from kdspeech.supervision import supervision_of, train_command, variant_of
from kdspeech.training.batches import Collator
from kdspeech.training.recordings import AudioCache, EpochBatches, UtteranceDataset
from kdspeech.utterance import Utterance
from kdspeech.workspace import Workspace

_PREFIX = "results-"  # of the files' names
_BATCH = 64  # utterances decoded at a time

Finding = TypeVar("Finding")


def results_path(
    run: Path,
    decode_mode: DecodeMode,
    checkpoint: Checkpoint = DEFAULT_CHECKPOINT,
    options: DecodeOptions = DEFAULT_OPTIONS,
) -> Path:
    """Where an evaluation is written; what differs from the mode's defaults stands in the name."""
    suffix = "" if checkpoint == DEFAULT_CHECKPOINT else f"-{checkpoint}"
    return run / f"{_PREFIX}{decode_mode}{slug(settings_of(decode_mode, resolve(decode_mode, options)))}{suffix}.json"


def stored_results(run: RunFolder) -> tuple[dict[str, EvaluationResult], tuple[str, ...]]:
    """A run's evaluations as they stand in its folder.

    Returns:
        Those of the checkpoints that are there now, by the rest of the file's name (ctc, joint-beam8-best), and the
        names of the files of earlier ones.

    Raises:
        RunError: a file of another form.
    """
    hashes: dict[str, str] = {}
    results, stale = {}, []
    for path in sorted(run.path.glob(f"{_PREFIX}*.json")):
        result = EvaluationResult.load(path)
        checkpoint = result.settings.checkpoint or DEFAULT_CHECKPOINT
        weights = run.checkpoints_dir / f"{checkpoint}.ckpt"
        if checkpoint not in hashes:
            hashes[checkpoint] = sha256_of_file(weights) if weights.exists() else ""
        if hashes[checkpoint] not in ("", result.settings.checkpoint_sha256):
            stale.append(path.name)
        else:
            results[path.stem.removeprefix(_PREFIX)] = result
    return results, tuple(stale)


def evaluate(
    workspace: Workspace,
    run: Path,
    decode_mode: DecodeMode,
    *,
    students: DecodableStudents,
    options: DecodeOptions = DEFAULT_OPTIONS,
    checkpoint: Checkpoint = DEFAULT_CHECKPOINT,
    force: bool = False,
) -> EvaluationResult:
    """Scores a run's student on its held-out speaker and writes `results-<decode mode>.json` into the run folder.

    Confidences are calibrated on the validation productions of the training speakers, never on the held-out speaker;
    `calibration-<decode mode>.json` beside the results keeps the fit.

    Results of the same checkpoint on the same data are read instead of made again.

    Args:
        run: run folder; it may be unfinished as long as it has the checkpoint.
        decode_mode: ctc (greedy), ctc-beam, decoder (autoregressive, bounded by the audio), joint (both heads) or
            lexicon (scored by CTC).
        options: of the decode mode; what differs from its defaults stands in the file's name.
        checkpoint: the last epoch's, or the best on the training speakers' held-back productions.

    Raises:
        ConfigError: unknown decode mode, or options that it does not use.
        RunError: the run, its checkpoint or its fold proof is missing, or it was trained on another manifest.
        LeakError: the fold proof is of another held-out speaker.
        VocabularyError: the run was trained with another vocabulary than the workspace's.
        KdspeechError: decode mode `lexicon` without a lexicon.
    """
    if decode_mode not in DECODE_MODES:
        raise ConfigError(f"unknown decode mode {decode_mode!r}; expected {', '.join(DECODE_MODES)}.")
    resolved = resolve(decode_mode, options)
    settings = _settings(workspace, RunFolder(run), decode_mode, checkpoint, settings_of(decode_mode, resolved))
    path = results_path(run, decode_mode, checkpoint, options)
    if path.exists() and not force:
        done = EvaluationResult.load(path)
        if done.settings == settings:
            console.remark(f"{path} is up to date: skipped. Redo it with --force.")
            return done
    if deaf := untaught(decode_mode, taught_heads(of_run(RunFolder(run).config()))):
        console.warn(
            f"no loss of {run} teaches its {' and '.join(sorted(deaf))} head: by {decode_mode} it answers at random, "
            "or as the checkpoint did that it started from. Choose another --decode-mode."
        )
    student = load_student(run, students, checkpoint)
    recogniser = make_recogniser(student, decode_mode, resolved, searches=students, lexicon=lambda: workspace.lexicon)
    known = _calibration_set(workspace, RunFolder(run), settings.held_out)
    findings = decode_utterances(student, known, recogniser.search)
    calibration = recogniser.calibrate([findings[u.utt_id] for u in known], [u.text for u in known])
    utterances = [u for u in workspace.utterances if u.speaker == settings.held_out]
    findings = decode_utterances(student, utterances, recogniser.search)
    before = [recogniser.hypothesis(findings[u.utt_id]) for u in utterances]
    after = [recogniser.hypothesis(findings[u.utt_id], calibration) for u in utterances]
    decoded = tuple(_decoded(*pair) for pair in zip(utterances, after, strict=True))
    correct = [u.correct for u in decoded]
    check = ConfidenceCheck(
        calibration=calibration.to_dict(),
        fitted_on=f"{len(known)} validation utterances of the training speakers",
        error_before=expected_calibration_error([h.confidence for h in before], correct),
        error_after=expected_calibration_error([h.confidence for h in after], correct),
    )
    write_json(run / path.name.replace(_PREFIX, "calibration-", 1), {**asdict(check), "settings": asdict(settings)})
    result = EvaluationResult(settings, decoded, check)
    result.save(path)
    return result


def _calibration_set(workspace: Workspace, run: RunFolder, held_out: str) -> list[Utterance]:
    """Held-back productions of the fold's training speakers, by which the run was validated, whomever it heard."""
    speakers = set(read_json(run.proof_path)["training_speakers"]) - {held_out}
    return [u for u in workspace.utterances if u.split == "valid" and u.speaker in speakers]


@torch.inference_mode()
def decode_utterances(
    student: Any, utterances: Sequence[Utterance], search: Callable[[Encoded], list[Finding]]
) -> Mapping[str, Finding]:
    """Decodes recordings in batches of similar length, on a GPU where there is one.

    Args:
        student: a torch.nn.Module that is a `Student`.
        search: what is found in a batch, one finding for each utterance.

    Returns:
        utterance id -> finding.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    student.to(device).eval()
    dataset = UtteranceDataset(utterances, student.vocabulary, AudioCache(max_bytes=0))
    collate = Collator(student.vocabulary)
    findings: dict[str, Finding] = {}
    with console.progress("Decoding utterances", len(utterances)) as bar:
        for draws in EpochBatches(utterances, _BATCH, seed=0, shuffle=False):
            batch = collate([dataset[draw] for draw in draws])
            encoded = student.encode(batch.waveforms.to(device), batch.lengths.to(device))
            findings.update(zip(batch.utt_ids, search(encoded), strict=True))
            bar.advance(len(draws))
    return findings


def _settings(
    workspace: Workspace, run: RunFolder, decode_mode: DecodeMode, checkpoint: Checkpoint, options: Mapping[str, Any]
) -> EvaluationSettings:
    """What will be decoded, after all checks of the run against the workspace."""
    config = run.config()
    held_out, inputs = config["held_out"], config["inputs"]
    _check_proof(run, held_out)
    workspace.check_speakers([held_out])
    workspace.vocabulary.check_same(inputs["vocabulary"], f"run {run.path}")
    manifest_sha256 = sha256_of_file(workspace.manifest_path)
    if inputs["manifest"] != manifest_sha256:
        raise RunError(
            f"{run.path} was trained on manifest {inputs['manifest'][:12]}, {workspace.manifest_path} is now "
            f"{manifest_sha256[:12]}: its fold proof does not hold for these utterances. Train it "
            "again."
        )
    weights = run.checkpoints_dir / f"{checkpoint}.ckpt"
    if not weights.exists():
        again = train_command(held_out, config["mode"], supervision_of(config), config["seed"])
        raise RunError(f"{weights} does not exist: the run has not finished an epoch. Run `{again}`.")
    return EvaluationSettings(
        held_out=held_out,
        mode=variant_of(config),
        seed=config["seed"],
        recipe=config["recipe"],
        decode_mode=decode_mode,
        checkpoint=checkpoint,
        checkpoint_sha256=sha256_of_file(weights),
        vocabulary_sha256=workspace.vocabulary.sha256,
        manifest_sha256=manifest_sha256,
        lexicon_sha256=workspace.lexicon.sha256 if decode_mode == "lexicon" else None,
        options=options,
    )


def _check_proof(run: RunFolder, held_out: str) -> None:
    if not run.proof_path.exists():
        raise RunError(
            f"{run.proof_path} does not exist: nothing shows that this run never met {held_out}. Train it again with "
            "`kdspeech train`."
        )
    proven = read_json(run.proof_path)["held_out"]
    if proven != held_out:
        raise LeakError(
            f"{run.proof_path} proves that {proven} was held out, the run's settings say {held_out}. Train it again."
        )


def _decoded(utterance: Utterance, hypothesis: Hypothesis) -> DecodedUtterance:
    return DecodedUtterance(
        utt_id=utterance.utt_id,
        speaker=utterance.speaker,
        word_type=utterance.word_type,
        block=utterance.block,
        reference=utterance.text,
        hypothesis=hypothesis.text,
        correct=normalise(utterance.text) == normalise(hypothesis.text),
        log_prob=hypothesis.log_prob,
        confidence=hypothesis.confidence,
        n_best=tuple(Alternative(h.text, h.log_prob, h.confidence) for h in hypothesis.n_best),
        production_id=utterance.production_id,
        microphone=utterance.microphone,
        band=utterance.band,
    )
