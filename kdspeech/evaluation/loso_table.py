"""The leave-one-speaker-out table: systems down, held-out speakers across, and the macro mean over speakers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from kdspeech import console
from kdspeech.choices import DecodeMode
from kdspeech.scoring.score import Scores

SHORT_NAMES: Mapping[DecodeMode, str] = {"ctc": "greedy", "decoder": "decoder", "lexicon": "lexicon"}
_MISSING = "–"

Measure = Callable[[Scores], float]


@dataclass(frozen=True)
class LosoRow:
    """One system on every fold."""

    name: str
    scores: Mapping[str, Mapping[DecodeMode, Scores]]  # held-out speaker -> decode mode -> counts; gaps are allowed
    transductive: bool = False  # the held-out speaker's recordings were heard, without their transcripts

    def macro(self, decode_mode: DecodeMode, measure: Measure) -> float | None:
        """Mean of the folds' rates, each fold counting the same; None if a fold has none."""
        cells = [fold.get(decode_mode) for fold in self.scores.values()]
        known = [measure(cell) for cell in cells if cell is not None]
        return sum(known) / len(known) if known and len(known) == len(cells) else None


@dataclass(frozen=True)
class LosoTable:
    """All systems on all folds."""

    folds: tuple[str, ...]  # held-out speakers
    num_utterances: Mapping[str, int]  # of each held-out speaker
    decode_modes: tuple[DecodeMode, ...]  # lexicon only where the corpus has one
    rows: tuple[LosoRow, ...]
    settings: Mapping[str, object] = field(default_factory=dict)  # corpus, recipe, seed
    details: Mapping[str, Mapping[str, object]] = field(default_factory=dict)  # fold -> what the rows leave out

    @property
    def is_transductive(self) -> bool:
        """True if a row's students have heard the held-out speakers' recordings, without transcripts."""
        return any(row.transductive for row in self.rows)

    @property
    def columns(self) -> tuple[str, ...]:
        """Headings."""
        return ("system", *(f"{fold} ({self.num_utterances[fold]})" for fold in self.folds), "macro mean")

    @property
    def legend(self) -> str:
        """How to read a cell."""
        modes = " / ".join(SHORT_NAMES[mode] for mode in self.decode_modes)
        return f"{modes}; {_MISSING} not available; the number of utterances in brackets"

    def cells(self, measure: Measure) -> list[tuple[str, ...]]:
        """The rows as text, one decimal, decode modes side by side."""
        return [
            (
                row.name,
                *(
                    self._cell({mode: measure(scores) for mode, scores in row.scores[fold].items()})
                    for fold in self.folds
                ),
                self._cell({mode: row.macro(mode, measure) for mode in self.decode_modes}),
            )
            for row in self.rows
        ]

    def _cell(self, rates: Mapping[DecodeMode, float | None]) -> str:
        shown = [rates.get(mode) for mode in self.decode_modes]
        if all(rate is None for rate in shown):
            return _MISSING
        return " / ".join(_MISSING if rate is None else f"{rate:.1f}" for rate in shown)

    @property
    def wra_cells(self) -> list[tuple[str, ...]]:
        """WRA % by system and speaker."""
        return self.cells(_wra)

    @property
    def wer_cells(self) -> list[tuple[str, ...]]:
        """WER % by system and speaker."""
        return self.cells(_wer)

    def macro_wra(self, decode_mode: DecodeMode) -> list[tuple[str, float | None]]:
        """Each system's macro mean of WRA %."""
        return [(row.name, row.macro(decode_mode, _wra)) for row in self.rows]

    def print(self) -> None:
        """The table of WRA on standard output."""
        console.table(f"WRA % on speakers never heard ({self.legend})", self.columns, self.wra_cells)

    def to_markdown(self) -> str:
        """WRA, WER and the raw counts."""
        parts = [
            "# Leave one speaker out",
            ", ".join(f"{name}: {value}" for name, value in self.settings.items()),
            f"Cells: {self.legend}.",
            "## WRA %",
            _markdown(self.columns, self.wra_cells),
            "## WER %",
            _markdown(self.columns, self.wer_cells),
            f"## {self.count_caption}",
            _markdown(self.count_columns, self.counts),
        ]
        return "\n\n".join(part for part in parts if part) + "\n"

    @property
    def count_caption(self) -> str:
        """How to read the counts."""
        return "Counts: right utterances of utterances, word errors of reference words"

    @property
    def count_columns(self) -> tuple[str, ...]:
        """Headings of the counts."""
        return ("system", "speaker", *(SHORT_NAMES[mode] for mode in self.decode_modes))

    @property
    def counts(self) -> list[tuple[str, ...]]:
        """Raw counts by system, speaker and decode mode."""
        return [
            (row.name, fold, *(_count(row.scores[fold].get(mode)) for mode in self.decode_modes))
            for row in self.rows
            for fold in self.folds
        ]

    def to_dict(self) -> dict[str, object]:
        """Everything, for JSON."""
        return {
            "settings": dict(self.settings),
            "decode_modes": list(self.decode_modes),
            "rows": [
                {
                    "name": row.name,
                    "folds": {
                        fold: {mode: scores.to_dict() for mode, scores in row.scores[fold].items()}
                        for fold in self.folds
                    },
                    "macro": {
                        mode: {"wra": row.macro(mode, _wra), "wer": row.macro(mode, _wer)} for mode in self.decode_modes
                    },
                }
                for row in self.rows
            ],
            "details": {fold: dict(values) for fold, values in self.details.items()},
        }


def _wra(scores: Scores) -> float:
    return scores.wra


def _wer(scores: Scores) -> float:
    return scores.wer


def _count(scores: Scores | None) -> str:
    if scores is None:
        return _MISSING
    return f"{scores.correct}/{scores.utterances}, {scores.errors}/{scores.reference_words}"


def _markdown(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [columns, ("---", *("---:" for _ in columns[1:])), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
