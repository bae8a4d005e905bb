"""What a check finds, and what all of them together say."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from kdspeech.files import write_json

Verdict = Literal["ok", "warn", "fail", "skipped"]

CANNOT_CHECK = "the check cannot run"


@dataclass(frozen=True)
class Finding:
    """One check's result."""

    check: str
    verdict: Verdict
    evidence: str  # the numbers that decide, in a line
    meaning: str  # what they mean
    advice: str = ""  # what to try next
    cause: str = ""  # the fault's name; "" where nothing is wrong
    is_symptom: bool = False  # something is wrong, but a later check may find out why
    numbers: Mapping[str, Any] = field(default_factory=dict)  # all that was measured, as JSON values
    samples: tuple[str, ...] = ()  # a few utterances to look at


@dataclass(frozen=True)
class Diagnosis:
    """All findings on one run."""

    run: str  # folder
    findings: tuple[Finding, ...]

    @property
    def failed(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.verdict == "fail")

    @property
    def first_cause(self) -> Finding | None:
        """The first failure that explains; a symptom only where nothing explains it. None if nothing failed."""
        causes = [finding for finding in self.failed if not finding.is_symptom]
        return next(iter((*causes, *self.failed)), None)

    @property
    def summary(self) -> str:
        """The verdict as a paragraph."""
        first = self.first_cause
        if first is not None:
            others = [f"{finding.check} ({finding.cause})" for finding in self.failed if finding is not first]
            follow = f" Also failing, and perhaps only because of it: {', '.join(others)}." if others else ""
            return f"First cause: {first.cause}. {first.meaning} Evidence: {first.evidence}. {first.advice}{follow}"
        warned = [finding for finding in self.findings if finding.verdict == "warn"]
        if warned:
            notes = " ".join(f"{finding.check}: {finding.meaning} {finding.advice}".strip() for finding in warned)
            return f"No fault found: nothing is broken. Worth a look: {notes}"
        checked = sum(finding.verdict == "ok" for finding in self.findings)
        return f"No fault found: {checked} of {len(self.findings)} checks ran, and all of them are in order."

    def to_dict(self) -> dict[str, Any]:
        first = self.first_cause
        return {
            "run": self.run,
            "first_cause": None if first is None else {"check": first.check, "cause": first.cause},
            "summary": self.summary,
            "findings": [asdict(finding) for finding in self.findings],
        }

    def save(self, path: Path) -> None:
        """Writes JSON, atomically."""
        write_json(path, self.to_dict())


def skipped(check: str, why: str) -> Finding:
    """The check has nothing to look at."""
    return Finding(check, "skipped", why, why)
