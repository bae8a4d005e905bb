"""Which transcripts are read, and what such a run is called."""

from dataclasses import replace

import pytest

from kdspeech.errors import ConfigError
from kdspeech.supervision import ALL_LABELS, Supervision, variant_of
from kdspeech.utterance import Utterance


def utterances() -> list[Utterance]:
    """Two speakers, twenty productions each, two microphones a production."""
    return [
        Utterance(f"{s}-{n}-{m}", f"{s}-{n}-{m}.wav", 1.0, "word", s, "train", production_id=f"{s}-{n}")
        for s in ("anna", "bert")
        for n in range(20)
        for m in ("M1", "M2")
    ]


def test_a_share_is_drawn_of_each_speakers_productions_whole() -> None:
    drawn = Supervision(0.25).labelled(utterances(), seed=0)
    for speaker in ("anna", "bert"):
        mine = [u for u in drawn if u.speaker == speaker]
        assert len(mine) == 10
        assert len({u.production_id for u in mine}) == 5


def test_a_smaller_share_lies_in_a_larger_one_and_the_seed_decides() -> None:
    few, many = (Supervision(share).labelled(utterances(), seed=0) for share in (0.1, 0.5))
    assert {u.utt_id for u in few} < {u.utt_id for u in many}
    assert Supervision(0.5).labelled(utterances(), seed=1) != many
    assert Supervision(0.5).labelled(utterances(), seed=0) == many
    assert Supervision(0.0).labelled(utterances(), seed=0) == []
    assert ALL_LABELS.labelled(utterances(), seed=0) == utterances()


def test_utterances_without_production_are_drawn_one_by_one() -> None:
    alone = [replace(u, production_id="") for u in utterances()]
    assert len(Supervision(0.5).labelled(alone, seed=0)) == 40


@pytest.mark.parametrize(
    ("supervision", "name"),
    [
        (ALL_LABELS, "labels"),
        (Supervision(0.1), "labels-10pct"),
        (Supervision(0.0, adapt=True), "labels-0pct-adapted"),
        (Supervision(adapt=True), "labels-adapted"),
        (Supervision(0.1, all_audio=True), "labels-10pct-all-audio"),
        (Supervision(adapt=True, all_audio=True), "labels-all-audio-adapted"),
    ],
)
def test_runs_have_names_of_their_own(supervision: Supervision, name: str) -> None:
    assert supervision.variant("labels") == name
    assert variant_of({"mode": "labels", "unlabelled": supervision.settings}) == name
    assert variant_of({"mode": "labels"}) == "labels"


def test_what_is_newer_than_a_run_stands_in_its_settings_only_where_it_is_chosen() -> None:
    assert Supervision(0.1, adapt=True).settings == {"label_share": 0.1, "adapt": True}
    assert Supervision(all_audio=True).settings == {"label_share": 1.0, "adapt": False, "all_audio": True}


def test_a_share_above_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"0-1, found 1\.5"):
        Supervision(1.5)
