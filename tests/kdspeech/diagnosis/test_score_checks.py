"""Which head is looked at, where the two differ."""

from pathlib import Path
from types import SimpleNamespace
from typing import cast

from kdspeech.diagnosis.case import Case
from kdspeech.diagnosis.score_checks import check_held_out
from kdspeech.scoring.score import Scores


def test_the_held_out_speaker_and_the_others_are_heard_by_the_same_head(tmp_path: Path) -> None:
    """The decoder is better on the new speaker, CTC on the others: 95 - 60 would be a domain shift, 70 - 60 is none."""
    right = {("valid", "ctc"): 95, ("valid", "decoder"): 70, ("held-out", "ctc"): 40, ("held-out", "decoder"): 60}
    case = SimpleNamespace(
        has_checkpoint=True,
        heads=("ctc", "decoder"),
        held_out="M08",
        teachers={},
        run=SimpleNamespace(path=tmp_path / "seed0"),
        scores=lambda split, head: Scores(utterances=100, correct=right[split, head]),
    )
    finding = check_held_out(cast(Case, case))
    assert finding.evidence == "held-out M08 60 %, included speakers 70 % by decoder: partial"
    assert (finding.cause, finding.numbers["included_wra"]) == ("a student in the middle", 70.0)
