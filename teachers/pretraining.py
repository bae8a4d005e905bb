"""A trained start for all teachers: the same Conformer, taught by synthetic voices."""

from collections.abc import Sequence
from pathlib import Path

import torch

from kdspeech.config import TeacherConfig
from kdspeech.model_folders.teacher_folder import LOG_NAME, OWN_FOLDER, replacing_folder, write_teacher_card
from kdspeech.protocols import TeacherCard
from kdspeech.teachers.conformer import (
    HYPERPARAMS_NAME,
    INITIAL_ID,
    load_model,
    own_checkpoint_sha256,
    save_model,
    train_initial,
)
from kdspeech.teachers.conformer_training import Trainer
from kdspeech.teachers.examples import load_examples
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary

_PROGRESS_NAME = "progress.ckpt"


def pretrain_initial(
    config: TeacherConfig,
    vocabulary: Vocabulary,
    folder: Path,
    work: Path,
    train: Sequence[Utterance],
    valid: Sequence[Utterance],
    seed: int,
) -> None:
    """Writes a checkpoint from which every teacher can start, trained on voices of no speaker.

    A common start aligns the frames at which CTC models spike, a trained one more so (Kurata & Audhkhasi 2019,
    arXiv 1904.08311).

    Args:
        folder: gets the model, `teacher.json` last.
        work: where a killed training left its state; it goes on from there.

    Raises:
        TeacherError: a recording is too short for its transcript, or the loss is not finite.
    """
    train_initial(config, vocabulary, work / "random", seed)
    hparams = load_model(work / "random")
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        Trainer(INITIAL_ID, config, hparams, seed).fit(
            load_examples(INITIAL_ID, train, vocabulary, config.subsampling, config.speeds),
            load_examples(INITIAL_ID, valid, vocabulary, config.subsampling),
            work / LOG_NAME,
            work / _PROGRESS_NAME,
        )
    with replacing_folder(folder) as temporary:
        hyperparams = (work / "random" / HYPERPARAMS_NAME).read_text(encoding="utf-8")
        save_model(temporary, hyperparams, hparams["asr_model"], vocabulary)
        checkpoint = own_checkpoint_sha256(temporary)
        write_teacher_card(
            temporary, TeacherCard(INITIAL_ID, "speechbrain", OWN_FOLDER, (), checkpoint, vocabulary.sha256)
        )
