"""Which words are taken for which."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from rapidfuzz.distance import Levenshtein

from kdspeech.evaluation.results import DecodedUtterance
from kdspeech.report.heat_map import HeatCell, HeatMap
from kdspeech.report.table import Table
from kdspeech.scoring.normalise import normalise

NOTHING = "(nothing)"
_OTHERS = "(others)"
_MOST_WORDS = 12  # rows of the map
_MOST_PAIRS = 200  # rows of the table
_EXAMPLES = 3


def word_pairs(reference: str, hypothesis: str) -> list[tuple[str, str]]:
    """Words of a Levenshtein alignment, wrong and right: (spoken, heard); NOTHING stands for a gap."""
    spoken, heard = normalise(reference).split(), normalise(hypothesis).split()
    number: dict[str, int] = {}  # rapidfuzz compares hashes of words: numbers cannot collide
    operations = Levenshtein.opcodes(
        [number.setdefault(word, len(number)) for word in spoken],
        [number.setdefault(word, len(number)) for word in heard],
    )
    pairs: list[tuple[str, str]] = []
    for operation in operations:
        said = spoken[operation.src_start : operation.src_end]
        got = heard[operation.dest_start : operation.dest_end]
        if operation.tag == "delete":
            pairs += [(word, NOTHING) for word in said]
        elif operation.tag == "insert":
            pairs += [(NOTHING, word) for word in got]
        else:
            pairs += zip(said, got, strict=True)
    return pairs


def confusion_map(caption: str, utterances: Iterable[DecodedUtterance]) -> HeatMap | None:
    """The words with the most errors, and what was heard in their place; None where nothing is wrong."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for utterance in utterances:
        for spoken, heard in word_pairs(utterance.reference, utterance.hypothesis):
            counts[spoken][heard] += 1
    errors = {word: found.total() - found[word] for word, found in counts.items() if word != NOTHING}
    words = sorted((w for w, n in errors.items() if n), key=lambda w: (-errors[w], w))[:_MOST_WORDS]
    if not words:
        return None
    words.sort()
    elsewhere = sum((counts[word] for word in words), Counter[str]())
    for known in (*words, NOTHING):
        del elsewhere[known]
    columns = [*words, *(h for h, _ in elsewhere.most_common(4) if elsewhere[h] > 1)]
    rows = []
    for word in words:
        found, total = counts[word], counts[word].total()
        values = [*(found[c] for c in columns), total - sum(found[c] for c in columns) - found[NOTHING], found[NOTHING]]
        cells = [
            HeatCell(str(n) if n else "·", n / total, marked=column == word)
            for column, n in zip([*columns, _OTHERS, NOTHING], values, strict=True)
        ]
        rows.append((f"{word} ({total})", cells))
    return HeatMap(caption, "spoken (times) \\ heard", (*columns, _OTHERS, NOTHING), rows)


def pair_table(caption: str, utterances: Sequence[DecodedUtterance]) -> Table:
    """What was said, what was heard instead, how often, and where to listen."""
    times: Counter[tuple[str, str]] = Counter()
    spoken: Counter[str] = Counter()
    where: dict[tuple[str, str], list[str]] = defaultdict(list)
    for utterance in utterances:
        for pair in word_pairs(utterance.reference, utterance.hypothesis):
            spoken[pair[0]] += 1
            if pair[0] != pair[1]:
                times[pair] += 1
                where[pair].append(utterance.utt_id)
    rows = [
        (
            pair[0],
            pair[1],
            str(count),
            "–" if pair[0] == NOTHING else f"{100 * count / spoken[pair[0]]:.1f}",
            ", ".join(dict.fromkeys(where[pair][:_EXAMPLES])),
        )
        for pair, count in times.most_common(_MOST_PAIRS)
    ]
    return Table(caption, ("spoken", "heard", "times", "% of the word", "for example"), rows, text=(1, 4))
