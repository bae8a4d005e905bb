"""Do the pooled targets say what was said? What they do not say, nobody can learn from them."""

from typing import Any

from kdspeech.decoding.lexicon import LexiconScorer
from kdspeech.diagnosis.case import SAMPLE, Case, spread
from kdspeech.diagnosis.dump_check import SHUFFLED, SHUFFLED_ADVICE
from kdspeech.diagnosis.finding import Finding, skipped
from kdspeech.diagnosis.pairing import pair
from kdspeech.dumps.readback import pad_rows
from kdspeech.dumps.shard import read_header
from kdspeech.files import read_json
from kdspeech.scoring.score import normalise, score_texts
from kdspeech.targets.aggregate import targets_path
from kdspeech.targets.ceiling import TOTAL, Ceiling, decode_targets

CHECK = "targets"
_BROKEN, _WEAK = 20.0, 50.0  # % WRA of the best way to read the targets
_SAMPLES = 4


def check_targets(case: Case) -> Finding:
    """The targets of a sample of the training set, decoded: the ceiling of what the teachers can teach."""
    if not case.teachers:
        return skipped(CHECK, "the run learns from labels alone")
    if case.targets is None:
        return skipped(CHECK, "the targets that the run learnt from are gone; `kdspeech aggregate` makes them again")
    sample = [u for u in spread(case.fold.train, SAMPLE) if u.utt_id in case.targets]
    references = {u.utt_id: u.text for u in sample}
    read = _readings(case, {u.utt_id: case.targets[u.utt_id] for u in sample})
    wra = {way: score_texts(references, texts).wra for way, texts in read.items()}
    numbers: dict[str, Any] = {
        "utterances": len(sample),
        "wra": {way: round(value, 2) for way, value in wra.items()},
        "shards that changed since": _changed(case),
        **_stored_ceiling(case),
    }
    evidence = ", ".join(f"{value:.0f} % {way}" for way, value in wra.items())
    if "mean_single_teacher_wra" in numbers:
        evidence += f"; a single teacher {numbers['mean_single_teacher_wra']:.0f} %"
    for way, texts in read.items():
        if pair(references, texts).is_random:
            return Finding(
                CHECK,
                "fail",
                evidence,
                f"The targets say the right words at the wrong utterances ({way}).",
                SHUFFLED_ADVICE,
                SHUFFLED,
                numbers=numbers,
                samples=_wrong(references, texts),
            )
    best = max(wra, key=lambda way: wra[way])
    if wra[best] >= _WEAK:
        if numbers["shards that changed since"]:
            meaning = f"{numbers['shards that changed since']} dumps have changed since the run learnt from them."
            advice = "Train again, or put the old dumps back: what stands in the store now is not what the run saw."
            return Finding(CHECK, "warn", evidence, meaning, advice, "dumps that changed", numbers=numbers)
        return Finding(CHECK, "ok", evidence, "The targets say what was said.", numbers=numbers)
    return Finding(
        CHECK,
        "fail" if wra[best] < _BROKEN else "warn",
        evidence,
        f"Read in the best way ({best}), the targets are right on {wra[best]:.0f} % of the training utterances.",
        "Look at the single teachers; try targets.pooling=prob_mean, a lower temperature, fewer teachers, or --mode "
        "labels.",
        "targets that do not decode",
        is_symptom=True,
        numbers=numbers,
        samples=_wrong(references, read[best]),
    )


def _readings(case: Case, targets: dict[str, Any]) -> dict[str, dict[str, str]]:
    """Way to read them -> utterance id -> text. Averaged frames often lose their spikes; a lexicon still hears them."""
    vocabulary = case.workspace.vocabulary
    read = {f"{kind} greedy": texts for kind, texts in decode_targets(targets, vocabulary).items()}
    if "ctc greedy" in read and case.workspace.has_lexicon:
        batch = pad_rows([target.ctc_log_probs for target in targets.values()])
        words = LexiconScorer(case.workspace.lexicon, vocabulary).decode(*batch)
        read["ctc lexicon"] = {utt_id: word.text for utt_id, word in zip(targets, words, strict=True)}
    return read


def _changed(case: Case) -> int:
    """Shards of the store that are not those which the targets were pooled from; missing ones count."""
    pooled_from = read_json(case.run.targets_path)["inputs"]  # "teacher/kind/speaker" -> payload's SHA-256
    now = {place: case.store.root / f"{place}.safetensors" for place in pooled_from}
    return sum(not path.exists() or read_header(path)[1] != pooled_from[place] for place, path in now.items())


def _stored_ceiling(case: Case) -> dict[str, float]:
    """What `aggregate` measured on the whole training set."""
    details = read_json(case.run.targets_path)
    path = targets_path(case.workspace, case.config["recipe"], case.held_out, details).with_suffix(".ceiling.json")
    if not path.exists():
        return {}
    rows = Ceiling.from_dict(read_json(path)).rows
    whole = next(row for row in rows if (row.split, row.speaker) == ("train", TOTAL))
    return {"mean_single_teacher_wra": round(whole.single_wra, 2)}


def _wrong(references: dict[str, str], texts: dict[str, str]) -> tuple[str, ...]:
    wrong = [utt_id for utt_id, text in references.items() if normalise(texts[utt_id]) != normalise(text)]
    return tuple(
        f"{utt_id}: {references[utt_id]!r}, the target says {texts[utt_id]!r}" for utt_id in spread(wrong, _SAMPLES)
    )
