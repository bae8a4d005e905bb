"""The teacher that is trained here: a SpeechBrain Conformer with a CTC head and an attention decoder.

`conformer.yaml` is the one definition of the architecture. A model folder holds hyperparams.yaml (sizes + that body),
asr.ckpt (weights) and tokenizer.ckpt (the SentencePiece model); SpeechBrain's own
`EncoderDecoderASR.from_hparams(source=folder)` loads it.
"""

import io
import math
import shutil
import tempfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import torch

from kdspeech.config import TeacherConfig
from kdspeech.errors import TeacherError
from kdspeech.files import sha256_of_file, sha256_of_text, write_text
from kdspeech.model_folders.teacher_folder import CARD_NAME, OWN_FOLDER, replacing_folder, write_teacher_card
from kdspeech.protocols import TeacherCard
from kdspeech.teachers.toolkits import import_speechbrain
from kdspeech.vocabulary import MODEL_NAME, Vocabulary

HYPERPARAMS_NAME = "hyperparams.yaml"
WEIGHTS_NAME = "asr.ckpt"
TOKENIZER_NAME = "tokenizer.ckpt"
INITIAL_ID = "initial"  # teacher_id of the checkpoint from which all start
_FRONT_END_CHANNELS = 32  # of the last convolution in conformer.yaml


def train_initial(config: TeacherConfig, vocabulary: Vocabulary, folder: Path, seed: int) -> None:
    """Writes the one untrained checkpoint from which every teacher starts.

    CTC models that start apart learn to spike at different frames, so that averaging them frame by frame fails; a
    common start aligns them (Kurata & Audhkhasi 2019, arXiv 1904.08311). Nothing is written where the folder already
    holds the checkpoint of these settings.
    """
    if (folder / CARD_NAME).exists() and starts_from(folder, config, vocabulary, seed):
        return
    text = hyperparams_text(config, vocabulary, seed)
    with replacing_folder(folder) as temporary:
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = build_model(text)["asr_model"]
        save_model(temporary, text, model, vocabulary)
        card = TeacherCard(
            INITIAL_ID, "speechbrain", OWN_FOLDER, (), own_checkpoint_sha256(temporary), vocabulary.sha256
        )
        write_teacher_card(temporary, card)


def starts_from(folder: Path, config: TeacherConfig, vocabulary: Vocabulary, seed: int) -> bool:
    """True if the folder's model has this architecture, vocabulary and seed."""
    return has_architecture(folder, config, vocabulary) and _read_hyperparams(folder) == hyperparams_text(
        config, vocabulary, seed
    )


def has_architecture(folder: Path, config: TeacherConfig, vocabulary: Vocabulary) -> bool:
    """True if the folder's model has this architecture and vocabulary, whatever its weights began with."""
    tokenizer = folder / TOKENIZER_NAME
    return (
        (folder / HYPERPARAMS_NAME).exists()
        and _without_seed(_read_hyperparams(folder)) == _without_seed(hyperparams_text(config, vocabulary, seed=0))
        and tokenizer.exists()
        and Vocabulary.load(tokenizer).sha256 == vocabulary.sha256
    )


def _read_hyperparams(folder: Path) -> str:
    return (folder / HYPERPARAMS_NAME).read_text(encoding="utf-8")


def _without_seed(hyperparams: str) -> list[str]:
    return [line for line in hyperparams.splitlines() if not line.startswith("seed:")]


def hyperparams_text(config: TeacherConfig, vocabulary: Vocabulary, seed: int) -> str:
    """The hyperparams.yaml of a model: its sizes, then the shared body."""
    second_stride = config.subsampling // 2
    bands = math.ceil(config.num_mels / config.subsampling)  # the convolutions stride over frequency as over time
    sizes = {
        "seed": seed,  # of the initial weights
        "output_neurons": vocabulary.size,
        "num_mels": config.num_mels,
        "second_stride": second_stride,
        "front_end_size": bands * _FRONT_END_CHANNELS,
        "d_model": config.d_model,
        "num_heads": config.num_heads,
        "encoder_layers": config.encoder_layers,
        "decoder_layers": config.decoder_layers,
        "feed_forward": config.feed_forward,
        "kernel_size": config.kernel_size,
        "dropout": config.dropout,
    }
    body = resources.files("kdspeech.teachers").joinpath("conformer.yaml").read_text(encoding="utf-8")
    return "".join(f"{key}: {value}\n" for key, value in sizes.items()) + "\n" + body


def build_model(hyperparams: str) -> dict[str, Any]:
    """Builds the modules that a hyperparams.yaml defines, with fresh weights.

    Returns:
        SpeechBrain's hparams dictionary; `asr_model` holds every weight.
    """
    import_speechbrain()
    from hyperpyyaml import load_hyperpyyaml

    hparams: dict[str, Any] = load_hyperpyyaml(io.StringIO(hyperparams))
    return hparams


def load_model(folder: Path) -> dict[str, Any]:
    """Builds a folder's modules and fills in its weights.

    Raises:
        TeacherError: a file is missing or the weights do not fit.
    """
    try:
        hparams = build_model((folder / HYPERPARAMS_NAME).read_text(encoding="utf-8"))
        weights = torch.load(folder / WEIGHTS_NAME, map_location="cpu", weights_only=True)
        hparams["asr_model"].load_state_dict(weights)
    except (OSError, RuntimeError) as error:
        raise TeacherError(f"{folder} does not hold a whole SpeechBrain model: {error}. Train it again.") from error
    return hparams


def save_model(folder: Path, hyperparams: str, asr_model: Any, vocabulary: Vocabulary) -> None:
    """Writes the three files of a model into an existing folder."""
    write_text(folder / HYPERPARAMS_NAME, hyperparams)
    torch.save(asr_model.state_dict(), folder / WEIGHTS_NAME)
    with tempfile.TemporaryDirectory() as tokenizer:
        vocabulary.save(Path(tokenizer))
        shutil.copyfile(Path(tokenizer) / MODEL_NAME, folder / TOKENIZER_NAME)


def checkpoint_sha256(hyperparams: Path, parts: Mapping[str, Path]) -> str:
    """Identifies a SpeechBrain model by its hyperparams.yaml and what its pretrainer loads, by name."""
    hashes = (f"{name} {sha256_of_file(path)}" for name, path in sorted(parts.items()))
    return sha256_of_text("\n".join((sha256_of_file(hyperparams), *hashes)))


def own_checkpoint_sha256(folder: Path) -> str:
    """`checkpoint_sha256` of a folder that `save_model` wrote."""
    parts = {"asr": folder / WEIGHTS_NAME, "tokenizer": folder / TOKENIZER_NAME}
    return checkpoint_sha256(folder / HYPERPARAMS_NAME, parts)
