"""Single utterances of the runs of a page: which are drawn, which are only played, and why others are not."""

from collections.abc import Sequence
from functools import partial

from kdspeech.diagnosis.case import Case
from kdspeech.errors import KdspeechError
from kdspeech.evaluation.evaluate import decode_utterances
from kdspeech.protocols import StudentFamily
from kdspeech.run_report.alignment import look
from kdspeech.run_report.listening import Drawing, Heard, Recordings, chosen, draw, worst
from kdspeech.run_report.subject import Subject
from kdspeech.workspace import Workspace

_MAX_RUNS = 3  # whose utterances are drawn and played
_NUM_WORST, _NUM_WRONG, _NUM_RIGHT = 12, 4, 2  # for one run; shared by several


def draw_examples(
    workspace: Workspace, subjects: Sequence[Subject], mode: str, students: StudentFamily, recordings: Recordings
) -> tuple[list[Drawing], list[str]]:
    """Utterances heard again by the first runs' students, runs on one speaker side by side.

    Returns:
        The drawings, and what is not drawn and why, a line each.
    """
    fit, lines = [], []
    for subject in subjects:
        case = Case(workspace, subject.run, students)
        if not case.has_checkpoint:
            lines.append(f"Alignments of {subject.name}: no last.ckpt.")
        elif mode in subject.results and subject.utterances:
            fit.append((subject, case))
    if len(fit) > _MAX_RUNS:
        lines.append(f"Alignments and worst utterances: of the first {_MAX_RUNS} runs only.")
    fit = fit[:_MAX_RUNS]
    wanted: dict[str, list[str]] = {}  # held-out speaker -> the same utterances for all runs
    num_voices = len({subject.held_out for subject, _ in fit})
    drawings: list[Drawing] = []
    for subject, case in fit:
        wrong, right = (max(1, number // num_voices) for number in (_NUM_WRONG, _NUM_RIGHT))
        utt_ids = wanted.setdefault(subject.held_out, chosen(subject.results[mode].utterances, wrong, right))
        try:
            drawn = _draw(subject, case, [i for i in utt_ids if i in subject.utterances], recordings)
        except KdspeechError as error:  # a page about a run that cannot be heard again is a page still
            lines.append(f"Alignments of {subject.name}: {error}")
            continue
        drawings += drawn
        if not case.has_decoder:
            lines.append(f"Attention of {subject.name}: no stage trains its decoder.")
        elif any(drawing.look.attention is None for drawing in drawn):
            lines.append(f"Attention of {subject.name}: its decoder has no attention whose weights can be read.")
    order = [utt_id for utt_ids in wanted.values() for utt_id in utt_ids]
    return sorted(drawings, key=lambda drawing: order.index(drawing.utt_id)), lines


def worst_of_all(subjects: Sequence[Subject], mode: str, recordings: Recordings) -> list[Heard]:
    """The worst utterances of each of the first runs."""
    fit = [s for s in subjects if mode in s.results and s.utterances][:_MAX_RUNS]
    return [
        heard
        for s in fit
        for heard in worst(s.name, s.results[mode].utterances, s.utterances, recordings, _NUM_WORST // len(fit))
    ]


def _draw(subject: Subject, case: Case, utt_ids: Sequence[str], recordings: Recordings) -> list[Drawing]:
    utterances = [subject.utterances[utt_id] for utt_id in utt_ids]
    found = decode_utterances(case.student, utterances, partial(look, case.student, has_decoder=case.has_decoder))
    return [draw(subject.name, u, found[u.utt_id], recordings) for u in utterances]
