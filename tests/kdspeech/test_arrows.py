"""Imports point one way: between the core's packages, and from the outside in."""

import ast
from collections import defaultdict
from collections.abc import Sequence
from graphlib import TopologicalSorter
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_OUTSIDE = ("teachers", "students", "cli", "experiments")
_TOOLKITS = {"nemo", "speechbrain"}


def _imports(path: Path) -> set[str]:
    """Dotted names of the modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def _names_within(names: set[str], folders: Sequence[str]) -> list[str]:
    return [name for name in names if name.startswith(tuple(f"kdspeech.{folder}" for folder in folders))]


def _core() -> dict[Path, set[str]]:
    return {path.relative_to(_ROOT): _imports(path) for path in (_ROOT / "kdspeech").rglob("*.py")}


def test_no_two_packages_of_the_core_need_each_other() -> None:
    parts = {path.with_suffix("").parts[1] for path in _core()} - {"__init__"}
    needed: dict[str, set[str]] = defaultdict(set)
    for path, names in _core().items():
        part = path.with_suffix("").parts[1]
        needed[part] |= {name.split(".")[1] for name in names if name.startswith("kdspeech.")} & parts - {part}
    assert len(parts) > 30
    order = list(TopologicalSorter(needed).static_order())  # raises CycleError and names the cycle
    assert order.index("scoring") < order.index("comparison") < order.index("run_report")


def test_the_core_knows_no_toolkit_and_nothing_outside() -> None:
    for path, names in _core().items():
        assert not {name.split(".")[0] for name in names} & {*_TOOLKITS, *_OUTSIDE}, path
        assert not _names_within(names, _OUTSIDE), path


def test_teachers_and_students_know_neither_each_other_nor_the_commands() -> None:
    for folder in ("teachers", "students"):
        others = [other for other in _OUTSIDE if other != folder]
        for path in (_ROOT / folder).rglob("*.py"):
            assert not _names_within(_imports(path), others), path
