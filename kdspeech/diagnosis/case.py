"""The run that is looked at, and what several checks need of it; everything is loaded once, and only when asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal, TypeVar, get_args

from kdspeech.choices import DEFAULT_CHECKPOINT, DecodeMode
from kdspeech.config import Recipe
from kdspeech.decoding.options import DEFAULT_OPTIONS, resolve
from kdspeech.decoding.recogniser import make_recogniser
from kdspeech.dumps.store import LogProbStore, open_store
from kdspeech.errors import RunError
from kdspeech.evaluation.evaluate import decode_utterances, results_path
from kdspeech.evaluation.results import EvaluationResult
from kdspeech.files import read_json, sha256_of_file
from kdspeech.folds import Fold, make_fold
from kdspeech.heads import Head, of_run, taught_heads, untaught
from kdspeech.hypothesis import Hypothesis
from kdspeech.model_folders.runs import RunFolder, load_student
from kdspeech.protocols import StudentFamily
from kdspeech.recipe_file import load_recipe
from kdspeech.scoring.score import Scores, score_texts
from kdspeech.targets.aggregate import targets_path
from kdspeech.targets.target_set import TargetSet
from kdspeech.utterance import Utterance
from kdspeech.workspace import Workspace

Split = Literal["train", "valid", "held-out"]
Item = TypeVar("Item")

SAMPLE = 200  # utterances decoded of each split


@dataclass(frozen=True)
class Case:
    """One run of a workspace."""

    workspace: Workspace
    run: RunFolder
    students: StudentFamily
    _decoded: dict[tuple[Split, DecodeMode], Mapping[str, Hypothesis]] = field(default_factory=dict, repr=False)

    @cached_property
    def config(self) -> dict[str, Any]:
        return self.run.config()

    @cached_property
    def recipe(self) -> Recipe:
        """As the run has stored it. Raises ConfigError if the file is missing."""
        return load_recipe(str(self.run.path / "recipe.yaml"))

    @property
    def held_out(self) -> str:
        return str(self.config["held_out"])

    @property
    def teachers(self) -> dict[str, str]:
        """Teacher -> hash of the checkpoint that the run learnt from; none for a run on labels alone."""
        return dict(self.config["inputs"]["teachers"])

    @cached_property
    def fold(self) -> Fold:
        return make_fold(self.workspace.utterances, self.held_out, list(self.teachers))

    @cached_property
    def store(self) -> LogProbStore:
        return open_store(self.workspace)

    @property
    def has_checkpoint(self) -> bool:
        """False while the run has not finished an epoch."""
        return (self.run.checkpoints_dir / f"{DEFAULT_CHECKPOINT}.ckpt").exists()

    @cached_property
    def student(self) -> Any:
        """A torch.nn.Module that is a `Student`, in eval mode. Raises RunError where there is no checkpoint."""
        return load_student(self.run.path, self.students)

    @cached_property
    def has_decoder(self) -> bool:
        """True if a stage trains the decoder on a loss that reaches it."""
        return "decoder" in self.heads

    @cached_property
    def heads(self) -> tuple[Head, ...]:
        """Those that some loss of the run reaches."""
        taught = taught_heads(of_run(self.config))
        return tuple(head for head in get_args(Head) if head in taught)

    @property
    def decode_modes(self) -> tuple[DecodeMode, ...]:
        """Those of a table whose heads were taught; the closed lexicon where there is one."""
        return tuple(mode for mode in self.workspace.table_modes if not untaught(mode, self.heads))

    @cached_property
    def targets(self) -> TargetSet | None:
        """What the run learnt from; None for a run on labels, and where the file is gone."""
        if not self.run.targets_path.exists():
            return None
        details = read_json(self.run.targets_path)
        path = targets_path(self.workspace, self.config["recipe"], self.held_out, details)
        return TargetSet.load(path) if path.exists() else None

    def utterances(self, split: Split) -> list[Utterance]:
        """A sample that is spread over the split."""
        whole = {"train": self.fold.train, "valid": self.fold.valid, "held-out": self.fold.test}[split]
        return spread(whole, SAMPLE)

    def hypotheses(self, split: Split, mode: DecodeMode) -> Mapping[str, Hypothesis]:
        """The sample, decoded now with the last checkpoint."""
        key = (split, mode)
        if key not in self._decoded:
            options = resolve(mode, DEFAULT_OPTIONS)  # no beam, no prior, no language model that could hide a fault
            recogniser = make_recogniser(self.student, mode, options, lexicon=lambda: self.workspace.lexicon)
            found = decode_utterances(self.student, self.utterances(split), recogniser.search)
            self._decoded[key] = {utt_id: recogniser.hypothesis(finding) for utt_id, finding in found.items()}
        return self._decoded[key]

    def scores(self, split: Split, mode: DecodeMode) -> Scores:
        """Of the sample; of all utterances where the held-out speaker was already evaluated."""
        stored = self.results(mode) if split == "held-out" else None
        if stored is not None:
            return stored.scores
        texts = {utt_id: hypothesis.text for utt_id, hypothesis in self.hypotheses(split, mode).items()}
        return score_texts({u.utt_id: u.text for u in self.utterances(split)}, texts)

    def results(self, mode: DecodeMode) -> EvaluationResult | None:
        """The held-out speaker's, if they are of the last checkpoint; None where there are none, or older ones."""
        path = results_path(self.run.path, mode)
        if not path.exists():
            return None
        result = EvaluationResult.load(path)
        return result if result.settings.checkpoint_sha256 == self.checkpoint_sha256 else None

    @cached_property
    def checkpoint_sha256(self) -> str:
        path = self.run.checkpoints_dir / f"{DEFAULT_CHECKPOINT}.ckpt"
        if not path.exists():
            raise RunError(f"{path} does not exist: the run has not finished an epoch.")
        return sha256_of_file(path)


def spread(items: Sequence[Item], count: int) -> list[Item]:
    """At most `count` of the items, at even distances, always the same."""
    if len(items) <= count:
        return list(items)
    return [items[index * len(items) // count] for index in range(count)]
