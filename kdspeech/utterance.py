"""The utterance and the manifest: NeMo's JSON Lines with this project's extra keys."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from kdspeech.errors import ManifestError
from kdspeech.files import atomic_path

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True, slots=True)
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

    @property
    def production(self) -> str:
        """The act of speaking; a recording of which nobody says it is one by itself."""
        return self.production_id or self.utt_id


def write_manifest(path: Path, utterances: Iterable[Utterance]) -> None:
    """Writes a manifest atomically, one JSON object a line."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.writelines(msgspec.json.encode(utterance) + b"\n" for utterance in utterances)


def read_manifest(path: Path) -> list[Utterance]:
    """Reads a manifest that `kdspeech prepare` wrote; keys that are not an utterance's are passed over.

    Raises:
        ManifestError: the file is missing, a line is not an utterance, or an utterance id stands twice.
    """
    if not path.exists():
        raise ManifestError(f"{path} does not exist. Run `kdspeech prepare` first.")
    content = path.read_bytes()
    decoder = msgspec.json.Decoder(Utterance)
    try:
        utterances = decoder.decode_lines(content)
    except msgspec.DecodeError as error:
        raise _first_fault(path, content, decoder) from error
    check_utterances(utterances, path)
    return utterances


def _first_fault(path: Path, content: bytes, decoder: "msgspec.json.Decoder[Utterance]") -> ManifestError:
    """Names the line that all of the content's decoding stumbled over."""
    for number, line in enumerate(content.splitlines(), start=1):
        try:
            decoder.decode(line)
        except msgspec.DecodeError as error:
            found = "not an utterance" if isinstance(error, msgspec.ValidationError) else "not JSON"
            return ManifestError(
                f"{path}, line {number}: {found} ({error}). Expected what `kdspeech prepare` writes; a manifest of "
                f"others is imported with `kdspeech prepare manifest {path}`."
            )
    return ManifestError(f"{path} is not JSON Lines.")


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
