"""`compare` finds what is planted, and what is not only as often as it says; the full thousand is the script's."""

from types import ModuleType

import pytest

from tests.scripts import load_script


@pytest.fixture(scope="module")
def script() -> ModuleType:
    return load_script("benchmarks/compare_power")


@pytest.mark.slow
@pytest.mark.parametrize("effect", [0.0, 2.0])
def test_a_planted_zero_is_found_at_the_nominal_rate(script: ModuleType, effect: float) -> None:
    found = script.simulate(0.0, effect, 300)
    assert found.by_speakers <= 27  # of 300 at 5 %: 15 expected, 26.3 three standard errors above
    assert found.covered >= 274  # 95 % less three standard errors
    if not effect:  # else the speakers do differ, and productions show that
        assert found.by_productions <= 27


@pytest.mark.slow
@pytest.mark.parametrize("effect", [0.0, 2.0])
def test_three_points_are_found(script: ModuleType, effect: float) -> None:
    found = script.simulate(3.0, effect, 100)
    assert found.by_speakers >= 80
    assert found.by_productions >= 90
    assert found.covered >= 88
