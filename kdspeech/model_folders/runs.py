"""The run folder: settings, where everything came from, checkpoints, and a marker that is written last."""

import importlib.metadata
import json
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from kdspeech.choices import DEFAULT_CHECKPOINT, Mode
from kdspeech.config import Recipe, StudentConfig
from kdspeech.errors import RunError
from kdspeech.files import read_json, write_json, write_text
from kdspeech.folds import FoldProof
from kdspeech.model_folders.checkpoints import load_checkpoint
from kdspeech.protocols import StudentFamily
from kdspeech.supervision import ALL_LABELS, Supervision, train_command
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace

_PACKAGES = ("kdspeech", "torch", "nemo_toolkit", "lightning", "sentencepiece", "soxr", "numpy")


@dataclass(frozen=True)
class RunFolder:
    """One training run on disk."""

    path: Path

    @property
    def config_path(self) -> Path:
        """Everything that decides the run, hashes of its inputs among it; two runs are the same if these are."""
        return self.path / "config.json"

    @property
    def student_path(self) -> Path:
        """The student's architecture, without any checkpoint that it started from."""
        return self.path / "student.json"

    @property
    def vocabulary_dir(self) -> Path:
        return self.path / "vocabulary"

    @property
    def proof_path(self) -> Path:
        return self.path / "fold_proof.json"

    @property
    def targets_path(self) -> Path:
        """Which targets the run learns from: teachers, settings and hashes of what they were pooled from."""
        return self.path / "targets.json"

    @property
    def metrics_path(self) -> Path:
        """One line an epoch."""
        return self.path / "metrics.jsonl"

    @property
    def checkpoints_dir(self) -> Path:
        return self.path / "checkpoints"

    @property
    def done_path(self) -> Path:
        """Written last; a run without it is unfinished."""
        return self.path / "done.json"

    @property
    def is_finished(self) -> bool:
        return self.done_path.exists()

    def config(self) -> dict[str, Any]:
        """What `start` wrote.

        Raises:
            RunError: the folder is no run.
        """
        if not self.config_path.exists():
            raise RunError(f"{self.path} is not a run: it has no {self.config_path.name}. Run `kdspeech train` first.")
        config: dict[str, Any] = read_json(self.config_path)
        return config

    def exists_with(self, config: Mapping[str, Any]) -> bool:
        """True if this run has an epoch or more with these settings, False if it has none with any.

        Raises:
            RunError: it was begun with others; names what differs.
        """
        has_epoch = (self.checkpoints_dir / "last.ckpt").exists()
        if not self.config_path.exists() or not (has_epoch or self.is_finished):
            return False
        faults = differences(self.config(), plain(config))
        if faults:
            raise RunError(
                f"{self.path} was made with other settings: {'; '.join(faults[:8])}. Redo it with --force, or choose "
                "another --workspace; another seed of other settings would be no seed of the same system."
            )
        return True

    def start(
        self,
        config: Mapping[str, Any],
        recipe: Recipe,
        vocabulary: Vocabulary,
        student: StudentConfig,
        proof: FoldProof,
    ) -> None:
        """Writes what the run can be understood and made again from; `config.json` last."""
        vocabulary.save(self.vocabulary_dir)
        write_text(self.path / "recipe.yaml", yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))
        write_json(self.student_path, student.model_dump(mode="json"))
        write_json(self.proof_path, proof.to_dict())
        write_json(self.path / "provenance.json", provenance())
        self.targets_path.unlink(missing_ok=True)
        write_json(self.config_path, config)

    def keep_target_details(self, details: Mapping[str, Any]) -> None:
        """Writes where the run's targets come from.

        Raises:
            RunError: the run was begun with others.
        """
        if self.targets_path.exists():
            self._check_targets(read_json(self.targets_path), details)
        write_json(self.targets_path, details)

    def check_dump(self, dump: Mapping[str, Any]) -> None:
        """Compares how targets are stored, which `config.json` does not say, with how the run's targets were.

        Raises:
            RunError: the run was begun with others.
        """
        kept = read_json(self.targets_path).get("dump") if self.targets_path.exists() else None
        if kept is not None:
            self._check_targets({"dump": kept}, {"dump": dump})

    def _check_targets(self, kept: Mapping[str, Any], details: Mapping[str, Any]) -> None:
        faults = differences(kept, plain(details))
        if faults:
            raise RunError(
                f"{self.path} was begun with other targets: {'; '.join(faults[:8])}. The dumps have changed since: "
                "redo the run with --force."
            )

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Marks the run as done."""
        write_json(self.done_path, {**summary, "finished": datetime.now(UTC).isoformat(timespec="seconds")})

    def clear(self) -> None:
        """Removes the run: its marker first, so that it never looks finished meanwhile, then what could be continued.

        Raises:
            RunError: something cannot be removed.
        """
        try:
            self.done_path.unlink(missing_ok=True)
            for folder in (self.checkpoints_dir, self.path):
                if folder.exists():
                    shutil.rmtree(folder)
        except OSError as error:
            raise RunError(f"cannot remove {error.filename}: {error.strerror}. Remove it, and try again.") from error


def differences(old: Any, new: Any, key: str = "") -> list[str]:
    """What two plain values differ in, one line each."""
    if isinstance(old, dict) and isinstance(new, dict):
        keys = [*old, *(k for k in new if k not in old)]
        return [line for k in keys for line in differences(old.get(k), new.get(k), f"{key}.{k}" if key else str(k))]
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        pairs = enumerate(zip(old, new, strict=True))
        return [line for i, (a, b) in pairs for line in differences(a, b, f"{key}.{i}")]
    return [] if old == new else [f"{key} was {_short(old)}, now {_short(new)}"]


def plain(value: Any) -> Any:
    """As it would be read back from JSON: tuples as lists."""
    return json.loads(json.dumps(value))


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 40 else f"{text[:37]}..."


def provenance() -> dict[str, Any]:
    """Code and library versions; `git` is null where the package does not lie in a checkout."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: _version(name) for name in _PACKAGES},
        "git": _git_state(Path(__file__).parent),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git_state(folder: Path) -> dict[str, Any] | None:
    """Commit and whether tracked files were changed; None if git is missing or does not track this file."""
    try:
        _git(folder, "ls-files", "--error-unmatch", Path(__file__).name)  # not merely inside somebody else's checkout
        return {"sha": _git(folder, "rev-parse", "HEAD"), "dirty": _git(folder, "status", "--porcelain", "-uno") != ""}
    except (OSError, subprocess.SubprocessError):
        return None


