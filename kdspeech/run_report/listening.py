"""Utterances to listen to: the worst ones, and a few with everything that the student heard in them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kdspeech.audio import SAMPLE_RATE, load_audio
from kdspeech.errors import AudioError
from kdspeech.evaluation.results import DecodedUtterance
from kdspeech.report.media import darkness_png, data_uri, flac_uri, spectrogram_png
from kdspeech.run_report.alignment import Look
from kdspeech.scoring.edits import count_edits
from kdspeech.scoring.normalise import normalise
from kdspeech.utterance import Utterance

MAX_BYTES = 6_000_000  # of all sound on a page
MAX_SECONDS = 20.0  # of one recording
_SAME_MISTAKE = 2  # of one word heard as one other


@dataclass(frozen=True)
class Heard:
    """One wrong answer with its sound."""

    run: str
    answer: DecodedUtterance
    character_errors: float  # % of the reference's characters
    audio: str  # data URI; "" where it was left out


@dataclass(frozen=True)
class Drawing:
    """One utterance with its spectrogram; places go from 0 (begin) to 1 (end of the recording)."""

    run: str
    utt_id: str
    reference: str
    look: Look
    duration_s: float
    audio: str  # data URI; "" where it was left out
    picture: str  # data URI
    attention: str  # data URI of a picture, a row for each piece; "" where there is none
    ticks: tuple[float, ...]  # seconds

    def place(self, frame: float) -> float:
        """Where a frame begins."""
        return min(1.0, frame * self.look.frame_shift_s / self.duration_s)

    @property
    def description(self) -> str:
        """The picture in words, for those who do not see it."""
        shift = self.look.frame_shift_s
        spans = ", ".join(f"{s.piece} from {s.start * shift:.2f} to {s.end * shift:.2f} s" for s in self.look.spans)
        return f"Spectrogram of {self.utt_id}, {self.duration_s:.2f} s, 0 to 8 kHz. CTC tokens: {spans or 'none'}."


class Recordings:
    """Gives recordings as data URIs until the page has enough of them."""

    def __init__(self, wanted: bool) -> None:
        self.num_embedded, self.num_left_out = 0, 0
        self._wanted, self._bytes = wanted, 0

    def uri(self, utterance: Utterance) -> str:
        """A data URI; empty for what is not wanted, too long, too much or not readable."""
        if not self._wanted:
            return ""
        try:
            uri = flac_uri(load_audio(utterance.audio_filepath)) if utterance.duration <= MAX_SECONDS else ""
        except AudioError:
            uri = ""
        if not uri or self._bytes + len(uri) > MAX_BYTES:
            self.num_left_out += 1
            return ""
        self._bytes += len(uri)
        self.num_embedded += 1
        return uri


def worst(
    run: str, answers: Sequence[DecodedUtterance], spoken: Mapping[str, Utterance], recordings: Recordings, most: int
) -> list[Heard]:
    """Wrong answers, those with the most wrong characters first, among them those that the student was surest of.

    Of the same mistake, two.
    """
    wrong = [(_character_errors(u), u) for u in answers if not u.correct and u.utt_id in spoken]
    wrong.sort(key=lambda pair: (-pair[0], -(pair[1].confidence or 0.0)))
    times: Counter[tuple[str, str]] = Counter()
    heard: list[Heard] = []
    for errors, u in wrong:
        times[u.reference, u.hypothesis] += 1
        if times[u.reference, u.hypothesis] <= _SAME_MISTAKE and len(heard) < most:
            heard.append(Heard(run, u, errors, recordings.uri(spoken[u.utt_id])))
    return heard


def chosen(answers: Sequence[DecodedUtterance], num_wrong: int, num_right: int) -> list[str]:
    """Utterances to draw, each of another word: the wrong ones that the student was surest of, then right ones."""
    surest = sorted(answers, key=lambda u: -(u.confidence if u.confidence is not None else u.log_prob))
    wrong: dict[str, str] = {}  # reference -> its surest error, the surest first
    for u in (u for u in surest if not u.correct):
        wrong.setdefault(u.reference, u.utt_id)
    shown = list(wrong)[:num_wrong]
    right = {u.reference: u.utt_id for u in answers if u.correct and u.reference not in shown}
    return [*(wrong[reference] for reference in shown), *list(right.values())[:num_right]]


def draw(run: str, utterance: Utterance, found: Look, recordings: Recordings) -> Drawing:
    """Raises AudioError if the recording cannot be read."""
    waveform = load_audio(utterance.audio_filepath)
    duration_s = len(waveform) / SAMPLE_RATE
    step = next(s for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, duration_s) if duration_s / s <= 12)
    attention = found.attention
    return Drawing(
        run=run,
        utt_id=utterance.utt_id,
        reference=utterance.text,
        look=found,
        duration_s=duration_s,
        audio=recordings.uri(utterance),
        picture=data_uri("image/png", spectrogram_png(waveform)),
        attention="" if attention is None else data_uri("image/png", darkness_png(attention / attention.max())),
        ticks=tuple(round(step * n, 3) for n in range(int(duration_s / step) + 1)),
    )


def _character_errors(answer: DecodedUtterance) -> float:
    edits = count_edits(normalise(answer.reference), normalise(answer.hypothesis))
    return 100.0 * edits.character_errors / max(edits.reference_characters, 1)
