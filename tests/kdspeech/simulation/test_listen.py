"""The listening page holds every speaker's own recording and a picture of it."""

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kdspeech.audio import SAMPLE_RATE
from kdspeech.report.media import spectrogram_png
from kdspeech.simulation import corpus
from kdspeech.simulation.corpus import CorpusSettings, speak_part
from kdspeech.simulation.listen import write_listening_page
from kdspeech.simulation.words import all_words

pytest.importorskip("espeakng_loader")


def _pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)))


def test_a_tone_is_a_dark_line_at_its_height() -> None:
    times_s = np.arange(SAMPLE_RATE // 2) / SAMPLE_RATE
    pixels = _pixels(spectrogram_png(np.sin(2 * np.pi * 3000 * times_s).astype(np.float32)))
    assert pixels.shape[0] == 128
    assert pixels.shape[1] == pytest.approx(0.5 * SAMPLE_RATE / 64, abs=2)
    darkest = pixels[:, 20:-20].argmin(axis=0)
    np.testing.assert_allclose(8000 * (1 - (darkest + 0.5) / 128), 3000, atol=130)
    assert pixels[5, 60] > 200


def test_the_page_embeds_each_speakers_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = tuple(word for word in all_words() if word.text == "november")
    monkeypatch.setattr(corpus, "small_words", lambda: few)
    settings, names = CorpusSettings(), ["M08", "M01"]
    speak_part(tmp_path, settings, names, 0, 1)
    write_listening_page(tmp_path / "listen.html", tmp_path, settings, names)
    page = (tmp_path / "listen.html").read_text()
    sounds = re.findall(r'src="data:audio/wav;base64,([^"]+)"', page)
    expected = [
        (tmp_path / "audio" / "original" / name / f"{name}_B1_LN_M5.wav").read_bytes() for name in ("M08", "M01")
    ]
    assert [base64.b64decode(sound) for sound in sounds] == expected
    pictures = re.findall(r'href="data:image/png;base64,([^"]+)"', page)
    assert [_pixels(base64.b64decode(picture)).shape[0] for picture in pictures] == [128, 128]
    assert page.index(">HIGH<") < page.index(">VERY LOW<")
    assert "http" not in re.sub(r"data:[^\"]+", "", page).replace("http://www.w3.org", "")