def _git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.strip()


def find_run(
    workspace: Workspace,
    held_out: str | None = None,
    mode: Mode | None = None,
    seed: int | None = None,
    supervision: Supervision = ALL_LABELS,
    unfinished: bool = False,
    recipe: str | None = None,
) -> Path:
    """The newest finished run, of a held-out speaker, a mode, a seed and a recipe where they are given.

    Args:
        supervision: of the run, where its mode is given; without one any will do.
        unfinished: the newest that was begun will do.

    Raises:
        RunError: there is none; says how to make it.
    """
    marker = "config.json" if unfinished else "done.json"
    variant = None if mode is None else supervision.variant(mode)
    found = [
        path
        for path in workspace.runs_dir.glob(f"*/*/*/seed*/{marker}")
        if recipe in (None, path.parts[-5])
        and held_out in (None, path.parts[-4])
        and variant in (None, path.parts[-3])
        and (seed is None or path.parts[-2] == f"seed{seed}")
    ]
    if not found:
        raise RunError(
            f"{workspace.runs_dir} holds no {'' if unfinished else 'finished '}run (held-out speaker "
            f"{held_out or 'any'}, mode {variant or 'any'}, seed {'any' if seed is None else seed}, recipe "
            f"{recipe or 'any'}). "
            f"Run `{train_command(held_out, mode, supervision, seed)}{f' --recipe {recipe}' if recipe else ''}`."
        )
    return max(found, key=lambda path: path.stat().st_mtime_ns).parent


def load_student(run_dir: Path, students: StudentFamily, checkpoint: str = DEFAULT_CHECKPOINT) -> Any:
    """A trained student, rebuilt from its run folder alone, in eval mode.

    Args:
        checkpoint: `best`, `last`, or another name in the run's checkpoints folder.

    Returns:
        A torch.nn.Module that is a `kdspeech.protocols.Student`.

    Raises:
        RunError: the folder is no run, or has no such checkpoint.
    """
    run = RunFolder(run_dir)
    run.config()
    saved = load_checkpoint(run.checkpoints_dir / f"{checkpoint}.ckpt")
    config = StudentConfig.model_validate(read_json(run.student_path))
    student = students.build_student(config, Vocabulary.load(run.vocabulary_dir), seed=0)
    student.load_state_dict(saved["student"])
    return student.eval()
