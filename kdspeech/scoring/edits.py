"""How many words and characters must change between two texts.

Levenshtein (1966): the fewest substitutions, deletions and insertions that turn the reference into the hypothesis. That
number is unique; how it splits into the three kinds is not. `a b` said as `b c` is two substitutions, or one deletion
and one insertion around a right `b`. Where alignments cost the same, the split here is rapidfuzz's, and so jiwer's;
SpeechBrain and NeMo (kaldialign) both break such ties in Kaldi's way, with the same sum.
"""

from typing import NamedTuple

from rapidfuzz.distance import Levenshtein


class Edits(NamedTuple):
    """Counts of one alignment."""

    hits: int  # words
    substitutions: int  # words
    deletions: int  # words
    insertions: int  # words
    reference_characters: int  # code points, spaces between words included
    character_errors: int  # substitutions + deletions + insertions of characters


def count_edits(reference: str, hypothesis: str) -> Edits:
    """Aligns two normalised texts: words apart by single spaces; an empty text has none."""
    characters = len(reference)
    if reference == hypothesis:
        return Edits(_num_words(reference), 0, 0, 0, characters, 0)
    substitutions, deletions, insertions = _word_edits(reference.split(), hypothesis.split())
    return Edits(
        hits=_num_words(reference) - substitutions - deletions,
        substitutions=substitutions,
        deletions=deletions,
        insertions=insertions,
        reference_characters=characters,
        character_errors=Levenshtein.distance(reference, hypothesis),
    )


def _num_words(text: str) -> int:
    return text.count(" ") + 1 if text else 0


def _word_edits(reference: list[str], hypothesis: list[str]) -> tuple[int, int, int]:
    """Substitutions, deletions and insertions."""
    surplus = len(hypothesis) - len(reference)
    if len(reference) <= 1 or len(hypothesis) <= 1:  # then the split is unique: no alignment is needed
        shorter, longer = sorted((reference, hypothesis), key=len)
        substitutions = len(shorter) if shorter and shorter[0] not in longer else 0
        return substitutions, max(-surplus, 0), max(surplus, 0)
    number: dict[str, int] = {}  # rapidfuzz compares hashes of words: numbers cannot collide
    aligned = Levenshtein.editops(
        [number.setdefault(word, len(number)) for word in reference],
        [number.setdefault(word, len(number)) for word in hypothesis],
    )
    tags = [operation.tag for operation in aligned]
    return tags.count("replace"), tags.count("delete"), tags.count("insert")
