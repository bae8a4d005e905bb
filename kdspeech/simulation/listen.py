"""The listening page: one word by every simulated speaker, with its spectrogram."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from kdspeech import console
from kdspeech.audio import SAMPLE_RATE, load_audio
from kdspeech.corpora.uaspeech_speakers import BANDS
from kdspeech.report.media import data_uri, spectrogram_png
from kdspeech.report.page import write_page
from kdspeech.report.table import Table
from kdspeech.simulation.articulation import substitution_table
from kdspeech.simulation.corpus import CorpusSettings, audio_path
from kdspeech.simulation.dysarthria import STEADY, Condition, Production
from kdspeech.simulation.speakers import SimulatedSpeaker
from kdspeech.simulation.synthesiser import Voice, synthesiser

_WORD, _BLOCK = "november", "B1"
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
        audio=data_uri("audio/wav", path.read_bytes()),
        picture=data_uri("image/png", spectrogram_png(waveform)),
        width=len(waveform) / SAMPLE_RATE / whole_s,
    )


def _conditions(cast: Sequence[SimulatedSpeaker], settings: CorpusSettings) -> Table:
    """What severity has done to each speaker."""
    conditions = [settings.model.at(speaker.severity) for speaker in cast]
    signs = [field.name for field in fields(Condition) if field.name not in STEADY]
    rows = [(sign.replace("_", " "), *(f"{getattr(c, sign):.3g}" for c in conditions)) for sign in signs]
    severities = ("severity", *(f"{speaker.severity:.2f}" for speaker in cast))
    return Table("The model's values", ("sign", *(speaker.name for speaker in cast)), [severities, *rows])
