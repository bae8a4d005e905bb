"""`evaluate`: decodes the held-out speaker with a trained student and writes every utterance beside the run."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from kdspeech import console
from kdspeech.choices import DECODE_MODES, DEFAULT_CHECKPOINT, Checkpoint, DecodeMode
from kdspeech.corpora.utterance import Utterance
from kdspeech.decoding.autoregressive import greedy_decoder
from kdspeech.decoding.ctc import greedy_ctc
from kdspeech.decoding.hypothesis import Hypothesis
from kdspeech.decoding.lexicon import LexiconScorer
from kdspeech.errors import ConfigError, LeakError, RunError
from kdspeech.evaluation.results import DecodedUtterance, EvaluationResult, EvaluationSettings
from kdspeech.files import read_json, sha256_of_file
from kdspeech.protocols import Encoded, Student, StudentFamily
from kdspeech.runs import RunFolder, load_student
from kdspeech.scoring.score import normalise
from kdspeech.supervision import variant_of
from kdspeech.training.batches import AudioCache, Collator, EpochBatches, UtteranceDataset
from kdspeech.workspace import Workspace

_BATCH = 64  # utterances decoded at a time

Decoder = Callable[[Encoded], list[Hypothesis]]


def results_path(run: Path, decode_mode: str, checkpoint: Checkpoint = DEFAULT_CHECKPOINT) -> Path:
    """Where an evaluation is written."""
    suffix = "" if checkpoint == DEFAULT_CHECKPOINT else f"-{checkpoint}"
    return run / f"results-{decode_mode}{suffix}.json"


def evaluate(
    workspace: Workspace,
    run: Path,
    decode_mode: DecodeMode,
    *,
    students: StudentFamily,
    checkpoint: Checkpoint = DEFAULT_CHECKPOINT,
    force: bool = False,
) -> EvaluationResult:
    """Scores a run's student on its held-out speaker and writes `results-<decode mode>.json` into the run folder.

    Results of the same checkpoint on the same data are read instead of made again.

    Args:
        run: run folder; it may be unfinished as long as it has the checkpoint.
        decode_mode: ctc (greedy), decoder (autoregressive, bounded by the audio) or lexicon (scored by CTC).
        checkpoint: the last epoch's, or the best on the training speakers' held-back productions.

    Raises:
        ConfigError: unknown decode mode.
        RunError: the run, its checkpoint or its fold proof is missing, or it was trained on another manifest.
        LeakError: the fold proof is of another held-out speaker.
        VocabularyError: the run was trained with another vocabulary than the workspace's.
        KdspeechError: decode mode `lexicon` without a lexicon.
    """
    if decode_mode not in DECODE_MODES:
        raise ConfigError(f"unknown decode mode {decode_mode!r}; expected {', '.join(DECODE_MODES)}.")
    settings = _settings(workspace, RunFolder(run), decode_mode, checkpoint)
    path = results_path(run, decode_mode, checkpoint)
    if path.exists() and not force:
        done = EvaluationResult.load(path)
        if done.settings == settings:
            console.remark(f"{path} is up to date: skipped. Redo it with --force.")
            return done
    utterances = [u for u in workspace.utterances if u.speaker == settings.held_out]
    student = load_student(run, students, checkpoint)
    hypotheses = decode_utterances(student, utterances, make_decoder(workspace, student, decode_mode))
    result = EvaluationResult(settings, tuple(_decoded(u, hypotheses[u.utt_id]) for u in utterances))
    result.save(path)
    return result


def make_decoder(workspace: Workspace, student: Student, decode_mode: DecodeMode) -> Decoder:
    """What turns an encoded batch into hypotheses."""
    if decode_mode == "decoder":
        return lambda encoded: greedy_decoder(student, encoded, encoded.num_frames)
    if decode_mode == "ctc":
        return lambda encoded: greedy_ctc(student.ctc_log_probs(encoded), encoded.num_frames, student.vocabulary)
    scorer = LexiconScorer(workspace.lexicon, student.vocabulary)
    return lambda encoded: scorer.decode(student.ctc_log_probs(encoded), encoded.num_frames)


@torch.inference_mode()
def decode_utterances(student: Any, utterances: Sequence[Utterance], decoder: Decoder) -> Mapping[str, Hypothesis]:
    """Decodes recordings in batches of similar length, on a GPU where there is one.

    Args:
        student: a torch.nn.Module that is a `Student`.

    Returns:
        utterance id -> hypothesis.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    student.to(device).eval()
    dataset = UtteranceDataset(utterances, student.vocabulary, AudioCache(max_bytes=0))
    collate = Collator(student.vocabulary)
    hypotheses: dict[str, Hypothesis] = {}
    with console.progress("Decoding utterances", len(utterances)) as bar:
        for draws in EpochBatches(utterances, _BATCH, seed=0, shuffle=False):
            batch = collate([dataset[draw] for draw in draws])
            encoded = student.encode(batch.waveforms.to(device), batch.lengths.to(device))
            hypotheses.update(zip(batch.utt_ids, decoder(encoded), strict=True))
            bar.advance(len(draws))
    return hypotheses


def _settings(workspace: Workspace, run: RunFolder, decode_mode: str, checkpoint: Checkpoint) -> EvaluationSettings:
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
        raise RunError(
            f"{weights} does not exist: the run has not finished an epoch. Run `kdspeech train --held-out {held_out} "
            f"--mode {config['mode']} --seed {config['seed']}`."
        )
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
    )
