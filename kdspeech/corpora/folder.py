"""Any folder whose paths tell who says what: `speaker/word/1.wav`, or names after a pattern."""

import re
from pathlib import Path

from kdspeech.corpora.reader import Option, ReadCorpus, Reader, check_folder, files_ending, named
from kdspeech.corpora.splits import split_by_production
from kdspeech.errors import ConfigError, ManifestError
from kdspeech.utterance import Utterance

FIELDS = ("speaker", "word", "take", "microphone")
_REQUIRED = FIELDS[:2]
_FIELD = re.compile(r"\{([^{}]*)\}")


def read(root: Path, pattern: str = "{speaker}/{word}/{take}.wav") -> ReadCorpus:
    """Lists the recordings below `root` that fit the pattern, split 80/10/10 by production within each speaker.

    A field ends where the pattern's next character first occurs, and never holds a slash. A pattern without slash is
    held against the files' names, in whatever folder; one with slashes against the paths below `root`. In words an
    underscore stands for a space. Recordings that differ in `{microphone}` only are one production.

    The task's closed word list is not derived from the folder: give it with `--lexicon`.

    Raises:
        ManifestError: the folder is missing, or no file fits.
        ConfigError: the pattern is not one.
    """
    check_folder(root, "the folder of the recordings")
    expression = _expression(pattern)
    paths = files_ending(root, Path(pattern).suffix, below=True)
    utterances, strangers = [], []
    for path in paths:
        name = path.relative_to(root).as_posix()
        match = expression.fullmatch(name if "/" in pattern else path.name)
        if path.name.startswith(".") or match is None:
            strangers.append(name)
            continue
        found = match.groupdict()
        utt_id = path.relative_to(root).with_suffix("").as_posix()
        shared = [text for field, text in found.items() if field != "microphone"]
        utterances.append(
            Utterance(
                utt_id=utt_id,
                audio_filepath=str(path),
                duration=0.0,
                text=found["word"].replace("_", " "),
                speaker=found["speaker"],
                split="",
                production_id="_".join(shared) if "microphone" in found else utt_id,
                microphone=found.get("microphone", ""),
            )
        )
    if not utterances:
        raise ManifestError(
            f"{root}: none of {len(paths)} files ending in {Path(pattern).suffix!r} fits the pattern {pattern!r}"
            f"{f'; for example {strangers[0]}' if strangers else ''}. Give yours with --pattern."
        )
    gaps = (f"{len(strangers)} files do not fit the pattern {pattern!r}, left out: {named(strangers)}.",)
    return ReadCorpus(split_by_production(utterances), gaps=gaps if strangers else ())


def _expression(pattern: str) -> re.Pattern[str]:
    fields = _FIELD.findall(pattern)
    faults = [f"{{{name}}} stands twice" for name in dict.fromkeys(fields) if fields.count(name) > 1]
    faults += [f"there is no field {{{name}}}" for name in fields if name not in FIELDS]
    faults += [f"{{{name}}} is missing" for name in _REQUIRED if name not in fields]
    if not Path(pattern).suffix:
        faults.append("it has no ending such as .wav")
    if faults:
        raise ConfigError(
            f"the pattern {pattern!r} cannot be used: {'; '.join(faults)}. Expected something like "
            f"'{{speaker}}_{{word}}_{{take}}.wav', of {', '.join(FIELDS)}."
        )
    ending = Path(pattern).suffix
    parts = re.split(r"\{([^{}]*)\}", pattern.removesuffix(ending))  # text and names of fields in turn
    named_parts = (f"(?P<{p}>[^/]+?)" if i % 2 else re.escape(p) for i, p in enumerate(parts))
    return re.compile(f"{''.join(named_parts)}(?i:{re.escape(ending)})")


READER = Reader(
    name="folder",
    read=read,
    default_recipe="conformer_xs_from_speechbrain",
    help="A folder whose paths tell who says what.",
    source_help="Folder of the recordings.",
    options=(
        Option(
            "pattern",
            "Where speaker and word stand in a path, or in a file's name; also {take} and {microphone}.",
            metavar="PATTERN",
        ),
    ),
)
