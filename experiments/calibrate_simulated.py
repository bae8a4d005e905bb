"""How near is the simulated UASpeech to the real one? Compares the cross-speaker WRA of single teachers."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from scipy.stats import spearmanr

from kdspeech import console
from kdspeech.audio import load_audio
from kdspeech.cli.main import run_command
from kdspeech.cli.options import common_options
from kdspeech.corpora.uaspeech_speakers import BANDS, SPEAKERS
from kdspeech.decoding.lexicon import LexiconScorer
from kdspeech.dumps.readback import pad_rows
from kdspeech.errors import KdspeechError
from kdspeech.fanout import default_jobs, run_jobs
from kdspeech.files import read_json, sha256_of_file, sha256_of_text, write_json, write_text
from kdspeech.model_folders.teacher_folder import read_teacher_card, teachers_of
from kdspeech.scoring.score import score_texts
from kdspeech.teachers import load_teacher
from kdspeech.utterance import Utterance
from kdspeech.workspace import Workspace

_REAL = Path(__file__).with_name("uaspeech_cross_speaker_wra.csv")
_REAL_OWN = {"HIGH": 93.6, "MID": 76.0, "LOW": 58.1, "VERY LOW": 25.3}  # WRA % on the own speaker; only these are known
_MAX_DIFFERENCE, _MIN_CORRELATION = 12.0, 0.9  # WRA points; Spearman's rho
_KINDS = ("ctc", "decoder", "word")
_BATCH = 64  # utterances whose words are scored together
_CELL = 34  # pixels


@dataclass(frozen=True)
class CrossWra:
    """WRA % of teachers (rows) on speakers (columns), S x S; NaN where unknown, as the real diagonal is."""

    speakers: tuple[str, ...]  # the best understood first
    wra: np.ndarray

    @property
    def others(self) -> np.ndarray:
        """[S] mean WRA of the other speakers' teachers on each speaker."""
        return np.array(np.nanmean(np.where(np.eye(len(self.speakers), dtype=bool), np.nan, self.wra), axis=0))

    def restricted(self, names: Sequence[str]) -> "CrossWra":
        """The rows and columns of these speakers."""
        indices = [self.speakers.index(name) for name in names]
        return CrossWra(tuple(names), self.wra[np.ix_(indices, indices)])


