"""`diagnose`: looks at a run from its vocabulary to its held-out speaker, and names the first thing that is wrong."""

import textwrap
from collections.abc import Callable
from pathlib import Path

from kdspeech import console
from kdspeech.diagnosis import overfit_check
from kdspeech.diagnosis.case import Case
from kdspeech.diagnosis.collapse_check import CHECK as COLLAPSE
from kdspeech.diagnosis.collapse_check import check_collapse
from kdspeech.diagnosis.dump_check import CHECK as DUMPS
from kdspeech.diagnosis.dump_check import check_dumps
from kdspeech.diagnosis.finding import CANNOT_CHECK, Diagnosis, Finding, skipped
from kdspeech.diagnosis.frame_check import CHECK as FRAMES
from kdspeech.diagnosis.frame_check import check_frames
from kdspeech.diagnosis.movement_check import CHECK as MOVEMENT
from kdspeech.diagnosis.movement_check import check_movement
from kdspeech.diagnosis.score_checks import HELD_OUT_CHECK, SPLIT_CHECK, check_held_out, check_splits
from kdspeech.diagnosis.target_check import CHECK as TARGETS
from kdspeech.diagnosis.target_check import check_targets
from kdspeech.diagnosis.vocabulary_check import CHECK as VOCABULARY
from kdspeech.diagnosis.vocabulary_check import check_vocabulary
from kdspeech.errors import KdspeechError
from kdspeech.model_folders.runs import RunFolder
from kdspeech.protocols import StudentFamily
from kdspeech.workspace import Workspace

Check = Callable[[Case], Finding]

# In the order in which faults happen: what fails later may fail because of what failed before.
CHECKS: tuple[tuple[str, Check], ...] = (
    (VOCABULARY, check_vocabulary),
    (DUMPS, check_dumps),
    (TARGETS, check_targets),
    (FRAMES, check_frames),
    (overfit_check.CHECK, overfit_check.check_overfit),
    (MOVEMENT, check_movement),
    (COLLAPSE, check_collapse),
    (SPLIT_CHECK, check_splits),
    (HELD_OUT_CHECK, check_held_out),
)
_WIDTH = 90  # characters of evidence in a line
REPORT_NAME = "diagnosis.json"


def diagnose(workspace: Workspace, run: Path, *, students: StudentFamily, quick: bool = False) -> Diagnosis:
    """Checks a run, finished or not, and writes `diagnosis.json` into its folder, each time anew.

    Args:
        run: run folder.
        quick: leaves out what trains a student.

    Raises:
        RunError: the folder is no run.
    """
    case = Case(workspace, RunFolder(run), students)
    case.run.config()
    findings = []
    for name, check in console.track(CHECKS, "Checking the run"):
        if quick and name == overfit_check.CHECK:
            findings.append(skipped(name, "left out by --quick"))
        else:
            findings.append(_checked(name, check, case))
    diagnosis = Diagnosis(str(run), tuple(findings))
    diagnosis.save(run / REPORT_NAME)
    return diagnosis


def _checked(name: str, check: Check, case: Case) -> Finding:
    """A check's finding; what it stumbles over is a finding too."""
    try:
        return check(case)
    except KdspeechError as error:
        return Finding(name, "fail", "the check stopped", str(error), "", CANNOT_CHECK, is_symptom=True)


def print_diagnosis(diagnosis: Diagnosis) -> None:
    """The table, samples of what is not in order, and the verdict."""
    console.table(
        f"Diagnosis of {diagnosis.run}",
        ("check", "verdict", "evidence"),
        [(f.check, f.verdict, textwrap.fill(f.evidence, _WIDTH)) for f in diagnosis.findings],
        text_columns=3,
    )
    for finding in diagnosis.findings:
        if finding.verdict in ("warn", "fail") and finding.samples:
            console.result(f"{finding.check}, for example: {'; '.join(finding.samples)}")
    console.result(diagnosis.summary)
