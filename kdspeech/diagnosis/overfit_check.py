"""Can the student learn anything at all? A fresh one must get a handful of utterances by heart within a minute."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from lightning.fabric.utilities import move_data_to_device

from kdspeech.config import StageConfig, StudentConfig
from kdspeech.diagnosis.case import Case, spread
from kdspeech.diagnosis.finding import Finding
from kdspeech.errors import KdspeechError
from kdspeech.files import read_json
from kdspeech.losses import WeightedSum
from kdspeech.model_folders.pretrained import resolve_student
from kdspeech.training.batches import Batch, Collator
from kdspeech.training.movement import Movement
from kdspeech.training.recordings import AudioCache, Draw, UtteranceDataset
from kdspeech.training.stages import build_optimizer, prepare_parts
from kdspeech.training.terms import TermSettings, listen, loss_terms
from kdspeech.training.validation import Validation, ValidationResult

CHECK = "overfit one batch"
_UTTERANCES = 16
_MAX_STEPS = 400
_MAX_BUSY_S, _MAX_SECONDS = 90.0, 300.0  # of this thread's processor, and by the clock: others may use the machine
_FEW_STEPS = 100  # fewer, because the time was up, prove nothing
_EVERY = 20  # steps between two decodings of the batch
_WARMUP = 20  # steps
_ENOUGH = 90.0  # % WRA on the batch
_CLEAR_FALL = 0.5  # of the loss: it learns, if slowly


@dataclass(frozen=True)
class _Fit:
    """How far a fresh student came."""

    steps: int
    seconds: float
    learning_rate: float
    first_loss: float
    last_loss: float
    valid: ValidationResult  # on the batch itself
    frozen: tuple[str, ...]  # parts that did not move at all

    @property
    def enough(self) -> bool:
        return self.valid.ctc_wra >= _ENOUGH and (self.valid.decoder_wra is None or self.valid.decoder_wra >= _ENOUGH)


def check_overfit(case: Case) -> Finding:
    """Trains a fresh student of the run's settings on 16 utterances until it has them, without regularisation."""
    fit = _fit(case)
    heads = f"CTC {fit.valid.ctc_wra:.0f} %"
    if fit.valid.decoder_wra is not None:
        heads += f", decoder {fit.valid.decoder_wra:.0f} %"
    evidence = (
        f"{heads} of {fit.valid.total} utterances after {fit.steps} steps ({fit.seconds:.0f} s), loss "
        f"{fit.first_loss:.2f} -> {fit.last_loss:.2f}"
    )
    numbers = {
        "ctc_wra": fit.valid.ctc_wra,
        "decoder_wra": fit.valid.decoder_wra,
        "steps": fit.steps,
        "seconds": round(fit.seconds, 1),
        "learning_rate": fit.learning_rate,
        "first_loss": fit.first_loss,
        "last_loss": fit.last_loss,
        "parts that did not move": list(fit.frozen),
    }
    if fit.frozen:
        return Finding(
            CHECK,
            "fail",
            evidence,
            f"No gradient reaches the {' and the '.join(fit.frozen)}, although all parts were to train.",
            "Look for a detach(), a no_grad() or a frozen parameter in the student.",
            f"frozen {fit.frozen[0]}",
            numbers=numbers,
        )
    if fit.enough:
        return Finding(CHECK, "ok", evidence, "Student, losses and decoding work together.", numbers=numbers)
    learns = fit.last_loss <= _CLEAR_FALL * fit.first_loss or fit.steps < _FEW_STEPS
    return Finding(
        CHECK,
        "warn" if learns else "fail",
        evidence,
        "In the time given a fresh student does not get one batch by heart: it learns slowly, or this machine is slow."
        if learns
        else "A fresh student cannot even get one batch by heart: more data and longer training will not help.",
        "Try another learning rate or a smaller student.encoder_config.subsampling_factor; look at the audio and texts "
        "of these utterances.",
        "a student that cannot learn one batch",
        numbers=numbers,
    )


