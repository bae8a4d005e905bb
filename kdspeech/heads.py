"""Which of a student's heads a run teaches: what an untaught one says is chance, and no result."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Literal

from kdspeech.choices import DECODER_TERMS, DecodeMode, LossTerm, Mode
from kdspeech.config import StageConfig

Head = Literal["ctc", "decoder"]
TaughtStage = tuple[Collection[str], Mapping[LossTerm, float]]  # what trains, and the weights of one mode's terms

_CTC_TERMS: tuple[LossTerm, ...] = ("ctc", "frame_kl", "word_kl", "nbest_ctc")
_HEADS_OF: Mapping[DecodeMode, frozenset[Head]] = {
    "ctc": frozenset({"ctc"}),
    "ctc-beam": frozenset({"ctc"}),
    "lexicon": frozenset({"ctc"}),
    "decoder": frozenset({"decoder"}),
    "joint": frozenset({"ctc", "decoder"}),
}


def taught_heads(stages: Iterable[TaughtStage]) -> frozenset[Head]:
    """The heads that a loss reaches in some stage.

    A CTC head need not train itself: an encoder that does learns what a fixed head says.
    """
    found: set[Head] = set()
    for train, losses in stages:
        terms = {term for term, weight in losses.items() if weight > 0}
        if not terms.isdisjoint(_CTC_TERMS) and not {"encoder", "ctc_head"}.isdisjoint(train):
            found.add("ctc")
        if not terms.isdisjoint(DECODER_TERMS) and "decoder" in train:
            found.add("decoder")
    return frozenset(found)


def of_mode(stages: Iterable[StageConfig], mode: Mode) -> list[TaughtStage]:
    """A recipe's stages as one mode runs them."""
    return [(stage.train, stage.losses.get(mode, {})) for stage in stages]


def of_run(config: Mapping[str, Any]) -> list[TaughtStage]:
    """The stages that a run's `config.json` tells of."""
    return [(stage["train"], stage["losses"]) for stage in config["stages"]]


def untaught(decode_mode: DecodeMode, heads: Collection[Head]) -> frozenset[Head]:
    """The heads that a decode mode listens to and that nobody taught."""
    return _HEADS_OF[decode_mode] - frozenset(heads)
