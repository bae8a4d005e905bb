"""A speaker's wrong sounds are always the same, grow with severity, and follow the named processes."""

import subprocess
import sys

import numpy as np
import pytest

from kdspeech.simulation.articulation import CONFUSIONS, SubstitutionTable, substitution_table

_NONE = SubstitutionTable({}, frozenset(), drops_s=False, drops_liquids=False)


def test_a_healthy_table_changes_nothing() -> None:
    table = substitution_table("M08", 0.0, seed=0)
    assert table == _NONE
    assert table.apply(("s", "t", "r", "'E", "N", "T")) == ("s", "t", "r", "'E", "N", "T")


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (SubstitutionTable({"s": "t", "E": "@"}, frozenset(), drops_s=False, drops_liquids=False), "t t r '@ N T"),
        (SubstitutionTable({}, frozenset("T"), drops_s=False, drops_liquids=False), "s t r 'E N"),
        (SubstitutionTable({}, frozenset(), drops_s=True, drops_liquids=False), "t r 'E N T"),
        (SubstitutionTable({}, frozenset(), drops_s=False, drops_liquids=True), "s t 'E N T"),
        (SubstitutionTable({"N": ""}, frozenset(), drops_s=True, drops_liquids=True), "t 'E T"),
    ],
)
def test_each_process_does_what_it_is_called(table: SubstitutionTable, said: str) -> None:
    assert table.apply(("s", "t", "r", "'E", "N", "T")) == tuple(said.split())


def test_a_word_of_one_sound_keeps_it() -> None:
    table = SubstitutionTable({}, frozenset({"m"}), drops_s=False, drops_liquids=False)
    assert table.apply(("m",)) == ("m",)


def test_tables_differ_by_speaker_and_by_seed() -> None:
    tables = [substitution_table(speaker, 0.7, seed) for speaker in ("M04", "F03") for seed in (0, 1)]
    assert all(a.substitutes != b.substitutes for i, a in enumerate(tables) for b in tables[:i])


def test_a_stronger_table_keeps_what_a_weaker_one_has() -> None:
    sizes = []
    weaker = _NONE
    for strength in (0.2, 0.4, 0.6, 0.8, 1.0):
        stronger = substitution_table("M12", strength, seed=0)
        assert weaker.substitutes.items() <= stronger.substitutes.items()
        assert weaker.dropped_finals <= stronger.dropped_finals
        assert weaker.drops_s <= stronger.drops_s
        assert weaker.drops_liquids <= stronger.drops_liquids
        sizes.append(len(stronger.substitutes))
        weaker = stronger
    assert sizes[-1] > 2 * sizes[0]
    assert {"f", "v", "T", "D", "s", "z", "S", "Z", "tS", "dZ"} <= weaker.substitutes.keys()


def test_the_table_is_the_same_in_another_process() -> None:
    code = (
        "from kdspeech.simulation.articulation import substitution_table as t; [t(s, 0.5, 0) for s in 'ab'];"
        "x = t('M04', 0.7, 3); print(sorted(x.substitutes.items()), sorted(x.dropped_finals), x.drops_s)"
    )
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    table = substitution_table("M04", 0.7, 3)
    assert other.strip() == f"{sorted(table.substitutes.items())} {sorted(table.dropped_finals)} {table.drops_s}"


def test_slips_are_as_frequent_as_asked_and_other_than_usual() -> None:
    table = substitution_table("M04", 1.0, seed=0)
    random = np.random.default_rng(0)
    word = tuple(sorted(CONFUSIONS)) * 40
    usual = SubstitutionTable(table.substitutes, frozenset(), drops_s=False, drops_liquids=False)
    kept = [phoneme for phoneme in word if usual.substitutes.get(phoneme, phoneme)]  # a dropped sound has no place
    steady = usual.apply(kept)
    assert steady == usual.apply(kept, slip=0.0, random=random)
    visible = tuple(phoneme for phoneme in kept if all(name for name, _ in CONFUSIONS[phoneme]))
    slipped = usual.apply(visible, slip=0.25, random=random)
    share = np.mean([a != b for a, b in zip(usual.apply(visible), slipped, strict=True)])
    assert share == pytest.approx(0.25, abs=0.04)


def test_shares_of_the_confusions_add_up() -> None:
    for phoneme, options in CONFUSIONS.items():
        assert sum(share for _, share in options) == pytest.approx(1.0), phoneme
        assert phoneme not in {name for name, _ in options}
