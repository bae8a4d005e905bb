"""The runs that a page is about, read from their folders."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kdspeech.errors import RunError
from kdspeech.evaluation.evaluate import stored_results
from kdspeech.evaluation.results import EvaluationResult
from kdspeech.files import read_json, sha256_of_file
from kdspeech.model_folders.runs import RunFolder
from kdspeech.supervision import settings_sha256, variant_of
from kdspeech.utterance import Utterance
from kdspeech.workspace import Workspace

_TITLES = {"ctc": "greedy CTC", "decoder": "attention decoder", "lexicon": "closed lexicon"}


@dataclass(frozen=True)
class Subject:
    """One run."""

    run: RunFolder
    system: str  # what runs of other speakers and seeds share: "decoder-kd student"
    config: Mapping[str, Any]
    proof: Mapping[str, Any]  # empty where the run has none
    provenance: Mapping[str, Any]
    results: Mapping[str, EvaluationResult]  # by the rest of the file's name: ctc, decoder, joint-beam8-best
    stale: tuple[str, ...]  # results of another checkpoint than the folder's: not used
    epochs: Sequence[Mapping[str, Any]]  # metrics.jsonl
    utterances: Mapping[str, Utterance]  # of the held-out speaker; empty if the workspace's manifest is another one now

    @property
    def held_out(self) -> str:
        return str(self.config["held_out"])

    @property
    def seed(self) -> int:
        return int(self.config["seed"])

    @property
    def name(self) -> str:
        """The run in a few words."""
        return f"{self.system}, {self.held_out} held out, seed {self.seed}"

    @property
    def num_adaptation(self) -> int:
        """Recordings of the held-out speaker that the student heard without their transcripts."""
        return int(self.proof.get("num_adaptation", 0))


def title_of(decoding: str) -> str:
    """A decode mode as people call it; what has options keeps the name of its file."""
    return _TITLES.get(decoding, decoding)


def _in_order(decoding: str) -> tuple[int, str]:
    known = list(_TITLES)
    return (known.index(decoding) if decoding in known else len(known), decoding)


def load_subjects(workspace: Workspace, runs: Sequence[Path]) -> list[Subject]:
    """Reads runs, finished or not.

    Raises:
        RunError: a folder is no run, or a results file cannot be read.
        ManifestError: the workspace holds no corpus.
    """
    folders = [RunFolder(path) for path in dict.fromkeys(runs)]
    configs = [folder.config() for folder in folders]
    manifest_sha256 = sha256_of_file(workspace.manifest_path) if workspace.manifest_path.exists() else ""
    return [
        _load(workspace, folder, config, system, manifest_sha256)
        for folder, config, system in zip(folders, configs, _systems(configs), strict=True)
    ]


def _load(
    workspace: Workspace, run: RunFolder, config: Mapping[str, Any], system: str, manifest_sha256: str
) -> Subject:
    results, stale = stored_results(run)
    same_corpus = config["inputs"]["manifest"] == manifest_sha256
    spoken = [u for u in workspace.utterances if u.speaker == config["held_out"]] if same_corpus else []
    proof = _read_if_there(run.proof_path)
    return Subject(
        run=run,
        system=f"{system}, transductive" if proof.get("num_adaptation") else system,
        config=config,
        proof=proof,
        provenance=_read_if_there(run.path / "provenance.json"),
        results={name: results[name] for name in sorted(results, key=_in_order)},
        stale=stale,
        epochs=_read_epochs(run.metrics_path),
        utterances={u.utt_id: u for u in spoken},
    )


def _systems(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each run is one of.

    Runs of other settings are other systems, even by the same recipe's name; so are runs that would be the same fold
    and seed of one system.
    """
    recipes = {config["recipe"] for config in configs}
    seen: Counter[tuple[object, ...]] = Counter()
    settings: dict[str, list[str]] = {}  # name -> hashes, in the order in which they come
    names = []
    for config in configs:
        name = f"{variant_of(config)} student" + (f" ({config['recipe']})" if len(recipes) > 1 else "")
        known, own = settings.setdefault(name, []), settings_sha256(config)
        if own not in known:
            known.append(own)
        name += f", settings {known.index(own) + 1}" if known.index(own) else ""
        place = (name, config["held_out"], config["seed"])
        seen[place] += 1
        names.append(name if seen[place] == 1 else f"{name} #{seen[place]}")
    return names


def _read_if_there(path: Path) -> Mapping[str, Any]:
    row: dict[str, Any] = read_json(path) if path.exists() else {}
    return row


def _read_epochs(path: Path) -> list[Mapping[str, Any]]:
    if not path.exists():
        return []
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
    except json.JSONDecodeError as error:
        raise RunError(f"{path} is not a log of epochs ({error}). Delete it, or train the run again.") from error
