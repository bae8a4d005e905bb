"""How often CTC spikes of the same token lie on different frames: teacher against teacher, student against teacher."""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import click
import numpy as np
import torch

from kdspeech import console, students
from kdspeech.choices import DEFAULT_CHECKPOINT, MODES, Mode
from kdspeech.cli.main import run_command
from kdspeech.cli.options import (
    choices_callback,
    common_options,
    recipe_option,
    resolve_recipe,
    seed_option,
    speakers_option,
)
from kdspeech.decoding.ctc import greedy_ctc
from kdspeech.decoding.forced_alignment import share_of_displaced_spikes, spike_times_s
from kdspeech.dumps.store import open_store
from kdspeech.errors import KdspeechError
from kdspeech.evaluation.evaluate import decode_utterances
from kdspeech.model_folders.runs import RunFolder, load_student
from kdspeech.model_folders.teacher_folder import read_teacher_card, teachers_of
from kdspeech.protocols import Encoded, Student
from kdspeech.utterance import Utterance
from kdspeech.workspace import Workspace

_TOLERANCES = (0, 1, 2)  # frames
_SETS: dict[str, tuple[str, Callable[[Utterance, str], bool]]] = {  # name -> title, and which recordings it holds
    "valid": (
        "held-back productions of the training speakers",
        lambda utterance, held_out: utterance.speaker != held_out and utterance.split == "valid",
    ),
    "held-out": (
        "all recordings of the held-out speaker",
        lambda utterance, held_out: utterance.speaker == held_out,
    ),
}

Times = dict[str, np.ndarray]  # utterance id -> spike times in seconds, [U]


@dataclass(frozen=True)
class Spikes:
    """Where one system says the tokens of some recordings."""

    frame_shift_s: float
    times_s: Times  # without the recordings whose transcript it cannot align
    right: frozenset[str]  # recordings whose transcript greedy CTC gives


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    pairs: int
    tokens: int  # of a pair
    displaced: tuple[float, ...]  # share of tokens, by tolerance; mean over pairs
    later_ms: float  # median over tokens, mean over pairs; of the first system against the second
    displaced_of_right: float  # with tolerance 0, of the recordings that both systems of a pair hear rightly


def teacher_spikes(workspace: Workspace, teacher_id: str, utterances: Sequence[Utterance]) -> Spikes:
    """From the store.

    Raises:
        KdspeechError: the teacher is missing, was not dumped on these recordings or has another vocabulary.
    """
    store, card = open_store(workspace), read_teacher_card(workspace.teacher_dir(teacher_id))
    rows = store.read(
        teacher_id, "ctc", utterances, checkpoint_sha256=card.checkpoint_sha256, vocabulary=workspace.vocabulary
    )
    shift_s = store.describe(teacher_id, "ctc", utterances[0].speaker)[0].frame_shift_s
    return _spikes(workspace, {u.utt_id: cast(np.ndarray, rows[u.utt_id]) for u in utterances}, utterances, shift_s)


def student_spikes(workspace: Workspace, student: Student, utterances: Sequence[Utterance]) -> Spikes:
    """By listening."""

    def rows_of(encoded: Encoded) -> list[np.ndarray]:
        log_probs = student.ctc_log_probs(encoded).float().cpu().numpy()  # [B, T, V+1]
        return [rows[:frames] for rows, frames in zip(log_probs, encoded.num_frames.tolist(), strict=True)]

    with torch.inference_mode():
        rows = decode_utterances(student, utterances, rows_of)
    return _spikes(workspace, rows, utterances, student.frame_shift_s)


def _spikes(
    workspace: Workspace, rows: Mapping[str, np.ndarray], utterances: Sequence[Utterance], shift_s: float
) -> Spikes:
    vocabulary, right = workspace.vocabulary, set()
    found = {u.utt_id: spike_times_s(rows[u.utt_id], vocabulary.encode(u.text), shift_s) for u in utterances}
    for utterance in utterances:
        log_probs = torch.from_numpy(rows[utterance.utt_id])[None]  # [1, T, V+1]
        if greedy_ctc(log_probs, torch.tensor([log_probs.shape[1]]), vocabulary)[0].text == utterance.text:
            right.add(utterance.utt_id)
    return Spikes(shift_s, {i: times for i, times in found.items() if times is not None}, frozenset(right))


def compare(name: str, pairs: Sequence[tuple[Spikes, Spikes]], utt_ids: Sequence[str], frame_shift_s: float) -> Row:
    """One row: each pair of systems on the same tokens, and the mean over pairs."""
    shares, later_ms, of_right, tokens = [], [], [], 0
    for one, other in pairs:
        times, reference = (np.concatenate([spikes.times_s[i] for i in utt_ids]) for spikes in (one, other))
        shares.append([share_of_displaced_spikes(times, reference, frame_shift_s, limit) for limit in _TOLERANCES])
        later_ms.append(1000 * float(np.median(times - reference)))
        tokens = len(times)
        both = [i for i in utt_ids if i in one.right and i in other.right]
        if both:
            times, reference = (np.concatenate([spikes.times_s[i] for i in both]) for spikes in (one, other))
            of_right.append(share_of_displaced_spikes(times, reference, frame_shift_s))
    displaced = tuple(np.mean(shares, axis=0).tolist())
    return Row(
        name, len(pairs), tokens, displaced, float(np.mean(later_ms)), float(np.mean(of_right)) if of_right else np.nan
    )


