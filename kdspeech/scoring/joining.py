"""References and hypotheses of two files, joined by utterance id: nothing is dropped, what does not fit is named."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kdspeech.errors import KdspeechError
from kdspeech.scoring.formats.rows import DETAILS, Detail
from kdspeech.scoring.formats.transcripts import Transcripts

_NUM_LISTED = 5


@dataclass(frozen=True)
class Joined:
    """One reference for each utterance, and a hypothesis for each but the missing."""

    references: Mapping[str, str]
    hypotheses: Mapping[str, str]  # may hold extra ids
    details: Mapping[Detail, Sequence[str]]  # in the order of the references; those that a file has
    missing: tuple[str, ...]  # ids without hypothesis: wrong, all their words deleted
    extra: tuple[str, ...]  # ids without reference: not scored


def join(
    reference: Transcripts, hypothesis: Transcripts, strict: bool = False, whole: Transcripts | None = None
) -> Joined:
    """Joins two files by utterance id; hypotheses that name recordings only are found by the recording's path or name.

    Details come from the references' file, or else from the hypotheses'.

    Args:
        strict: refuses missing and extra ids.
        whole: all references, where `reference` is a choice of them: hypotheses of the others are left out.

    Raises:
        KdspeechError: no id is in both files; or, if `strict`, an id is in one only.
    """
    references = reference.reference_texts
    own_name = _own_names(whole or reference, hypothesis)
    hypotheses = {own_name.get(name, name): text for name, text in hypothesis.texts.items()}
    if whole is not None:
        others = whole.texts.keys() - references.keys()
        hypotheses = {utt_id: text for utt_id, text in hypotheses.items() if utt_id not in others}
    missing = tuple(utt_id for utt_id in references if utt_id not in hypotheses)
    extra = tuple(utt_id for utt_id in hypotheses if utt_id not in references)
    files = f"{reference.source} ({len(references)} references, read as {reference.format}) and {hypothesis.source} "
    files += f"({len(hypotheses)} hypotheses, read as {hypothesis.format})"
    if len(missing) == len(references):
        raise KdspeechError(
            f"{files} share no utterance id: {listed(missing)} on the one side, {listed(extra)} on the other. "
            "Give both files the same ids, or name their formats."
        )
    if strict and (missing or extra):
        raise KdspeechError(
            f"{files} are not of the same utterances: {listed(missing)} without hypothesis, {listed(extra)} without "
            "reference. Decode the whole set, or leave out --strict to count the missing as wrong."
        )
    details = dict(reference.details)
    for name in [name for name in DETAILS if name not in details]:
        if known := {own_name.get(utt_id, utt_id): value for utt_id, value in hypothesis.detail(name).items()}:
            details[name] = [known.get(utt_id, "") for utt_id in references]
    return Joined(references, hypotheses, details, missing, extra)


def _own_names(reference: Transcripts, hypothesis: Transcripts) -> Mapping[str, str]:
    """Hypothesis id -> the reference's id of the same recording, where ids alone do not say it."""
    if not hypothesis.ids_from_audio or reference.audio is None or hypothesis.audio is None:
        return {}
    by_path = {
        os.path.abspath(path): utt_id for utt_id, path in zip(reference.texts, reference.audio, strict=True) if path
    }
    paths = map(os.path.abspath, hypothesis.audio)
    return {name: by_path[path] for name, path in zip(hypothesis.texts, paths, strict=True) if path in by_path}


def listed(utt_ids: Sequence[str]) -> str:
    """How many ids, and the first of them."""
    names = ", ".join(utt_ids[:_NUM_LISTED]) + (", ..." if len(utt_ids) > _NUM_LISTED else "")
    return f"{len(utt_ids)} ({names})" if utt_ids else "none"
