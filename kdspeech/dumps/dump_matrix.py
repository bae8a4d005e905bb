"""The teacher-by-speaker table of a dump: what is in the store, decoded and scored against the references."""

from collections.abc import Mapping, Sequence

from kdspeech import console
from kdspeech.choices import Kind
from kdspeech.dumps.readback import decode_rows
from kdspeech.dumps.store import open_store
from kdspeech.files import write_json
from kdspeech.protocols import TeacherCard
from kdspeech.scoring.score import Scores, score_texts
from kdspeech.utterance import Utterance
from kdspeech.workspace import Workspace

_TITLES: dict[Kind, str] = {
    "ctc": "greedy CTC",
    "word": "closed lexicon",
    "hypotheses": "the teacher's own hypothesis",
    "decoder": "decoder, fed with the reference",
}
_PRINTED: tuple[Kind, ...] = ("ctc", "word", "hypotheses")  # the decoder sees the reference: only checked, not compared
MATRIX_NAME = "dump-matrix.json"

Matrix = dict[str, dict[str, Scores]]  # teacher -> speaker -> scores


def report_matrix(
    workspace: Workspace,
    cards: Mapping[str, TeacherCard],
    speakers: Sequence[str],
    kinds: Sequence[Kind],
    min_own: float,
) -> dict[Kind, Matrix]:
    """Decodes what is stored, prints a table a kind, warns of teachers that fail on their own speaker.

    A teacher's own speaker counts by its validation and test utterances only, which the teacher has not been trained
    on; the others by all their utterances. Counts and rates go to reports/dump-matrix.json.

    Args:
        min_own: % WRA below which a teacher is reported.
    """
    matrices = {kind: _matrix(workspace, cards, speakers, kind) for kind in kinds}
    for kind in [kind for kind in _PRINTED if kind in matrices]:
        if kind == "hypotheses" and "ctc" in matrices:
            continue
        _print(f"WRA (%) by {_TITLES[kind]}, own speaker in brackets", matrices[kind], speakers)
    for teacher_id in cards:
        _warn_if_weak(teacher_id, {kind: matrix[teacher_id] for kind, matrix in matrices.items()}, min_own)
    write_json(
        workspace.reports_dir / MATRIX_NAME,
        {
            kind: {t: {s: scores.to_dict() for s, scores in row.items()} for t, row in matrix.items()}
            for kind, matrix in matrices.items()
        },
    )
    return matrices


def _matrix(workspace: Workspace, cards: Mapping[str, TeacherCard], speakers: Sequence[str], kind: Kind) -> Matrix:
    matrix: Matrix = {}
    for teacher_id in console.track(list(cards), f"Decoding what was stored ({kind})"):
        matrix[teacher_id] = {
            speaker: _scores(workspace, cards[teacher_id], kind, _unheard(workspace, speaker, teacher_id))
            for speaker in speakers
        }
    return matrix


def _unheard(workspace: Workspace, speaker: str, teacher_id: str) -> list[Utterance]:
    """The speaker's utterances that the teacher was not trained on."""
    return [u for u in workspace.utterances if u.speaker == speaker and (speaker != teacher_id or u.split != "train")]


def _scores(workspace: Workspace, card: TeacherCard, kind: Kind, utterances: Sequence[Utterance]) -> Scores:
    store = open_store(workspace)
    vocabulary = workspace.vocabulary
    lexicon = workspace.lexicon if kind == "word" else None
    rows = store.read(
        card.teacher_id,
        kind,
        utterances,
        checkpoint_sha256=card.checkpoint_sha256,
        vocabulary=vocabulary,
        lexicon=lexicon,
    )
    return score_texts({u.utt_id: u.text for u in utterances}, decode_rows(kind, rows, vocabulary, lexicon))


def _print(title: str, matrix: Matrix, speakers: Sequence[str]) -> None:
    rows = []
    for teacher_id, row in matrix.items():
        others = [scores.wra for speaker, scores in row.items() if speaker != teacher_id]
        cells = [_cell(scores, speaker == teacher_id) for speaker, scores in row.items()]
        rows.append([teacher_id, *cells, f"{sum(others) / len(others):.1f}" if others else "-"])
    console.table(title, ["teacher / speaker", *speakers, "mean of others"], rows)


def _cell(scores: Scores, own: bool) -> str:
    text = f"{scores.wra:.1f}" if scores.utterances else "-"
    return f"[{text}]" if own else text


def _warn_if_weak(teacher_id: str, rows: Mapping[Kind, Mapping[str, Scores]], min_own: float) -> None:
    own = {kind: row[teacher_id] for kind, row in rows.items() if teacher_id in row}
    weak = {kind: scores for kind, scores in own.items() if scores.utterances and scores.wra < min_own}
    if weak:
        found = ", ".join(f"{scores.wra:.1f} % ({_TITLES[kind]})" for kind, scores in weak.items())
        count = next(iter(weak.values())).utterances
        console.warn(
            f"teacher {teacher_id} does not understand its OWN speaker: of {count} held-back utterances it gets "
            f"{found} right; expected at least {min_own:g} %. Its columns may be shifted, its blank misplaced or its "
            "training failed: mend it before training on it, or lower dump.min_own_wra if the speaker is that hard."
        )
