"""`serve`: the microphone page, on this computer alone unless another address is asked for."""

import ipaddress
import socket

from kdspeech import console
from kdspeech.errors import ConfigError, KdspeechError
from kdspeech.transcription.transcriber import Transcriber

try:
    import uvicorn

    from kdspeech.serving.app import Limits as Limits  # callers take it from here, where a missing extra is told
    from kdspeech.serving.app import make_app
except ModuleNotFoundError as _error:
    if _error.name not in ("uvicorn", "starlette"):
        raise
    raise ConfigError(f"{_error.name} is not installed. Run `pip install 'kdspeech[serve]'`.") from _error

_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
_MAX_WAITING = 16  # requests; later ones are told to come again


def serve(transcriber: Transcriber, host: str = "127.0.0.1", port: int = 8765, limits: Limits | None = None) -> None:
    """Shows the page until it is interrupted.

    Args:
        host: address to listen on; 0.0.0.0 lets everybody in who reaches this computer.
        port: 0 takes a free one.

    Raises:
        KdspeechError: the address or the port cannot be had.
    """
    listener = listen(host, port)
    taken = listener.getsockname()[1]
    console.result(f"Open http://{'[::1]' if host == '::1' else host}:{taken} in a browser; end with Ctrl-C.")
    if not is_loopback(host):
        console.warn(
            f"{host} can be reached from other computers, without a password. Browsers allow the microphone on this "
            "computer or over HTTPS only; files can be sent from anywhere."
        )
    make_server(transcriber, host, limits or Limits()).run(sockets=[listener])


def make_server(transcriber: Transcriber, host: str, limits: Limits) -> uvicorn.Server:
    """The page's server, not yet running."""
    hosts = [*_LOOPBACK, host] if is_loopback(host) else ["*"]
    return uvicorn.Server(
        uvicorn.Config(
            make_app(transcriber, limits, hosts),
            log_level="warning",
            access_log=False,
            server_header=False,
            limit_concurrency=_MAX_WAITING,
            timeout_graceful_shutdown=5,
        )
    )


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        KdspeechError: the address or the port cannot be had.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        listener = socket.create_server((host, port), family=family)
    except OSError as error:
        raise KdspeechError(
            f"cannot listen on {host}, port {port}: {error.strerror or error}. Choose another --port (0: "
            "a free one) or --host."
        ) from error
    return listener


def is_loopback(host: str) -> bool:
    """True if only this computer reaches the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
