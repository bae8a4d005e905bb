"""What each teacher understands of each speaker, from the table that `dump-teachers` left."""

from collections.abc import Sequence

from kdspeech.dumps.dump_matrix import MATRIX_NAME
from kdspeech.files import read_json
from kdspeech.report.heat_map import HeatCell, HeatMap
from kdspeech.workspace import Workspace

_TITLES = {"ctc": "greedy CTC", "word": "closed lexicon", "hypotheses": "the teacher's own hypothesis"}


def teacher_maps(workspace: Workspace, held_out: Sequence[str]) -> list[HeatMap]:
    """A map for each way of decoding; none where nothing was dumped. Held-out speakers are starred."""
    path = workspace.reports_dir / MATRIX_NAME
    if not path.exists():
        return []
    maps: list[HeatMap] = []
    for kind, matrix in read_json(path).items():
        if kind not in _TITLES or (kind == "hypotheses" and maps):
            continue
        speakers = list(dict.fromkeys(speaker for row in matrix.values() for speaker in row))
        rows = [
            (teacher, [_cell(row.get(speaker), speaker == teacher) for speaker in speakers])
            for teacher, row in matrix.items()
        ]
        columns = [f"{speaker} *" if speaker in held_out else speaker for speaker in speakers]
        maps.append(HeatMap(f"Teachers' WRA %, {_TITLES[kind]}", "teacher \\ speaker", columns, rows))
    return maps


def _cell(scores: dict[str, float] | None, own: bool) -> HeatCell:
    if not scores or not scores["utterances"]:
        return HeatCell("–", marked=own)
    text = f"{scores['wra']:.0f}"
    return HeatCell(f"[{text}]" if own else text, scores["wra"] / 100, own)
