"""The microphone page in a real browser, with a microphone that plays a file."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import soundfile

from kdspeech.audio import SAMPLE_RATE
from kdspeech.decoding.options import DecodeOptions
from kdspeech.lexicon import Lexicon
from kdspeech.recipe_file import load_recipe
from kdspeech.serving.app import Limits
from kdspeech.serving.serve import listen, make_server
from kdspeech.training.train import train
from kdspeech.transcription.transcriber import Transcriber
from kdspeech.vocabulary import Vocabulary
from tests.chromium import CHROMIUM, NEEDS_CHROMIUM, WAIT_MS
from tests.doubles import FakeStudents, make_workspace, synthetic_waveform

if TYPE_CHECKING:
    from playwright.sync_api import Page

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
pytestmark = NEEDS_CHROMIUM
RECIPE = load_recipe("conformer_xs_from_speechbrain", ("stages.0.epochs=1",))


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory, lexicon: Lexicon, vocabulary: Vocabulary) -> Iterator[str]:
    workspace = make_workspace(tmp_path_factory.mktemp("page") / "w", lexicon, vocabulary, repetitions=3)
    students = FakeStudents(lexicon)
    run = train(workspace, "bert", "labels", recipe=RECIPE, students=students)
    options = DecodeOptions(nbest=3)
    transcriber = Transcriber(run, "lexicon", students=students, lexicon=lambda: lexicon, options=options)
    listener = listen("127.0.0.1", 0)
    server = make_server(transcriber, "127.0.0.1", Limits(max_bytes=200_000, max_duration_s=3.0))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    server.should_exit = True
    thread.join()


@pytest.fixture
def page(address: str) -> "Iterator[Page]":
    """The page, opened; a request to any other server fails the test."""
    with sync_api.sync_playwright() as playwright:
        flags = ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags, timeout=WAIT_MS)
        opened = browser.new_page()
        opened.set_default_timeout(WAIT_MS)
        asked: list[str] = []
        opened.on("request", lambda request: asked.append(request.url))
        opened.goto(address)
        yield opened
        browser.close()
        assert all(url.startswith((address, f"blob:{address}")) for url in asked)


def test_a_file_gets_its_ranked_answers(page: "Page", lexicon: Lexicon, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "word.wav", synthetic_waveform(5, 1), SAMPLE_RATE)
    page.set_input_files("#file", tmp_path / "word.wav")
    page.wait_for_selector("#answers li")
    assert page.locator("#answers li").count() == 3
    assert page.locator("#answers li .text").first.inner_text() == lexicon.words[5]
    assert page.inner_text("#status") == "0.80 s heard."


@pytest.mark.parametrize(("duration_s", "reason"), [(5, "at most 3 s"), (10, "too large")])
def test_limits_are_told(page: "Page", tmp_path: Path, duration_s: int, reason: str) -> None:
    soundfile.write(tmp_path / "long.wav", np.zeros(duration_s * SAMPLE_RATE), SAMPLE_RATE)
    page.set_input_files("#file", tmp_path / "long.wav")
    page.wait_for_selector("#status.fault")
    assert reason in page.inner_text("#status")
    assert page.locator("#answers li").count() == 0


def test_the_microphone_by_keyboard(page: "Page") -> None:
    """The browser's own test microphone beeps once a second: something is heard, or refused with a reason."""
    page.focus("#record")
    page.keyboard.press("Enter")
    page.wait_for_selector("#record[aria-pressed=true]")
    page.wait_for_timeout(1_500)
    page.keyboard.press("Enter")
    page.wait_for_selector("#answers li")
    assert page.inner_text("#record") == "Speak"
    assert "s heard." in page.inner_text("#status")
