"""The microphone page's server, started on a free port and asked as a browser would ask it."""

import http.client
import io
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from kdspeech.audio import SAMPLE_RATE
from kdspeech.decoding.options import DecodeOptions
from kdspeech.errors import KdspeechError
from kdspeech.lexicon import Lexicon
from kdspeech.recipe_file import load_recipe
from kdspeech.serving.app import Limits
from kdspeech.serving.serve import is_loopback, listen, make_server
from kdspeech.training.train import train
from kdspeech.transcription.transcriber import Transcriber
from kdspeech.vocabulary import Vocabulary
from tests.doubles import FakeStudents, make_workspace, synthetic_waveform

RECIPE = load_recipe("conformer_xs_from_speechbrain", ("stages.0.epochs=1",))
LIMITS = Limits(max_bytes=200_000, max_duration_s=2.0, upload_timeout_s=1.0)


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass(frozen=True)
class Service:
    """A running server."""

    port: int
    run: Path

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        answer = Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read().decode())
        connection.close()
        return answer


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, lexicon: Lexicon, vocabulary: Vocabulary) -> Iterator[Service]:
    workspace = make_workspace(tmp_path_factory.mktemp("serve") / "w", lexicon, vocabulary, repetitions=3)
    students = FakeStudents(lexicon)
    run = train(workspace, "bert", "labels", recipe=RECIPE, students=students)
    transcriber = Transcriber(
        run, "lexicon", students=students, lexicon=lambda: lexicon, options=DecodeOptions(nbest=5)
    )
    listener = listen("127.0.0.1", 0)
    server = make_server(transcriber, "127.0.0.1", LIMITS)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield Service(listener.getsockname()[1], run)
    server.should_exit = True
    thread.join()


def recording(waveform: np.ndarray, kind: str = "WAV") -> bytes:
    file = io.BytesIO()
    soundfile.write(file, waveform, SAMPLE_RATE, format=kind)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["WAV", "FLAC"])
def test_a_recording_gets_the_ranked_answers(service: Service, lexicon: Lexicon, kind: str) -> None:
    answer = service.ask("POST", "/transcribe", recording(synthetic_waveform(6, 1), kind))
    assert answer.status == 200
    row = answer.json
    assert (row["hypothesis"], row["calibrated"], row["duration"]) == (lexicon.words[6], False, 0.8)
    assert len(row["n_best"]) == 5
    assert row["n_best"][0] == {"text": lexicon.words[6], "log_prob": row["log_prob"], "confidence": row["confidence"]}
    confidences = [other["confidence"] for other in row["n_best"]]
    assert confidences == sorted(confidences, reverse=True)


def test_the_page_loads_nothing_from_elsewhere(service: Service) -> None:
    answer = service.ask("GET", "/")
    assert answer.status == 200
    assert "At most 2 s and 0.190735 MB" in answer.text
    assert str(service.run) in answer.text
    assert "http://" not in answer.text
    assert "https://" not in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_what_is_too_large_is_refused(service: Service) -> None:
    """By its announced length, and by its true one where none is announced."""
    refused = service.ask("POST", "/transcribe", b"x" * (LIMITS.max_bytes + 1))
    assert (refused.status, "too large" in refused.json["error"]) == (413, True)
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    connection.request("POST", "/transcribe", iter([b"x" * 150_000] * 2), encode_chunked=True)
    response = connection.getresponse()
    assert (response.status, "too large" in response.read().decode()) == (413, True)
    connection.close()


def test_what_is_too_long_is_refused(service: Service) -> None:
    refused = service.ask("POST", "/transcribe", recording(np.zeros(3 * SAMPLE_RATE), "FLAC"))
    assert refused.status == 422
    assert "lasts 3.0 s, at most 2 s" in refused.json["error"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not a readable audio file"),
        (b"no audio", "not a readable"),
        (recording(np.zeros(9)), "less than one frame"),
    ],
)
def test_what_cannot_be_heard_is_refused_with_its_reason(service: Service, body: bytes, reason: str) -> None:
    refused = service.ask("POST", "/transcribe", body)
    assert (refused.status, reason in refused.json["error"]) == (422, True)


def test_an_upload_that_does_not_end_is_given_up(service: Service) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    connection.putrequest("POST", "/transcribe")
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"only this")
    response = connection.getresponse()
    assert (response.status, "longer than 1 s" in response.read().decode()) == (408, True)
    connection.close()


def test_foreign_sites_cannot_pass_for_the_server(service: Service) -> None:
    assert service.ask("GET", "/", Host="evil.example").status == 400
    assert service.ask("GET", "/", Host=f"localhost:{service.port}").status == 200
    assert service.ask("GET", "/transcribe").status == 405
    assert service.ask("GET", "/etc").status == 404


def test_requests_side_by_side_get_their_own_answers(service: Service, lexicon: Lexicon) -> None:
    heard: dict[int, str] = {}

    def ask(word: int) -> None:
        heard[word] = service.ask("POST", "/transcribe", recording(synthetic_waveform(word, 0))).json["hypothesis"]

    threads = [threading.Thread(target=ask, args=(word,)) for word in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert heard == {word: lexicon.words[word] for word in range(6)}


def test_a_port_that_is_taken_is_named(service: Service) -> None:
    with pytest.raises(KdspeechError, match=rf"port {service.port}.*--port"):
        listen("127.0.0.1", service.port)


def test_what_counts_as_this_computer() -> None:
    assert all(map(is_loopback, ("127.0.0.1", "localhost", "::1", "127.8.8.8")))
    assert not any(map(is_loopback, ("0.0.0.0", "::", "192.168.1.4", "somewhere.example")))