def rows_of(
    workspace: Workspace,
    held_out: str,
    learners: Mapping[str, Student],
    utterances: Sequence[Utterance],
    chosen: Sequence[str] | None = None,
) -> list[Row]:
    """The rows of one set of recordings.

    Args:
        chosen: teachers to compare; None takes all but the held-out speaker's.

    Raises:
        KdspeechError: fewer than two teachers, or no recording that all systems can align.
    """
    names = [name for name in (chosen or teachers_of(workspace)) if name != held_out]
    if len(names) < 2 or not utterances:
        raise KdspeechError(
            f"{workspace.root}: {len(names)} teachers beside {held_out}'s and {len(utterances)} recordings; expected "
            "two teachers at least. Run `kdspeech train-teachers` and `kdspeech dump-teachers`, --speakers all."
        )
    teachers = [teacher_spikes(workspace, name, utterances) for name in names]
    found = {name: student_spikes(workspace, student, utterances) for name, student in learners.items()}
    everyone = [*teachers, *found.values()]
    utt_ids = [u.utt_id for u in utterances if all(u.utt_id in spikes.times_s for spikes in everyone)]
    if not utt_ids:
        raise KdspeechError(f"{workspace.root}: no recording's transcript can be aligned by every system.")
    shift_s = everyone[-1].frame_shift_s
    rows = [compare("teacher against teacher", list(itertools.combinations(teachers, 2)), utt_ids, shift_s)]
    for name, spikes in found.items():
        rows.append(compare(f"{name} student against teacher", [(spikes, t) for t in teachers], utt_ids, shift_s))
    return rows


def finished_students(
    workspace: Workspace, recipe: str, held_out: str, variants: Sequence[str], seed: int
) -> dict[str, Student]:
    """Those that were trained, by variant."""
    found = {}
    for variant in variants:
        run = RunFolder(workspace.runs_dir / recipe / held_out / variant / f"seed{seed}")
        if run.is_finished:
            found[variant] = load_student(run.path, students, DEFAULT_CHECKPOINT)
        else:
            console.remark(f"{run.path} is not finished: left out.")
    return found


def _cells(row: Row) -> list[str]:
    shares = (f"{100 * share:.1f}" for share in row.displaced)
    return [
        row.name,
        str(row.pairs),
        str(row.tokens),
        *shares,
        f"{row.later_ms:+.0f}",
        f"{100 * row.displaced_of_right:.1f}",
    ]


@click.command()
@click.option("--held-out", required=True, metavar="SPEAKER", help="The speaker that the students never heard.")
@click.option(
    "--modes",
    callback=choices_callback(MODES),
    default=",".join(MODES),
    metavar="MODE,...",
    show_default=True,
    help="Of the runs, separated by commas.",
)
@speakers_option("--teachers", required=False, help="[default: all but the held-out speaker's]")
@click.option(
    "--on",
    "sets",
    callback=choices_callback(list(_SETS)),
    default=",".join(_SETS),
    metavar="SET,...",
    show_default=True,
    help="Recordings.",
)
@seed_option
@recipe_option
@common_options
def command(
    workspace: Path,
    held_out: str,
    modes: tuple[Mode, ...],
    teachers: list[str] | None,
    sets: tuple[str, ...],
    seed: int,
    recipe: str | None,
) -> None:
    """Count how often CTC spikes of the same token lie on different frames.

    Needs the teachers' `ctc` dumps; of students the finished runs, if there are any. Each token's spike is the frame of
    a forced alignment on which its probability is highest (kdspeech/decoding/forced_alignment.py); frames are the
    student's, or the teachers' where there is no student. Two sets of recordings, each without the transcripts that
    some system cannot align: held-back productions of training speakers, and all of the held-out speaker's. The teacher
    of that speaker is left out. A system that hears another word has no spikes worth the name: the last column is of
    recordings that both get right.

    \b
    python experiments/alignment.py --held-out theo --modes labels,ctc-kd
    """
    place = Workspace(workspace)
    place.check_speakers([held_out])
    learners = finished_students(place, resolve_recipe(place, recipe).name, held_out, modes, seed)
    chosen = place.check_speakers(teachers) if teachers else None
    columns = (
        "systems",
        "pairs",
        "tokens",
        *(f"% off > {limit}" for limit in _TOLERANCES),
        "median ms later",
        "% off > 0, both right",
    )
    for name in sets:
        title, holds = _SETS[name]
        utterances = [u for u in place.utterances if holds(u, held_out)]
        rows = rows_of(place, held_out, learners, utterances, chosen)
        console.table(f"CTC spikes on another frame, {title}", columns, [_cells(row) for row in rows])


if __name__ == "__main__":
    run_command(command)
