"""Help is at once: no command's help imports what takes seconds. Times are not tested, they depend on the machine."""

import json
import subprocess
import sys

import pytest

from kdspeech.cli.main import COMMANDS
from kdspeech.corpora.registry import READERS

_HEAVY = ("torch", "nemo", "speechbrain", "lightning", "numpy")
_PROGRAM = """
import json, sys
from kdspeech.cli.main import cli
try:
    cli.main(json.loads(sys.argv[1]), prog_name="kdspeech")
except SystemExit as ended:
    if ended.code:
        raise
loaded = {name.split(".")[0] for name in sys.modules}
print("HEAVY", json.dumps(sorted(loaded & set(json.loads(sys.argv[2])))))
"""


def _help(*arguments: str) -> str:
    program = [sys.executable, "-c", _PROGRAM, json.dumps(arguments), json.dumps(_HEAVY)]
    finished = subprocess.run(program, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_the_help_lists_every_command_and_loads_nothing_heavy() -> None:
    output = _help("--help")
    assert all(command in output for command in COMMANDS)
    assert output.endswith("HEAVY []\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_loads_nothing_heavy(command: str) -> None:
    output = _help(command, "--help")
    assert f"Usage: kdspeech {command}" in output
    assert "--quiet" in output or "Commands:" in output
    assert output.endswith("HEAVY []\n")


@pytest.mark.parametrize("corpus", READERS)
def test_the_help_of_a_corpus_loads_nothing_heavy(corpus: str) -> None:
    output = _help("prepare", corpus, "--help")
    assert f"Usage: kdspeech prepare {corpus}" in output
    assert output.endswith("HEAVY []\n")


def test_the_short_flag_helps_too() -> None:
    assert "Usage: kdspeech prepare fsdd" in _help("prepare", "fsdd", "-h")
