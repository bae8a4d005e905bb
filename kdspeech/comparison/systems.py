"""One system's answers, from one file or many: other folds, other seeds."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path

from kdspeech.errors import KdspeechError
from kdspeech.files import read_json
from kdspeech.scoring.formats.results import RESULTS, EvaluatedRun, read_run
from kdspeech.scoring.formats.rows import Detail
from kdspeech.scoring.formats.transcripts import Transcripts, read_transcripts
from kdspeech.scoring.joining import join
from kdspeech.scoring.normalise import Normaliser
from kdspeech.supervision import settings_sha256

_SHORT = 8  # characters of a hash


@dataclass(frozen=True)
class System:
    """How often each utterance is right; an utterance that stands in several files was decoded by several seeds."""

    files: tuple[str, ...]
    right: Mapping[str, int]  # utterance id -> files that have it right
    repeats: Mapping[str, int]  # utterance id -> files that have it
    references: Mapping[str, str]  # utterance id -> normalised reference, as the files or the reference say
    details: Mapping[Detail, Mapping[str, str]]  # speaker and production_id -> utterance id -> its value

    @property
    def seeds(self) -> tuple[int, int]:
        """The fewest and the most answers to one utterance."""
        return min(self.repeats.values()), max(self.repeats.values())

    def share(self, utt_id: str) -> float:
        """Of the utterance's answers, those that are right; 0 without any."""
        return self.right.get(utt_id, 0) / self.repeats.get(utt_id, 1)

    def missing(self, utt_ids: Iterable[str]) -> tuple[str, ...]:
        """Those that were not answered."""
        return tuple(utt_id for utt_id in utt_ids if utt_id not in self.repeats)


def find_files(pattern: str) -> list[Path]:
    """Files named by a path, by several with commas between, or by a pattern with `*`; each once.

    Raises:
        KdspeechError: a pattern that no file fits.
    """
    paths: list[Path] = []
    for part in (part.strip() for part in pattern.split(",")):
        found = [part] if Path(part).exists() else sorted(glob(part, recursive=True))
        if not found:
            raise KdspeechError(f"no file fits {part!r}. Name files of hypotheses, or a quoted pattern of them.")
        paths += [Path(path) for path in found]
    return list(dict.fromkeys(paths))


def read_system(
    paths: Sequence[Path],
    reference: Transcripts | None,
    normaliser: Normaliser,
    format_name: str | None = None,
) -> System:
    """Reads and pools a system's files.

    Args:
        reference: of all utterances; None takes the references in the files themselves.

    Raises:
        KdspeechError: a file cannot be read or has no references, two files have different references of an id, or
            two results of `kdspeech eval` are of different systems, or of the same fold and seed.
    """
    right: dict[str, int] = {}
    repeats: dict[str, int] = {}
    references: dict[str, str] = {}
    details: dict[Detail, dict[str, str]] = {"speaker": {}, "production_id": {}}
    runs: dict[Path, EvaluatedRun] = {}
    for path in paths:
        said = read_transcripts(path, format_name)
        if said.format == RESULTS.name:
            runs[path] = read_run(path)
        if reference is None and said.references is None:
            raise KdspeechError(f"{path} (read as {said.format}) holds no references; name their file with --ref.")
        joined = join(said if reference is None else reference, said)
        for utt_id, text in joined.references.items():
            if utt_id not in joined.hypotheses:
                continue
            spoken = normaliser(text)
            if references.setdefault(utt_id, spoken) != spoken:
                raise KdspeechError(
                    f"{path}: the reference of {utt_id!r} is {spoken!r}, in another file {references[utt_id]!r}. Give "
                    "the true ones with --ref."
                )
            right[utt_id] = right.get(utt_id, 0) + (normaliser(joined.hypotheses[utt_id]) == spoken)
            repeats[utt_id] = repeats.get(utt_id, 0) + 1
        for detail, known in details.items():
            values = zip(joined.references, joined.details.get(detail, ()), strict=False)
            known |= {utt_id: value for utt_id, value in values if value}  # none for what other files answered
    check_one_system(runs)
    if not repeats:
        raise KdspeechError(f"{', '.join(map(str, paths))}: no answer to any reference.")
    return System(tuple(map(str, paths)), right, repeats, references, details)


def check_one_system(runs: Mapping[Path, EvaluatedRun]) -> None:
    """Refuses to take the answers of several systems for seeds of one.

    A pattern with a `*` too many finds other recipes, too, and a recipe's folder may hold runs of other settings.

    Raises:
        KdspeechError: the files are of different recipes, modes, settings or ways of decoding, or two are of one fold
            and seed.
    """
    by_system: dict[str, Path] = {}
    for path, run in runs.items():
        by_system.setdefault(f"{run.system}{_settings_of(path)}", path)
    if len(by_system) > 1:
        found = "; ".join(f"{path} is of {system}" for system, path in by_system.items())
        raise KdspeechError(
            f"{found}: these are {len(by_system)} systems, and would be pooled as if they were seeds of one. Name the "
            "files of one, for example with its recipe in the place of a `*`, or without the seeds of other settings."
        )
    by_run: dict[tuple[str, int], Path] = {}
    for path, run in runs.items():
        other = by_run.setdefault((run.held_out, run.seed), path)
        if other != path:
            raise KdspeechError(f"{other} and {path} are both of held-out {run.held_out}, seed {run.seed}. Name one.")


def _settings_of(path: Path) -> str:
    """Names the settings of the run in whose folder a results file lies; nothing where it was copied elsewhere."""
    config = path.parent / "config.json"
    return f", settings {settings_sha256(read_json(config))[:_SHORT]}" if config.exists() else ""
