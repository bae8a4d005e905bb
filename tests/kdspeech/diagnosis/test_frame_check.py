"""Where spikes lie: a teacher whose time runs at another pace stands out among the others."""

import pytest

from kdspeech.diagnosis.frame_check import spikes_apart

MEASURED = {"george": 0.787, "jackson": 0.982, "lucas": 0.768, "nicolas": 0.861}  # sound teachers of digits


@pytest.mark.parametrize(
    ("change", "apart"),
    [({}, []), ({"lucas": 0.384}, ["lucas"]), ({"george": 1.574}, ["george"]), ({"jackson": None}, [])],
)
def test_a_pace_of_its_own(change: dict[str, float | None], apart: list[str]) -> None:
    assert spikes_apart({**MEASURED, **change}) == apart


def test_two_teachers_cannot_tell_who_is_wrong() -> None:
    assert spikes_apart({"george": 0.8, "lucas": 0.4}) == []