def _fit(case: Case) -> _Fit:
    started, busy = time.monotonic(), time.thread_time()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    student, batch = _fresh_student(case).to(device), _one_batch(case, device)
    stage = _all_parts(case, student)
    prepare_parts(student, stage)
    before, optimizer = Movement(student), build_optimizer(student, stage)
    loss = WeightedSum({"ctc": 0.5, "cross_entropy": 0.5} if case.has_decoder else {"ctc": 1.0})
    losses: list[float] = []
    valid = _decode(student, batch, case.has_decoder)
    with _regular_gradients(case.config["seed"]):
        while len(losses) < _MAX_STEPS and not _time_is_up(started, busy):
            _train_mode(student)
            rate = stage.learning_rate * min(1.0, (len(losses) + 1) / _WARMUP)
            for group in optimizer.param_groups:
                group["lr"] = rate
            heard = listen(student, batch, loss.terms)
            total = loss(loss_terms(loss.terms, heard, TermSettings(student.vocabulary.blank_id))).total
            optimizer.zero_grad()
            total.backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), case.recipe.training.gradient_clip)
            optimizer.step()
            losses.append(float(total.detach()))
            if len(losses) % _EVERY == 0:
                valid = _decode(student, batch, case.has_decoder)
                if valid.ctc_wra >= _ENOUGH and (valid.decoder_wra is None or valid.decoder_wra >= _ENOUGH):
                    break
    moved = before.of(student)
    frozen = tuple(name for name in stage.train if moved[name].weights == 0)
    seconds = time.monotonic() - started
    return _Fit(len(losses), seconds, stage.learning_rate, losses[0], losses[-1], valid, frozen)


def _time_is_up(started: float, busy: float) -> bool:
    return time.thread_time() - busy > _MAX_BUSY_S or time.monotonic() - started > _MAX_SECONDS


def _fresh_student(case: Case) -> Any:
    """As the run started, without augmentation and the decoder's dropout; from random weights if its start is gone."""
    try:
        config = resolve_student(case.workspace, case.recipe.student)
    except KdspeechError:
        config = StudentConfig.model_validate(read_json(case.run.student_path))
    plain = config.model_copy(update={"spec_augment": None, "vocal_tract": None, "decoder_dropout": 0.0})
    return case.students.build_student(plain, case.workspace.vocabulary, case.config["seed"])


def _one_batch(case: Case, device: torch.device) -> Batch:
    vocabulary = case.workspace.vocabulary
    utterances = spread(case.fold.train, _UTTERANCES)
    dataset = UtteranceDataset(utterances, vocabulary, AudioCache(max_bytes=0))
    batch = Collator(vocabulary)([dataset[Draw(number, 1.0)] for number in range(len(utterances))])
    return move_data_to_device(batch, device)


def _all_parts(case: Case, student: Any) -> StageConfig:
    """The run's stage with the highest learning rate, all parts that a loss reaches trained."""
    stage = max(case.recipe.stages, key=lambda stage: stage.learning_rate)
    parts = [name for name in student.parts() if name != "decoder" or case.has_decoder]
    return stage.model_copy(update={"train": tuple(parts), "weight_decay": 0.0})


@contextmanager
def _regular_gradients(seed: int) -> Iterator[None]:
    """Random numbers of its own, so that the check gives the same each time and disturbs nobody."""
    with torch.random.fork_rng(), torch.enable_grad():
        torch.manual_seed(seed)
        yield


def _train_mode(student: Any) -> None:
    """BatchNorm learns, dropout rests: it would only make learning by heart slow."""
    student.train()
    for module in student.modules():
        if isinstance(module, torch.nn.Dropout):
            module.eval()


def _decode(student: Any, batch: Batch, with_decoder: bool) -> ValidationResult:
    student.eval()
    validation = Validation(with_decoder)
    validation.add(student, batch)
    return validation.result()