def read_real(path: Path = _REAL) -> CrossWra:
    """The matrix of the real corpus."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    header, *rows = csv.reader(lines)
    return CrossWra(tuple(header[1:]), np.array([[float(cell or "nan") for cell in row[1:]] for row in rows]))


def score_teacher(root: Path, teacher_id: str, every: int) -> dict[str, dict[str, float]]:
    """WRA % of one teacher on every speaker's test productions: kind -> speaker -> WRA.

    `ctc` is greedy CTC, `decoder` the attention decoder's greedy search, `word` the lexicon's likeliest word by CTC.
    """
    workspace = Workspace(root)
    teacher = load_teacher(workspace.teacher_dir(teacher_id))
    scorer = LexiconScorer(workspace.lexicon, teacher.vocabulary)
    spoken: dict[str, list[Utterance]] = {}
    for utterance in workspace.utterances:
        if utterance.split == "test":
            spoken.setdefault(utterance.speaker, []).append(utterance)
    found: dict[str, dict[str, float]] = {kind: {} for kind in _KINDS}
    for speaker, utterances in console.track(list(spoken.items()), f"Scoring by {teacher_id}"):
        heard: dict[str, dict[str, str]] = {kind: {} for kind in _KINDS}
        chosen = utterances[::every]
        for start in range(0, len(chosen), _BATCH):
            batch = chosen[start : start + _BATCH]
            no_references: list[tuple[int, ...]] = [()] * len(batch)  # the decoder is to find its own words
            rows = teacher.score([load_audio(u.audio_filepath) for u in batch], no_references)
            words = scorer.decode(*pad_rows([row.ctc_log_probs for row in rows if row.ctc_log_probs is not None]))
            for utterance, row, word in zip(batch, rows, words, strict=True):
                heard["word"][utterance.utt_id] = word.text
                for hypothesis in row.hypotheses:
                    heard[hypothesis.source][utterance.utt_id] = hypothesis.text
        references = {u.utt_id: u.text for u in chosen}
        for kind in _KINDS:
            found[kind][speaker] = score_texts(references, heard[kind]).wra
    return found


def score_teachers(workspace: Workspace, every: int) -> dict[str, dict[str, dict[str, float]]]:
    """Teacher -> kind -> speaker -> WRA %; what the same checkpoint scored before is read."""
    folder = workspace.reports_dir / "calibration"
    paths = {}
    for teacher_id in teachers_of(workspace):
        card = read_teacher_card(workspace.teacher_dir(teacher_id))
        key = sha256_of_text(f"{card.checkpoint_sha256} {sha256_of_file(workspace.manifest_path)} {every}")
        paths[teacher_id] = folder / f"{teacher_id}-{key[:12]}.json"
    waiting = [(workspace, teacher_id, every, path) for teacher_id, path in paths.items() if not path.exists()]
    if waiting:
        run_jobs(_score_and_keep, waiting, "Scoring by teachers", folder / "logs", default_jobs(len(waiting)))
    return {teacher_id: read_json(path) for teacher_id, path in paths.items()}


def _score_and_keep(workspace: Workspace, teacher_id: str, every: int, path: Path) -> None:
    write_json(path, score_teacher(workspace.root, teacher_id, every))


def cross_wra(scores: Mapping[str, Mapping[str, Mapping[str, float]]], kind: str, order: Sequence[str]) -> CrossWra:
    """The matrix of one kind, over the speakers that have a teacher.

    Raises:
        KdspeechError: no speaker of the real matrix has a teacher.
    """
    names = [name for name in order if name in scores]
    if not names:
        raise KdspeechError("the workspace has no teacher of a UASpeech speaker. Run `kdspeech train-teachers`.")
    return CrossWra(tuple(names), np.array([[scores[t][kind][s] for s in names] for t in names]))


@dataclass(frozen=True)
class Comparison:
    """One line of the table: a band's mean, real and simulated, in WRA %."""

    what: str  # own or other teachers
    band: str
    real: float
    simulated: float

    @property
    def is_near(self) -> bool:
        return abs(self.simulated - self.real) <= _MAX_DIFFERENCE


def compare(real: CrossWra, simulated: CrossWra) -> tuple[list[Comparison], float]:
    """Band means of own and of other speakers' teachers, and Spearman's rho of the speakers' mean difficulty."""
    lines = []
    for band in reversed(BANDS):
        members = [i for i, name in enumerate(simulated.speakers) if SPEAKERS[name].band == band]
        if members:
            own = float(np.diag(simulated.wra)[members].mean())
            others = [float(matrix.others[members].mean()) for matrix in (real, simulated)]
            lines += [Comparison("own", band, _REAL_OWN[band], own), Comparison("others", band, *others)]
    correlation = spearmanr(real.others, simulated.others).statistic
    return sorted(lines, key=lambda line: line.what, reverse=True), float(correlation)


def markdown(lines: Sequence[Comparison], correlation: float, real: CrossWra, simulated: CrossWra, picture: str) -> str:
    """The comparison for RESULTS.md."""
    table = [
        "| teachers | band | real WRA % | simulated WRA % | difference |",
        "| --- | --- | ---: | ---: | ---: |",
        *(
            f"| {line.what} | {line.band} | {line.real:.1f} | {line.simulated:.1f} | "
            f"{line.simulated - line.real:+.1f}{'' if line.is_near else ' (!)'} |"
            for line in lines
        ),
    ]
    difficulty = [
        "| " + " | ".join(("speaker", *simulated.speakers)) + " |",
        "| --- |" + " ---: |" * len(simulated.speakers),
        "| real | " + " | ".join(f"{value:.1f}" for value in real.others) + " |",
        "| simulated | " + " | ".join(f"{value:.1f}" for value in simulated.others) + " |",
    ]
    return "\n".join(
        [
            *table,
            "",
            f"Rank correlation of the speakers' mean difficulty (Spearman): {correlation:.3f}.",
            "",
            "Mean WRA % of the other speakers' teachers:",
            "",
            *difficulty,
            "",
            f"![Real and simulated cross-speaker WRA]({picture})",
            "",
        ]
    )


