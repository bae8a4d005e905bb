"""Utterances that cannot be used: the record of each, `manifests/broken.jsonl`, and what is said of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import msgspec

from kdspeech.errors import ManifestError
from kdspeech.files import write_text
from kdspeech.utterance import Utterance

_MAX_NAMED = 10  # in one message


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an utterance cannot be used."""

    utt_id: str
    audio_filepath: str
    speaker: str
    text: str
    kind: str  # in a word or two, to count by: missing, truncated, outside the vocabulary, ...
    reason: str

    @classmethod
    def of(cls, utterance: Utterance, kind: str, reason: str) -> "Fault":
        return cls(utterance.utt_id, utterance.audio_filepath, utterance.speaker, utterance.text, kind, reason)


def write_faults(path: Path, faults: Sequence[Fault]) -> None:
    """Writes them atomically, one JSON object a line; an empty file where there is none."""
    write_text(path, "".join(msgspec.json.encode(asdict(fault)).decode() + "\n" for fault in faults))


def read_faults(path: Path) -> list[Fault]:
    """Reads what `write_faults` wrote; none where there is no such file.

    Raises:
        ManifestError: a line is no fault.
    """
    if not path.exists():
        return []
    try:
        return msgspec.json.Decoder(Fault).decode_lines(path.read_bytes())
    except msgspec.DecodeError as error:
        raise ManifestError(f"{path}: {error}. Run `kdspeech prepare` with --force to make it again.") from error


def kinds_of(faults: Sequence[Fault]) -> list[tuple[str, int]]:
    """Kinds and their counts, the most frequent first."""
    return Counter(fault.kind for fault in faults).most_common()


def refuse_if_too_many(faults: Sequence[Fault], num_utterances: int, root: Path, *, strict: bool) -> None:
    """Refuses a corpus whose faults are no exception.

    Raises:
        ManifestError: more than half of the utterances are at fault, or, with `strict`, any is.
    """
    if strict and faults:
        raise ManifestError(
            f"{len(faults)} of {num_utterances} utterances of {root} cannot be used; no manifest was written, since "
            f"--strict was given.{_named(faults)}\nCorrect them, or leave out --strict: the rest is prepared, and "
            "every one of these is named in a file."
        )
    if 2 * len(faults) > num_utterances:
        raise ManifestError(
            f"{len(faults)} of {num_utterances} utterances of {root} cannot be used, more than half; no manifest was "
            f"written.{_named(faults)}\nIs it the right folder, in the right format, with the right word list "
            "(--lexicon) or vocabulary (--vocabulary)? Correct it, or choose some --speakers."
        )


def left_out_message(faults: Sequence[Fault], num_sound: int, path: Path) -> str:
    """What to say of faults that were left out."""
    return (
        f"{len(faults)} of {len(faults) + num_sound} utterances cannot be used and are left out.{_named(faults)}\n"
        f"All of them, with their reasons: {path}; --strict refuses such a corpus."
    )


def _named(faults: Sequence[Fault]) -> str:
    """Counts by kind, then the first faults one a line; each line begins with a line break."""
    counts = ", ".join(f"{count} {kind}" for kind, count in kinds_of(faults))
    first = "".join(f"\n  {fault.utt_id}: {fault.reason}" for fault in faults[:_MAX_NAMED])
    more = f"\n  and {len(faults) - _MAX_NAMED} more" if len(faults) > _MAX_NAMED else ""
    return f" By kind: {counts}.{first}{more}"
