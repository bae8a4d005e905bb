"""The leave-one-speaker-out table as a page."""

from pathlib import Path

from kdspeech.evaluation.loso_table import SHORT_NAMES, LosoTable
from kdspeech.report.page import write_page
from kdspeech.report.table import Table


def write_loso_page(path: Path, table: LosoTable) -> None:
    """Writes WRA as bars and a table, WER and the raw counts as tables.

    Raises:
        KdspeechError: the file cannot be written.
    """
    write_page(
        path,
        "Speakers never heard",
        "loso.html",
        settings=table.settings,
        legend=table.legend,
        is_transductive=table.is_transductive,
        macros=[(SHORT_NAMES[mode], table.macro_wra(mode)) for mode in table.decode_modes],
        wra=Table("WRA %", table.columns, table.wra_cells),
        wer=Table("WER %", table.columns, table.wer_cells),
        counts=Table(table.count_caption, table.count_columns, table.counts, text=(1,)),
    )
