"""`combine`: the output of several systems as one, by vote or ROVER."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from kdspeech import console
from kdspeech.choices import CombinationMethod
from kdspeech.combination.combination import Combination, CombinationRow, mean_of
from kdspeech.combination.rover import BY_FREQUENCY, RoverOptions, rover
from kdspeech.combination.scored import Answers, any_right, combine_all, texts_of
from kdspeech.combination.vote import Answer, Combined, vote
from kdspeech.errors import ConfigError, KdspeechError
from kdspeech.files import write_json
from kdspeech.scoring.formats.registry import format_to_write
from kdspeech.scoring.formats.rows import Written
from kdspeech.scoring.formats.transcripts import Transcripts, read_transcripts
from kdspeech.scoring.joining import join, listed
from kdspeech.scoring.normalise import RULE_NAMES, Normaliser
from kdspeech.scoring.score import score_answers


def combine(
    hypotheses: Sequence[Path],
    *,
    method: CombinationMethod = "vote",
    reference: Path | None = None,
    hypotheses_out: Path | None = None,
    format_out: str | None = None,
    rover_options: RoverOptions = BY_FREQUENCY,
    rules: tuple[str, ...] = RULE_NAMES,
    homophones: tuple[tuple[str, ...], ...] = (),
    hypothesis_format: str | None = None,
    reference_format: str | None = None,
    out: Path | None = None,
) -> Combination:
    """Combines several systems and, where references are known, scores them all.

    An utterance is combined from the systems that answered it. Confidences decide ties, and ROVER with alpha < 1, if
    every file has them: from 0 to 1, or log-probabilities, of which the exponential is taken.

    Args:
        hypotheses: files of the systems, two or more; the first is ROVER's backbone and wins ties.
        method: of what is written.
        reference: file of references; None takes those that all files hold themselves, if they do.
        hypotheses_out: file for the combined hypotheses, with the agreement as confidence where the format has one.
        format_out: a format that can be written; None goes by the suffix of `hypotheses_out`.
        out: JSON file for the scores.

    Raises:
        ConfigError: fewer than two systems, a format that cannot be written, or alpha < 1 without confidences.
        KdspeechError: files that cannot be read or joined.
    """
    if len(set(hypotheses)) < max(2, len(hypotheses)):
        raise ConfigError(f"expected two or more different files, found {', '.join(map(str, hypotheses)) or 'none'}.")
    write = None if hypotheses_out is None else format_to_write(hypotheses_out, format_out)
    normaliser = Normaliser(rules, homophones)
    files = [read_transcripts(path, hypothesis_format) for path in hypotheses]
    known = _references(files) if reference is None else read_transcripts(reference, reference_format)
    systems = _systems(files, known, rover_options)
    by_method: Mapping[CombinationMethod, dict[str, Combined]] = {
        "vote": combine_all(systems, lambda answers: vote(answers, normaliser)),
        "rover": combine_all(systems, lambda answers: rover(answers, normaliser, rover_options)),
    }
    found = Combination(
        by_method[method], *_score(known, systems, by_method, normaliser), normalisation=normaliser.description
    )
    if write is not None and hypotheses_out is not None:
        rows = found.combined.items()
        write(hypotheses_out, (Written(utt_id, answer.text, answer.agreement) for utt_id, answer in rows))
    if out is not None:
        write_json(out, found.to_dict())
    return found


def _references(files: Sequence[Transcripts]) -> Transcripts | None:
    """The file that holds the most references, if all hold some."""
    return max(files, key=lambda file: len(file.texts)) if all(file.references for file in files) else None


def _systems(files: Sequence[Transcripts], known: Transcripts | None, options: RoverOptions) -> dict[str, Answers]:
    """Each file's answers, under the references' ids."""
    without = [file.source for file in files if file.confidences is None or None in file.confidences]
    if without and options.alpha < 1.0:
        raise ConfigError(f"no confidences in {', '.join(without)}: ROVER by confidence needs them; take alpha 1.")
    systems: dict[str, Answers] = {}
    for file in files:
        scores = [0.0] * len(file.texts) if without else _confidences(file)
        texts: Mapping[str, str] = file.texts
        if known is not None:
            joined = join(known, file)
            texts = joined.hypotheses
            if joined.missing:
                console.warn(f"{file.source} does not answer {listed(joined.missing)}: wrong, and no voice.")
            if joined.extra:
                console.warn(f"{file.source} answers {listed(joined.extra)} without reference: combined, not scored.")
        said = zip(texts.items(), scores, strict=True)
        systems[file.source] = {utt_id: Answer(text, score) for (utt_id, text), score in said}
    return systems


def _confidences(file: Transcripts) -> list[float]:
    """From 0 to 1; values of which none is positive are log-probabilities."""
    values = [value for value in file.confidences or () if value is not None]
    if max(values) <= 0.0:
        return [math.exp(value) for value in values]
    if min(values) < 0.0 or max(values) > 1.0:
        raise KdspeechError(
            f"{file.source}: confidences from {min(values):g} to {max(values):g}; expected probabilities, or natural "
            "logarithms of some. Rescale them, or leave them out."
        )
    return values


def _score(
    known: Transcripts | None,
    systems: Mapping[str, Answers],
    by_method: Mapping[CombinationMethod, Mapping[str, Combined]],
    normaliser: Normaliser,
) -> tuple[tuple[CombinationRow, ...], tuple[CombinationRow, ...]]:
    """The rows of the single systems, and those of all together."""
    if known is None:
        return (), ()
    references, speaker_of = known.reference_texts, known.detail("speaker")
    by_speaker: dict[str, dict[str, str]] = {}
    for utt_id, text in references.items():
        by_speaker.setdefault(speaker_of.get(utt_id, ""), {})[utt_id] = text

    def row(name: str, texts: Mapping[str, str]) -> CombinationRow:
        scores = {speaker: score_answers(spoken, texts, normaliser) for speaker, spoken in by_speaker.items()}
        return CombinationRow(name, scores)

    singles = [row(name, texts_of(answers)) for name, answers in systems.items()]
    best = max(singles, key=lambda single: single.macro_wra)
    voted = texts_of(by_method["vote"])
    together = (
        mean_of("mean single system", singles),
        CombinationRow(f"best single system (oracle): {best.name}", best.by_speaker),
        row("vote", voted),
        row("ROVER", texts_of(by_method["rover"])),
        row("any system right (oracle)", any_right(references, systems, voted, normaliser)),
    )
    return tuple(singles), together
