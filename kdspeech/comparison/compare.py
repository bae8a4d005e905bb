"""`compare`: is B better than A on the same utterances, by how much, and would chance do it?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

from kdspeech.comparison.comparison import Answers, Comparison, Estimate, Evidence, SpeakerPair
from kdspeech.comparison.permutation import flip_productions, flip_speakers
from kdspeech.comparison.systems import System, read_system
from kdspeech.errors import KdspeechError
from kdspeech.files import write_json
from kdspeech.scoring.bootstrap import (
    NUM_REPLICATES,
    Statistic,
    bootstrap_intervals,
    difference,
    macro,
    micro,
    observed,
)
from kdspeech.scoring.formats.rows import Detail
from kdspeech.scoring.formats.transcripts import read_transcripts
from kdspeech.scoring.joining import listed
from kdspeech.scoring.normalise import RULE_NAMES, Normaliser
from kdspeech.scoring.units import SpeakerUnits, group_units

_MAX_SEEDS = 10_000  # denominators of a production's mean over seeds

_MEASURES: Mapping[str, Statistic] = {
    "a_macro": macro(1),
    "b_macro": macro(2),
    "macro": difference(macro),
    "a_micro": micro(1),
    "b_micro": micro(2),
    "micro": difference(micro),
}


def compare(
    a: Sequence[Path],
    b: Sequence[Path],
    *,
    reference: Path | None = None,
    rules: tuple[str, ...] = RULE_NAMES,
    homophones: tuple[tuple[str, ...], ...] = (),
    hypothesis_format: str | None = None,
    reference_format: str | None = None,
    strict: bool = False,
    num_replicates: int = NUM_REPLICATES,
    seed: int = 0,
    out: Path | None = None,
) -> Comparison:
    """Compares two systems by WRA, with intervals and permutation tests.

    An utterance counts for a system by the share of its files that have it right: files of other folds add utterances,
    files of other seeds add answers. What only one system answered is wrong for the other; what neither answered is
    left out.

    Args:
        a: files of hypotheses of the one system; several folds, several seeds, or both.
        b: of the other.
        reference: file of references, best a manifest: it tells speakers and productions. None takes the references
            that the files hold themselves.
        strict: refuses utterances that not both systems answered.
        num_replicates: of the bootstrap.

    Raises:
        KdspeechError: files that cannot be read or joined, or a speaker whom only one system was tested on.
    """
    normaliser = Normaliser(rules, homophones)
    known = None if reference is None else read_transcripts(reference, reference_format)
    systems = [read_system(paths, known, normaliser, hypothesis_format) for paths in (a, b)]
    references = _all_references(systems)
    if strict:
        _check_same_answers(systems, references)
    speaker_of, production_of = _details(systems, "speaker"), _details(systems, "production_id")
    _check_speakers(systems, references, speaker_of)
    utt_ids = list(references)
    units = group_units(
        [speaker_of.get(utt_id, "") for utt_id in utt_ids],
        [production_of.get(utt_id, "") for utt_id in utt_ids],
        np.array([[system.share(utt_id) for system in systems] for utt_id in utt_ids]),
    )
    answers = [Answers(system.files, system.seeds, system.missing(references)) for system in systems]
    found = Comparison(
        a=answers[0],
        b=answers[1],
        evidence=weigh(units, num_replicates, seed),
        speakers=tuple(_pair(speaker) for speaker in units),
        unanswered=() if known is None else tuple(i for i in known.reference_texts if i not in references),
        normalisation=normaliser.description,
    )
    if out is not None:
        write_json(out, found.to_dict())
    return found


def weigh(units: Sequence[SpeakerUnits], num_replicates: int = NUM_REPLICATES, seed: int = 0) -> Evidence:
    """Intervals and p-values of two systems.

    Args:
        units: columns utterances, right by A, right by B.
    """
    sums = observed(units)
    intervals = bootstrap_intervals(units, list(_MEASURES.values()), num_replicates, seed)
    estimates = [
        Estimate(float(measure(sums)[0]), interval)
        for measure, interval in zip(_MEASURES.values(), intervals, strict=True)
    ]
    rates = sums[0, :, 1:] / sums[0, :, :1]
    return Evidence(
        dict(zip(_MEASURES, estimates, strict=True)),
        p_speakers=flip_speakers(rates[:, 1] - rates[:, 0], seed),
        p_productions=flip_productions(_steps(units), seed),
        num_speakers=len(units),
    )


def _steps(units: Sequence[SpeakerUnits]) -> Counter[Fraction]:
    """What each production adds to the sum of the speakers' differences in WRA, and how many add that."""
    steps: Counter[Fraction] = Counter()
    for speaker in units:
        utterances = round(speaker.totals[0])
        for (_, a, b), times in zip(speaker.values, speaker.times, strict=True):
            steps[Fraction(b - a).limit_denominator(_MAX_SEEDS) / utterances] += int(times)
    return steps


def _pair(speaker: SpeakerUnits) -> SpeakerPair:
    utterances, a, b = (float(total) for total in speaker.totals)
    return SpeakerPair(speaker.speaker, round(utterances), speaker.num_productions, round(a, 6), round(b, 6))


def _all_references(systems: Sequence[System]) -> dict[str, str]:
    """Of what either system answered."""
    references: dict[str, str] = {}
    for system in systems:
        for utt_id, text in system.references.items():
            if references.setdefault(utt_id, text) != text:
                raise KdspeechError(
                    f"the reference of {utt_id!r} is {references[utt_id]!r} for A and {text!r} for B. Give the "
                    "true ones with --ref."
                )
    return references


def _details(systems: Sequence[System], name: Detail) -> dict[str, str]:
    return {utt_id: value for system in reversed(systems) for utt_id, value in system.details[name].items()}


def _check_same_answers(systems: Sequence[System], references: Mapping[str, str]) -> None:
    a, b = (system.missing(references) for system in systems)
    if a or b:
        raise KdspeechError(
            f"A and B did not answer the same utterances: {listed(a)} are missing in A, {listed(b)} in B. Decode the "
            "whole set, or leave out --strict to count the missing as wrong."
        )


def _check_speakers(systems: Sequence[System], references: Mapping[str, str], speaker_of: Mapping[str, str]) -> None:
    """A whole speaker missing is another test set, not a system that fails."""
    everyone = dict.fromkeys(speaker_of.get(utt_id, "") for utt_id in references)
    for name, system in zip("AB", systems, strict=True):
        tested = {speaker_of.get(utt_id, "") for utt_id in system.repeats}
        if absent := [speaker for speaker in everyone if speaker not in tested]:
            raise KdspeechError(
                f"{name} has no answer of {', '.join(absent)}, the other system has. Give both the same folds: {name} "
                f"was read from {', '.join(system.files)}."
            )
