"""kdspeech.students can be imported without NeMo or torch."""

import subprocess
import sys

from kdspeech import students
from kdspeech.config import StudentConfig


def test_importing_the_package_is_light() -> None:
    code = "import sys, kdspeech.students; print([m for m in ('torch', 'nemo', 'lightning') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_starting_speakers() -> None:
    assert students.starting_speakers(StudentConfig(encoder_config={"n_layers": 1})) == ()
    assert students.starting_speakers(StudentConfig(encoder="nvidia/x")) is None