def heat_map(real: CrossWra, simulated: CrossWra) -> str:
    """Both matrices side by side as SVG; rows teachers, columns speakers, the darker the better."""
    size = len(real.speakers)
    side = _CELL * (size + 1)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {2 * side + _CELL} {side + _CELL}" '
        'font-family="sans-serif" font-size="11" text-anchor="middle">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for left, title, matrix in ((0, "real", real), (side + _CELL, "simulated", simulated)):
        parts.append(f'<g transform="translate({left} 0)"><text x="{side / 2}" y="16" font-size="14">{title}</text>')
        for i, name in enumerate(matrix.speakers):
            middle = _CELL * (i + 1.5)
            parts.append(f'<text x="{middle}" y="{_CELL - 4}">{name}</text>')
            parts.append(f'<text x="{_CELL / 2}" y="{middle + 4}">{name}</text>')
        parts += [
            _cell(_CELL * (column + 1), _CELL * (row + 1), value)
            for row, values in enumerate(matrix.wra)
            for column, value in enumerate(values)
        ]
        parts.append("</g>")
    return "\n".join([*parts, "</svg>", ""])


def _cell(x: int, y: int, wra: float) -> str:
    if np.isnan(wra):
        return f'<rect x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" fill="#eee"/>'
    red, green, blue = (round(255 + (dark - 255) * wra / 100) for dark in (8, 48, 107))
    ink = "white" if wra > 50 else "black"
    return (
        f'<rect x="{x}" y="{y}" width="{_CELL}" height="{_CELL}" fill="rgb({red},{green},{blue})"/>'
        f'<text x="{x + _CELL / 2}" y="{y + _CELL / 2 + 4}" fill="{ink}">{wra:.0f}</text>'
    )


@click.command()
@click.option("--kind", type=click.Choice(_KINDS), default="decoder", show_default=True, help="How teachers decode.")
@click.option("--every", type=click.IntRange(min=1), default=1, help="Score every n-th test production only.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Markdown file.  [default: reports/calibration.md of the workspace]",
)
@common_options
def command(workspace: Path, kind: str, every: int, out: Path | None) -> None:
    """Say how near the simulated UASpeech is to the real one, by the cross-speaker WRA of single teachers.

    Needs a workspace whose teachers are trained; they score every speaker's test productions here, without a dump. The
    real teachers decoded with their attention decoders over open vocabulary: `decoder` is what is compared with them.
    Prints band means, their differences and the rank correlation of the speakers' mean difficulty; writes them as
    Markdown with a heat map of both matrices beside it, as SVG. What a teacher has scored is kept until its checkpoint
    changes. The exit code is 1 if a band is not near enough.

    \b
    kdspeech prepare simulated --speakers all
    kdspeech pretrain && kdspeech train-teachers --speakers all
    python experiments/calibrate_simulated.py
    """
    place = Workspace(workspace)
    out = out or place.reports_dir / "calibration.md"
    real = read_real()
    simulated = cross_wra(score_teachers(place, every), kind, real.speakers)
    real = real.restricted(simulated.speakers)
    lines, correlation = compare(real, simulated)
    write_text(out, markdown(lines, correlation, real, simulated, out.with_suffix(".svg").name))
    write_text(out.with_suffix(".svg"), heat_map(real, simulated))
    rows = [(f"{x.what}, {x.band}", f"{x.real:.1f}", f"{x.simulated:.1f}", "yes" if x.is_near else "NO") for x in lines]
    console.table("Calibration", ("teachers, band", "real WRA %", "simulated WRA %", "within 12"), rows)
    console.result(
        f"Rank correlation of the speakers' difficulty: {correlation:.3f} (at least {_MIN_CORRELATION} wanted)."
    )
    console.remark(f"Wrote {out} and {out.with_suffix('.svg')}.")
    if correlation < _MIN_CORRELATION or not all(line.is_near for line in lines):
        click.get_current_context().exit(1)


if __name__ == "__main__":
    run_command(command)
