"""The utterance and the manifest: NeMo's JSON Lines with this project's extra keys."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from kdspeech.errors import ManifestError
from kdspeech.files import write_text

SPLITS = ("train", "valid", "test")
_REQUIRED = ("utt_id", "audio_filepath", "duration", "text", "speaker", "split")


@dataclass(frozen=True)
class Utterance:
    """One recording of one text by one speaker."""

    utt_id: str  # unique in the manifest
    audio_filepath: str  # absolute path
    duration: float  # seconds
    text: str  # reference transcript, normalised to the vocabulary's case
    speaker: str
    split: str  # train, valid (held-back productions) or test
    production_id: str = ""  # recordings of one act of speaking share it (several microphones)
    word_type: str = ""  # for example UASpeech's CW, UW, D, L, C
    block: str = ""
    microphone: str = ""
    band: str = ""  # intelligibility band of the speaker
    audio_sha256: str = ""  # of the file's bytes; finds one recording under two names


def write_manifest(path: Path, utterances: Iterable[Utterance]) -> None:
    """Writes a manifest atomically, one JSON object a line."""
    write_text(path, "".join(json.dumps(asdict(u), ensure_ascii=False) + "\n" for u in utterances))


def read_manifest(path: Path) -> list[Utterance]:
    """Reads a manifest that `kdspeech prepare` wrote.

    Raises:
        ManifestError: the file is missing, a line is not an utterance, or an utterance id stands twice.
    """
    if not path.exists():
        raise ManifestError(f"{path} does not exist. Run `kdspeech prepare` first.")
    known = {field.name for field in fields(Utterance)}
    utterances: list[Utterance] = []
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, start=1):
            try:
                row = json.loads(line)
            except json.JSONDecodeError as error:
                raise ManifestError(f"{path}, line {number}: not JSON ({error.msg}).") from error
            if not isinstance(row, dict):
                raise ManifestError(f"{path}, line {number}: expected a JSON object, found {type(row).__name__}.")
            missing = [key for key in _REQUIRED if key not in row]
            if missing:
                raise ManifestError(
                    f"{path}, line {number}: no {', '.join(missing)}. "
                    f"Import it with `kdspeech prepare manifest {path}`."
                )
            utterances.append(Utterance(**{key: value for key, value in row.items() if key in known}))
    check_utterances(utterances, path)
    return utterances


def check_utterances(utterances: Sequence[Utterance], source: Path) -> None:
    """Checks what one line alone cannot show.

    Raises:
        ManifestError: no utterance, a duplicate id, an unknown split, or a production in two splits.
    """
    if not utterances:
        raise ManifestError(f"{source}: no utterances.")
    seen: dict[str, Utterance] = {}
    split_of_production: dict[tuple[str, str], Utterance] = {}
    for utterance in utterances:
        if utterance.utt_id in seen:
            raise ManifestError(
                f"{source}: utterance id {utterance.utt_id!r} stands twice: {seen[utterance.utt_id].audio_filepath} "
                f"and {utterance.audio_filepath}. Give each recording an id of its own."
            )
        seen[utterance.utt_id] = utterance
        if utterance.split not in SPLITS:
            raise ManifestError(
                f"{source}: utterance {utterance.utt_id!r} has split {utterance.split!r}; expected {', '.join(SPLITS)}."
            )
        if utterance.production_id:
            production = (utterance.speaker, utterance.production_id)
            other = split_of_production.setdefault(production, utterance)
            if other.split != utterance.split:
                raise ManifestError(
                    f"{source}: production {utterance.production_id!r} of {utterance.speaker} is in two splits: "
                    f"{other.utt_id!r} in {other.split}, {utterance.utt_id!r} in {utterance.split}. "
                    "Split by production, not by file."
                )


def speakers_of(utterances: Iterable[Utterance]) -> list[str]:
    """The speakers, in order of first appearance."""
    return list(dict.fromkeys(u.speaker for u in utterances))
