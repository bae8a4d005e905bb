"""UASpeech's word list: which word each key of a file name stands for."""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from kdspeech.corpora.mlf import read_mlf
from kdspeech.corpora.reader import named
from kdspeech.errors import ManifestError
from kdspeech.scoring.normalise import normalise

_SHEET, _KEY_COLUMN, _WORD_COLUMN = "Word_filename", "FILE NAME", "WORD"


def word_key(block: str, word: str) -> str:
    """The list's key of a file name's word: `B1_UW3` for uncommon words, which differ by block; else as in the name."""
    return f"{block}_{word}" if word.startswith("UW") else word


def read_word_list(root: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Reads `speaker_wordlist.xls`, or `mlf/SPEAKER/SPEAKER_word.mlf` of all speakers where there is none.

    Returns:
        The normalised word of each key (`D0`, `LA`, `C1`, `CW1`, `B1_UW1`), and what is to be reported.

    Raises:
        ManifestError: there is neither, or the files are of another form.
    """
    candidates = (root / "doc" / "speaker_wordlist.xls", root / "speaker_wordlist.xls")
    workbook = next((path for path in candidates if path.is_file()), None)
    if workbook is not None:
        return _from_workbook(workbook), ()
    label_files = sorted((root / "mlf").glob("*/*_word.mlf"))
    if not label_files:
        raise ManifestError(
            f"{root} has no word list: expected {candidates[0]}, or {root / 'mlf'}/SPEAKER/SPEAKER_word.mlf. Name the "
            "folder that holds audio/, doc/ and mlf/ with --root."
        )
    return _from_label_files(label_files)


def _from_workbook(path: Path) -> dict[str, str]:
    import xlrd

    try:
        sheet = xlrd.open_workbook(str(path), on_demand=True).sheet_by_name(_SHEET)
    except xlrd.XLRDError as error:
        raise ManifestError(
            f"{path}: not UASpeech's word list, an .xls workbook with a sheet {_SHEET} ({error}). Copy it again, or "
            "move it away: the label files in mlf/ do as well."
        ) from error
    rows = [[str(cell.value).strip() for cell in row] for row in sheet.get_rows()]
    header = [name.upper() for name in rows[0]] if rows else []
    missing = [name for name in (_KEY_COLUMN, _WORD_COLUMN) if name not in header]
    if missing:
        raise ManifestError(
            f"{path}, sheet {_SHEET}: no column {', '.join(missing)} among {', '.join(header) or 'none'}. "
            "Expected UASpeech's own word list."
        )
    key_column, word_column = header.index(_KEY_COLUMN), header.index(_WORD_COLUMN)
    words: dict[str, str] = {}
    for number, row in enumerate(rows[1:], start=2):
        key, word = row[key_column].upper(), normalise(row[word_column])
        if not key and not word:
            continue
        if not key or not word or words.setdefault(key, word) != word:
            raise ManifestError(
                f"{path}, sheet {_SHEET}, row {number}: found key {key!r} with word {word!r}"
                f"{f', above with {words[key]!r}' if key in words else ''}; expected one word for each key. Correct it."
            )
    return words


def _from_label_files(paths: list[Path]) -> tuple[dict[str, str], tuple[str, ...]]:
    """The word that most recordings of a key have; the others are reported."""
    entries = Counter[tuple[str, str]]()
    for path in paths:
        for name, text in read_mlf(path).items():
            fields = name.split("_")
            if len(fields) == 4:
                entries[word_key(fields[1], fields[2]), text] += 1
    votes: dict[str, Counter[str]] = {}
    for (key, text), count in entries.items():
        if word := normalise(text):
            votes.setdefault(key, Counter())[word] += count
    if not votes:
        raise ManifestError(f"{paths[0].parent.parent}: no entry is named like UASpeech's, F02_B1_CW3_M5.lab.")
    words = {key: counts.most_common(1)[0][0] for key, counts in votes.items()}
    return words, tuple(_disagreements(words, votes))


def _disagreements(words: Mapping[str, str], votes: Mapping[str, Counter[str]]) -> Iterator[str]:
    differing = [
        f"{key} {words[key]} ({counts[words[key]]} of {counts.total()})"
        for key, counts in votes.items()
        if len(counts) > 1
    ]
    if differing:
        yield (
            f"{len(differing)} words are not the same in all label files; the most frequent was taken: "
            f"{named(differing)}."
        )
