"""The microphone page as a web application: one page, and one address that takes a recording and answers in JSON.

Recordings stay in memory until they are answered; nothing is written.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import anyio
import anyio.to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from kdspeech.errors import AudioError
from kdspeech.report.page import render_page
from kdspeech.transcription.sources import Source
from kdspeech.transcription.transcribe import Transcript, transcribe
from kdspeech.transcription.transcriber import Transcriber

# The page's own styles and script, its own server, its own recording, and nothing of anybody else's.
_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; media-src blob:; "
    "img-src data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


@dataclass(frozen=True)
class Limits:
    """What an upload may cost."""

    max_bytes: int = 10 * 2**20
    max_duration_s: float = 15.0  # of the recording
    upload_timeout_s: float = 30.0


def make_app(transcriber: Transcriber, limits: Limits, allowed_hosts: Sequence[str]) -> Starlette:
    """The application.

    `GET /` is the page. `POST /transcribe` takes a recording's bytes as the body, in any form that libsndfile reads,
    and answers with the fields of a `Transcript`; or with `{"error": ...}` and status 408 (upload too slow), 413 (too
    large) or 422 (not a recording that can be heard).

    Args:
        allowed_hosts: by which names a browser may call the server, so that no foreign site can pass for it.
    """
    page = render_page(
        "What does the student hear?",
        "serve.html",
        run=str(transcriber.run),
        decode_mode=transcriber.decode_mode,
        calibrated=transcriber.calibration is not None,
        settings=json.dumps({"maxBytes": limits.max_bytes, "maxSeconds": limits.max_duration_s}),
        max_megabytes=f"{limits.max_bytes / 2**20:g}",
        max_seconds=f"{limits.max_duration_s:g}",
    )
    one_at_a_time = anyio.Lock()

    async def show(_request: Request) -> Response:
        return HTMLResponse(page, headers=_HEADERS)

    async def answer(request: Request) -> Response:
        try:
            with anyio.fail_after(limits.upload_timeout_s):
                data = await _body(request, limits.max_bytes)
        except TimeoutError:
            return _refusal(408, f"The upload took longer than {limits.upload_timeout_s:g} s. Send less.")
        if data is None:
            return _refusal(
                413, f"The file is too large: at most {limits.max_bytes / 2**20:g} MB. Send a single word or sentence."
            )
        try:
            async with one_at_a_time:
                heard = await anyio.to_thread.run_sync(_hear, transcriber, data, limits.max_duration_s)
        except AudioError as error:
            return _refusal(422, str(error))
        return JSONResponse(asdict(heard), headers=_HEADERS)

    return Starlette(
        routes=[Route("/", show), Route("/transcribe", answer, methods=["POST"])],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(allowed_hosts))],
        exception_handlers={ClientDisconnect: _gone},
    )


async def _body(request: Request, max_bytes: int) -> bytes | None:
    """The request's body; None as soon as it is known to be too large."""
    promised = request.headers.get("content-length", "")
    if promised.isdigit() and int(promised) > max_bytes:
        return None
    data = bytearray()
    async for part in request.stream():
        data += part
        if len(data) > max_bytes:
            return None
    return bytes(data)


def _hear(transcriber: Transcriber, data: bytes, max_duration_s: float) -> Transcript:
    """Raises AudioError for what cannot be heard."""
    found = transcribe(transcriber, [Source("Your recording", data=data)], max_duration_s)
    if found.unheard:
        raise AudioError(found.unheard[0].reason)
    return found.transcripts[0]


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status_code=status, headers=_HEADERS)


async def _gone(_request: Request, _error: Exception) -> Response:
    """Nobody is there to read it."""
    return Response(status_code=400)
