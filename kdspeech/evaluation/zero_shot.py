"""The student's published encoder as it comes, with its own CTC head and vocabulary."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from kdspeech import console
from kdspeech.audio import load_audio
from kdspeech.choices import DecodeMode
from kdspeech.decoding.ctc import greedy_ctc
from kdspeech.decoding.lexicon import LexiconScorer
from kdspeech.errors import TeacherError, VocabularyError
from kdspeech.files import read_json, sha256_of_text, write_json
from kdspeech.lexicon import Lexicon
from kdspeech.model_folders.teacher_folder import CARD_NAME, read_teacher_card
from kdspeech.protocols import Teacher, TeacherRegistry
from kdspeech.scoring.score import Scores, score_texts
from kdspeech.utterance import Utterance
from kdspeech.workspace import Workspace

_BATCH = 32  # utterances scored at a time

Texts = dict[str, dict[str, str]]  # decode mode -> utterance id -> text


def zero_shot(
    workspace: Workspace, encoder: str, teachers: TeacherRegistry, folds: Sequence[str]
) -> dict[str, dict[DecodeMode, Scores]] | None:
    """Scores an encoder on every held-out speaker; texts are kept in `reports/zero-shot` and made once.

    Args:
        encoder: .nemo file or published name.

    Returns:
        By held-out speaker and decode mode: greedy, and lexicon where the encoder's pieces spell the words. None, with
        a warning, if the encoder has no CTC head.
    """
    folder = _folder(workspace)
    try:
        teachers.register_teacher("zero-shot", f"nemo:{encoder}", folder)
        teacher = teachers.load_teacher(folder)
        return {fold: _fold_scores(workspace, teacher, fold) for fold in folds}
    except TeacherError as error:
        console.warn(f"no zero-shot row: {error}")
        return None


def _fold_scores(workspace: Workspace, teacher: Teacher, fold: str) -> dict[DecodeMode, Scores]:
    utterances = _spoken_by(workspace, fold)
    lexicon = workspace.lexicon if workspace.has_lexicon else None
    texts = _texts(_path(workspace, fold), teacher, utterances, lexicon)
    references = {u.utt_id: u.text for u in utterances}
    modes: tuple[DecodeMode, ...] = ("ctc", "lexicon")
    return {mode: score_texts(references, texts[mode]) for mode in modes if mode in texts}


def starting_checkpoint(workspace: Workspace, config: Mapping[str, Any]) -> str | None:
    """SHA-256 of the encoder from which the run of this config.json started.

    None from scratch, and for a published name unless it is the one that `zero_shot` has scored last.
    """
    name, checkpoint_sha256 = config["student"].get("encoder"), config["inputs"].get("encoder")
    if checkpoint_sha256 is None and name is not None and (_folder(workspace) / CARD_NAME).exists():
        card = read_teacher_card(_folder(workspace))
        checkpoint_sha256 = card.checkpoint_sha256 if card.source == name else None
    return None if checkpoint_sha256 is None else str(checkpoint_sha256)


def kept_zero_shot(workspace: Workspace, held_out: str, checkpoints: Collection[str | None]) -> Texts:
    """The texts that `zero_shot` kept of a speaker's recordings as they are now; none if it was not run on them.

    Args:
        checkpoints: of `starting_checkpoint`; what another encoder heard is not asked for.
    """
    path, utterances = _path(workspace, held_out), _spoken_by(workspace, held_out)
    if not path.exists():
        return {}
    row = read_json(path)
    made_of = row["made_of"]
    fits = made_of["utterances_sha256"] == _digest(utterances) and made_of["checkpoint_sha256"] in checkpoints
    texts: Texts = row["texts"] if fits else {}
    return texts


def _folder(workspace: Workspace) -> Path:
    return workspace.root / "teachers" / "zero-shot"


def _path(workspace: Workspace, fold: str) -> Path:
    return workspace.reports_dir / "zero-shot" / f"{fold}.json"


def _spoken_by(workspace: Workspace, speaker: str) -> list[Utterance]:
    return [u for u in workspace.utterances if u.speaker == speaker]


def _digest(utterances: Sequence[Utterance]) -> str:
    return sha256_of_text("\n".join(f"{u.utt_id}\t{u.audio_sha256}" for u in utterances))


def _texts(path: Path, teacher: Teacher, utterances: Sequence[Utterance], lexicon: Lexicon | None) -> Texts:
    """Reads the texts if they were made of the same, else makes and writes them."""
    made_of = {
        "checkpoint_sha256": teacher.card.checkpoint_sha256,
        "lexicon_sha256": lexicon.sha256 if lexicon else None,
        "utterances_sha256": _digest(utterances),
    }
    if path.exists() and (row := read_json(path))["made_of"] == made_of:
        texts: Texts = row["texts"]
        return texts
    texts = decode_zero_shot(teacher, utterances, lexicon)
    write_json(path, {"made_of": made_of, "texts": texts})
    return texts


def decode_zero_shot(teacher: Teacher, utterances: Sequence[Utterance], lexicon: Lexicon | None) -> Texts:
    """Decodes recordings greedily and, if the model's pieces spell the lexicon, by lexicon.

    Raises:
        TeacherError: the model gives no CTC log-probs.
    """
    scorer = _scorer(teacher, lexicon)
    texts: Texts = {"ctc": {}, **({"lexicon": {}} if scorer else {})}
    with console.progress("Zero-shot encoder", len(utterances)) as bar:
        for start in range(0, len(utterances), _BATCH):
            part = utterances[start : start + _BATCH]
            for utt_id, log_probs in _ctc_log_probs(teacher, part).items():
                num_frames = torch.tensor([log_probs.shape[1]])
                texts["ctc"][utt_id] = greedy_ctc(log_probs, num_frames, teacher.vocabulary)[0].text
                if scorer:
                    texts["lexicon"][utt_id] = scorer.decode(log_probs, num_frames)[0].text
            bar.advance(len(part))
    return texts


def _ctc_log_probs(teacher: Teacher, utterances: Sequence[Utterance]) -> Mapping[str, torch.Tensor]:
    """[1, T, V+1] of each utterance."""
    waveforms = [load_audio(u.audio_filepath) for u in utterances]
    log_probs = {}
    for utterance, scores in zip(utterances, teacher.score(waveforms, [[] for _ in utterances]), strict=True):
        if scores.ctc_log_probs is None:
            raise TeacherError(f"{teacher.card.source} gives no CTC log-probs; name an encoder with a CTC head.")
        log_probs[utterance.utt_id] = torch.from_numpy(scores.ctc_log_probs)[None]
    return log_probs


def _scorer(teacher: Teacher, lexicon: Lexicon | None) -> LexiconScorer | None:
    try:
        return LexiconScorer(lexicon, teacher.vocabulary) if lexicon else None
    except VocabularyError as error:
        console.remark(f"{teacher.card.source} has no lexicon score: {error}")
        return None
