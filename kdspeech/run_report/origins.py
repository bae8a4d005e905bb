"""Where a run comes from, and what proves that it never met its held-out speaker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kdspeech.report.table import Table
from kdspeech.run_report.subject import Subject

_SHORT = 12  # characters of a hash


@dataclass(frozen=True)
class FoldCheck:
    """The proof of one run."""

    name: str
    checked: tuple[str, ...]
    unknown: tuple[str, ...]  # artefacts whose speakers nobody recorded
    transductive: int  # recordings of the held-out speaker that were heard
    missing: bool  # there is no proof


def origin_table(subjects: Sequence[Subject]) -> Table:
    """Settings, code, versions and hashes: a column for each run."""
    facts = [_facts(subject) for subject in subjects]
    names = dict.fromkeys(name for known in facts for name in known)
    rows = [(name, *(known.get(name, "–") for known in facts)) for name in names]
    return Table("Where the runs come from", ("", *(s.name for s in subjects)), rows, text=tuple(range(len(rows) + 1)))


def fold_checks(subjects: Sequence[Subject]) -> list[FoldCheck]:
    """What each run's fold proof says."""
    return [
        FoldCheck(
            s.name,
            tuple(s.proof.get("checked", ())),
            tuple(s.proof.get("unknown_provenance", ())),
            s.num_adaptation,
            not s.proof,
        )
        for s in subjects
    ]


def warnings(subjects: Sequence[Subject]) -> list[str]:
    """What must not be overlooked, a sentence each."""
    found = []
    for s in subjects:
        if s.num_adaptation:
            found.append(
                f"TRANSDUCTIVE: {s.name}. Its student heard {s.num_adaptation} recordings of {s.held_out} before the "
                "test, without their transcripts. It is no result on a speaker never heard: do not compare it with one."
            )
        if not s.proof:
            found.append(f"NO FOLD PROOF: {s.name}. Nothing shows that this run never met {s.held_out}.")
        if not s.run.is_finished:
            found.append(f"UNFINISHED: {s.name}. It has {len(s.epochs)} epochs; its figures are not final.")
        if s.proof.get("unknown_provenance"):
            unknown = ", ".join(s.proof["unknown_provenance"])
            found.append(f"UNKNOWN SPEAKERS: {s.name}. Nobody recorded whom these have heard: {unknown}.")
        if s.stale:
            files = ", ".join(s.stale)
            found.append(
                f"LEFT OUT: {s.name}. {files}: of another checkpoint than the run's. Run `kdspeech eval` again."
            )
    return found


def _facts(subject: Subject) -> dict[str, str]:
    config, provenance = subject.config, subject.provenance
    git = provenance.get("git")
    dirty = " with uncommitted changes" if git and git["dirty"] else ""
    stages = "; ".join(
        f"{stage['name']}: {stage['epochs']} epochs on {', '.join(stage['train'])}, "
        + " + ".join(f"{weight:g} {term}" for term, weight in stage["losses"].items())
        for stage in config["stages"]
    )
    facts = {
        "folder": str(subject.run.path),
        "recipe": str(config["recipe"]),
        "mode": str(config["mode"]),
        "held out": subject.held_out,
        "seed": str(subject.seed),
        "stages": stages,
        **{name: _listed(config.get(name)) for name in ("training", "student", "targets")},
        "started": str(provenance.get("started", "–")),
        "code": f"{git['sha'][:_SHORT]}{dirty}" if git else "not from a checkout",
        "python": str(provenance.get("python", "–")),
        "platform": str(provenance.get("platform", "–")),
        "versions": ", ".join(f"{name} {version}" for name, version in provenance.get("versions", {}).items()),
        "manifest": str(config["inputs"]["manifest"])[:_SHORT],
        "vocabulary": str(config["inputs"]["vocabulary"])[:_SHORT],
        "teachers": ", ".join(f"{name} {sha[:_SHORT]}" for name, sha in config["inputs"]["teachers"].items()) or "none",
    }
    for name, result in subject.results.items():
        settings = result.settings
        facts[f"results-{name}"] = f"{settings.checkpoint} checkpoint {settings.checkpoint_sha256[:_SHORT]}"
    return facts


def _listed(settings: Mapping[str, object] | None) -> str:
    return ", ".join(f"{key} {value}" for key, value in (settings or {}).items()) or "none"
