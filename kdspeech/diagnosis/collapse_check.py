"""Has the student collapsed: nothing, always the same, or no end?"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from kdspeech.diagnosis.case import Case, Split, spread
from kdspeech.diagnosis.finding import Finding, skipped
from kdspeech.heads import Head
from kdspeech.hypothesis import Hypothesis
from kdspeech.scoring.normalise import normalise

CHECK = "collapse"
_EMPTY = 0.5  # share of empty hypotheses
_ONE_TEXT, _TIMES_COMMONER = 0.5, 3.0  # share of the commonest hypothesis, and against the commonest reference
_RUNAWAYS, _SOME_RUNAWAYS = 0.2, 0.05  # share of hypotheses longer than any reference
_SAMPLES = 4


@dataclass(frozen=True)
class _Spoken:
    """What a head says on one split."""

    split: Split
    head: Head
    utterances: int
    empty: float  # share
    distinct: int
    distinct_references: int
    commonest: str
    commonest_share: float
    commonest_reference_share: float
    runaways: float  # share
    tokens: float  # mean, of a hypothesis
    reference_tokens: float  # mean
    samples: tuple[str, ...]

    @property
    def cause(self) -> str:
        """The collapse's name; "" if there is none."""
        if self.empty >= _EMPTY:
            return "blank collapse" if self.head == "ctc" else "decoder that says nothing"
        if self.commonest_share >= max(_ONE_TEXT, _TIMES_COMMONER * self.commonest_reference_share):
            return "collapse on one text"
        return "runaway hypotheses" if self.runaways >= _RUNAWAYS else ""

    @property
    def meaning(self) -> str:
        where = f"the student's {self.head} output on the {self.split} utterances"
        return {
            "blank collapse": f"{where} is blank from beginning to end: it emits nothing.",
            "decoder that says nothing": f"{where} ends before it begins.",
            "collapse on one text": f"{where} is {self.commonest!r} in {100 * self.commonest_share:.0f} %: it ignores "
            "the audio.",
            "runaway hypotheses": f"{where} is longer than any reference in {100 * self.runaways:.0f} %.",
        }[self.cause]


_ADVICE = {
    "blank collapse": "CTC first learns the blank: train longer, raise the learning rate, give loss `ctc` a weight "
    "above 0, and see that no target calls for blanks alone.",
    "decoder that says nothing": "Train the decoder longer and give `cross_entropy` a weight above 0.",
    "collapse on one text": "Train longer, lower the learning rate, and check that audio and texts belong together.",
    "runaway hypotheses": "Nobody taught the end: keep the blank in the targets, give loss `ctc` a weight above 0, or "
    "decode with a bound on the length.",
}


def check_collapse(case: Case) -> Finding:
    """Distinct and most frequent predictions, empty ones, and runaways, of each head on each split."""
    if not case.has_checkpoint:
        return skipped(CHECK, "the run has not finished an epoch")
    longest = max(len(case.workspace.vocabulary.encode(u.text)) for u in case.workspace.utterances)
    spoken = [_look(case, split, head, longest) for split in ("train", "valid", "held-out") for head in case.heads]
    numbers = {f"{s.split}, {s.head}": _numbers(s) for s in spoken}
    included = [s for s in spoken if s.split != "held-out"]
    collapsed = [s for s in included if s.cause]
    if collapsed:
        return _finding("fail", collapsed[0], numbers)
    foreign = [s for s in spoken if s.cause]
    if foreign:
        return _finding("warn", foreign[0], numbers)
    long = max(included, key=lambda s: s.runaways)
    if long.runaways >= _SOME_RUNAWAYS:
        meaning = f"{100 * long.runaways:.0f} % of the {long.head} hypotheses are longer than any reference."
        advice = _ADVICE["runaway hypotheses"]
        return Finding(CHECK, "warn", _evidence(long), meaning, advice, "some runaways", numbers=numbers)
    meaning = "The student says different things, and comes to an end."
    return Finding(CHECK, "ok", _evidence(included[0]), meaning, numbers=numbers)


def _finding(verdict: Literal["warn", "fail"], spoken: _Spoken, numbers: Mapping[str, Any]) -> Finding:
    meaning = spoken.meaning[0].upper() + spoken.meaning[1:]
    return Finding(
        CHECK,
        verdict,
        _evidence(spoken),
        meaning,
        _ADVICE[spoken.cause],
        spoken.cause,
        numbers=numbers,
        samples=spoken.samples,
    )


def _look(case: Case, split: Split, head: Head, longest: int) -> _Spoken:
    utterances, hypotheses = case.utterances(split), case.hypotheses(split, head)
    heard = Counter(normalise(hypotheses[u.utt_id].text) for u in utterances)
    said = Counter(normalise(u.text) for u in utterances)
    (text, count), count_reference = heard.most_common(1)[0], said.most_common(1)[0][1]
    n = len(utterances)
    lengths = [len(hypotheses[u.utt_id].token_ids) for u in utterances]
    return _Spoken(
        split=split,
        head=head,
        utterances=n,
        empty=heard[""] / n,
        distinct=len(heard),
        distinct_references=len(said),
        commonest=text,
        commonest_share=count / n,
        commonest_reference_share=count_reference / n,
        runaways=sum(length > longest for length in lengths) / n,
        tokens=sum(lengths) / n,
        reference_tokens=sum(len(case.workspace.vocabulary.encode(u.text)) for u in utterances) / n,
        samples=tuple(_sample(u.utt_id, u.text, hypotheses[u.utt_id]) for u in spread(utterances, _SAMPLES)),
    )


def _sample(utt_id: str, text: str, hypothesis: Hypothesis) -> str:
    return f"{utt_id}: {text!r}, the student says {hypothesis.text!r}"


def _evidence(spoken: _Spoken) -> str:
    return (
        f"{spoken.split}, {spoken.head}: distinct predictions {spoken.distinct} (references "
        f"{spoken.distinct_references}), {100 * spoken.empty:.0f} % empty, commonest "
        f"{100 * spoken.commonest_share:.0f} %, {spoken.tokens:.1f} tokens each (references "
        f"{spoken.reference_tokens:.1f})"
    )


def _numbers(spoken: _Spoken) -> dict[str, Any]:
    return {
        "utterances": spoken.utterances,
        "distinct": spoken.distinct,
        "distinct_references": spoken.distinct_references,
        "most_frequent": spoken.commonest,
        "most_frequent_share": round(spoken.commonest_share, 4),
        "most_frequent_reference_share": round(spoken.commonest_reference_share, 4),
        "empty_share": round(spoken.empty, 4),
        "longer_than_any_reference": round(spoken.runaways, 4),
        "tokens_each": round(spoken.tokens, 3),
        "reference_tokens_each": round(spoken.reference_tokens, 3),
    }
