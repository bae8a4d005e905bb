"""The listening page: one word by every simulated speaker, with its spectrogram."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.signal import stft

from kdspeech import console
from kdspeech.audio import SAMPLE_RATE, load_audio
from kdspeech.corpora.uaspeech_speakers import BANDS
from kdspeech.report.page import write_page
from kdspeech.report.table import Table
from kdspeech.simulation.articulation import substitution_table
from kdspeech.simulation.corpus import CorpusSettings, audio_path
from kdspeech.simulation.dysarthria import STEADY, Condition, Production
from kdspeech.simulation.speakers import SimulatedSpeaker
from kdspeech.simulation.synthesiser import Voice, synthesiser

_WORD, _BLOCK = "november", "B1"
_WINDOW = 96  # samples; 6 ms: wide bands, so that formants show and harmonics do not
_HOP = 64  # samples; 4 ms a pixel
_HEIGHT = 128  # pixels for 0-8 kHz
_RANGE_DB = 55.0  # from white to black
_WHOLE_S = 2.4  # seconds over the width of a picture, at least


@dataclass(frozen=True)
class Voiced:
    """One speaker on the page."""

    name: str
    band: str
    severity: str
    said: str  # the phonemes, before slips
    duration_s: float
    audio: str  # data URI
    picture: str  # data URI
    width: float  # of the picture, as a share of the page's time axis, 0-1


def write_listening_page(
    path: Path, root: Path, settings: CorpusSettings, speakers: Sequence[str] | None = None
) -> None:
    """Writes the page from recordings of the corpus.

    Args:
        root: a corpus that `write_simulated_corpus` has written.
        speakers: only these; None takes all.

    Raises:
        KdspeechError: the page cannot be written, or a recording is missing.
    """
    cast = settings.speakers(speakers)
    production = {
        s.name: next(p for p in settings.productions(s) if (p.text, p.block) == (_WORD, _BLOCK)) for s in cast
    }
    waveforms = {
        name: load_audio(audio_path(root, spoken, settings.microphones[0])) for name, spoken in production.items()
    }
    whole_s = max(_WHOLE_S, *(len(waveform) / SAMPLE_RATE for waveform in waveforms.values()))
    voiced = [
        _voiced(
            speaker,
            production[speaker.name],
            waveforms[speaker.name],
            audio_path(root, production[speaker.name], settings.microphones[0]),
            settings,
            whole_s,
        )
        for speaker in cast
    ]
    bands = [(band, [v for v in voiced if v.band == band]) for band in reversed(BANDS)]
    write_page(
        path,
        "Simulated speakers",
        "listen.html",
        word=_WORD,
        intended=" ".join(synthesiser().phonemes(_WORD, Voice())),
        bands=[(band, of_band) for band, of_band in bands if of_band],
        whole_s=whole_s,
        ticks=[0.5 * n for n in range(int(2 * whole_s) + 1)],
        conditions=_conditions(cast, settings),
    )
    console.remark(f"Wrote {path}.")


def _voiced(
    speaker: SimulatedSpeaker,
    production: Production,
    waveform: np.ndarray,
    path: Path,
    settings: CorpusSettings,
    whole_s: float,
) -> Voiced:
    strength = settings.model.at(speaker.severity).substitution
    table = substitution_table(speaker.name, strength, settings.seed)
    return Voiced(
        name=speaker.name,
        band=speaker.band,
        severity=f"{speaker.severity:.2f}",
        said=" ".join(table.apply(synthesiser().phonemes(production.text, speaker.voice))),
        duration_s=len(waveform) / SAMPLE_RATE,
        audio=_data_uri("audio/wav", path.read_bytes()),
        picture=_data_uri("image/png", spectrogram_png(waveform)),
        width=len(waveform) / SAMPLE_RATE / whole_s,
    )


def spectrogram_png(waveform: np.ndarray) -> bytes:
    """A wide-band spectrogram, 0-8 kHz from bottom to top, 4 ms a pixel, black the loudest.

    Args:
        waveform: float32 [N] at 16 kHz.
    """
    _, _, spectrum = stft(waveform, SAMPLE_RATE, nperseg=_WINDOW, noverlap=_WINDOW - _HOP, nfft=2 * _HEIGHT)
    level_db = 20 * np.log10(np.abs(spectrum[1:]) + 1e-10)  # [128, T]
    level_db += 6.0 * np.log2(np.arange(1, _HEIGHT + 1) / _HEIGHT)[:, None]  # against the slope of speech
    darkness = np.clip(1 + (level_db - level_db.max()) / _RANGE_DB, 0, 1)
    picture = Image.fromarray((255 * (1 - darkness[::-1])).astype(np.uint8), mode="L")
    buffer = io.BytesIO()
    picture.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _data_uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _conditions(cast: Sequence[SimulatedSpeaker], settings: CorpusSettings) -> Table:
    """What severity has done to each speaker."""
    conditions = [settings.model.at(speaker.severity) for speaker in cast]
    signs = [field.name for field in fields(Condition) if field.name not in STEADY]
    rows = [(sign.replace("_", " "), *(f"{getattr(c, sign):.3g}" for c in conditions)) for sign in signs]
    severities = ("severity", *(f"{speaker.severity:.2f}" for speaker in cast))
    return Table("The model's values", ("sign", *(speaker.name for speaker in cast)), [severities, *rows])
