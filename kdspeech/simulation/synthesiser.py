"""espeak-ng through ctypes: text or phonemes to a waveform.

The package espeakng-loader brings the library and its data. It is GPL-3, so it is the optional extra `demo` and is
loaded only when something is spoken.
"""

import _ctypes
import ctypes
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import soxr

from kdspeech.audio import SAMPLE_RATE
from kdspeech.errors import KdspeechError

_HINT = "Install it with: pip install 'kdspeech[demo]'"
_SILENCE = 0.01  # of the peak; below it, a word's ends are silence
_TRIM_BLOCK = SAMPLE_RATE // 200  # 5 ms

# From speak_lib.h of espeak-ng 1.52.
_OUTPUT_SYNCHRONOUS = 2
_DO_NOT_EXIT = 0x8000  # else a failed start ends the whole process
_CHARS_UTF8 = 1
_PHONEMES = 0x100  # text in [[...]] is phonemes
_RATE, _PITCH, _RANGE = 1, 3, 4  # espeak_PARAMETER
_MIN_RATE, _MAX_RATE = 80, 450  # words a minute; espeak clips what lies outside
_NOISE_SEED = 1
_MAX_PATH = 140  # characters; longer paths are cut short inside espeak-ng


@dataclass(frozen=True)
class Voice:
    """An espeak-ng voice."""

    language: str = "en-us"
    variant: str = ""  # for example "f2" or "m3"; "" is the plain voice
    pitch: int = 50  # 0-100
    pitch_range: int = 50  # 0-100; 0 is a monotone
    rate: int = 160  # words a minute

    def __post_init__(self) -> None:
        """Raises KdspeechError for a value out of range."""
        for name in ("pitch", "pitch_range"):
            if not 0 <= getattr(self, name) <= 100:
                raise KdspeechError(f"voice: {name} must lie in 0-100, found {getattr(self, name)}.")
        if not _MIN_RATE <= self.rate <= _MAX_RATE:
            raise KdspeechError(f"voice: rate must lie in {_MIN_RATE}-{_MAX_RATE} words a minute, found {self.rate}.")

    @property
    def name(self) -> str:
        """As espeak-ng spells it: en-us+f2."""
        return f"{self.language}+{self.variant}" if self.variant else self.language


class Synthesiser:
    """espeak-ng. The library's state is global, so there is one of these a process: `synthesiser()` gives it.

    Raises:
        KdspeechError: the extra `demo` is not installed, or the library does not start.
    """

    def __init__(self) -> None:
        try:
            import espeakng_loader
        except ImportError as error:
            raise KdspeechError(f"simulated speech needs espeak-ng, which is not installed. {_HINT}") from error
        self._path, self._data = Path(espeakng_loader.get_library_path()), Path(espeakng_loader.get_data_path())
        if len(str(self._data)) > _MAX_PATH:
            raise KdspeechError(
                f"espeak-ng cannot open data below a path of more than {_MAX_PATH} characters, found {self._data}. "
                "Install kdspeech in a folder with a shorter path."
            )
        self._variants = tuple(sorted(path.name for path in (self._data / "voices" / "!v").iterdir()))
        self._chunks: list[np.ndarray] = []
        self._callback = _CALLBACK(self._receive)  # kept: ctypes does not
        self._library, self._rate = self._start()

    def _start(self) -> tuple[ctypes.CDLL, int]:
        """The library in its first state, and its sample rate in Hz."""
        try:
            library = ctypes.CDLL(str(self._path))
        except OSError as error:
            raise KdspeechError(f"espeak-ng's library {self._path} does not load: {error}. {_HINT}") from error
        rate = library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, str(self._data).encode(), _DO_NOT_EXIT)
        if rate <= 0:
            raise KdspeechError(f"espeak-ng does not start with its data in {self._data}. {_HINT} --force-reinstall")
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        library.espeak_SetSynthCallback(self._callback)
        library.espeak_ng_SetRandSeed(ctypes.c_long(_NOISE_SEED))  # espeak-ng takes the time of day for its breath,
        ctypes.CDLL(None).srand(_NOISE_SEED)  # and the C library's numbers for its flutter
        return library, rate

    def _restart(self) -> None:
        """Loads the library anew, in about 8 ms.

        Its phases, flutter and noise outlive even espeak_Terminate; a sound would depend on what was said before it.
        """
        self._library.espeak_Terminate()
        _ctypes.dlclose(self._library._handle)
        self._library, self._rate = self._start()

    def variants(self) -> tuple[str, ...]:
        """Names that `Voice.variant` may have."""
        return self._variants

    def speak(self, text: str, voice: Voice) -> np.ndarray:
        """Says a text. The same text and voice give the same samples, whatever was said before.

        Args:
            text: plain text, or phonemes in espeak's own spelling: "[[h@l'oU]]".

        Returns:
            float32 waveform [N] at 16 kHz, without the silence at both ends, peak below 1.

        Raises:
            KdspeechError: an unknown voice, or nothing came out.
        """
        self._restart()
        self._take(voice)
        self._chunks = []
        encoded = text.encode() + b"\0"
        flags = _CHARS_UTF8 | _PHONEMES
        self._library.espeak_Synth(encoded, ctypes.c_size_t(len(encoded)), 0, 1, 0, flags, None, None)
        self._library.espeak_Synchronize()
        samples = np.concatenate(self._chunks) if self._chunks else np.zeros(0, np.int16)
        if not samples.any():
            raise KdspeechError(f"espeak-ng has nothing to say for {text!r} with voice {voice.name}.")
        waveform = soxr.resample(samples.astype(np.float32) / 32768, self._rate, SAMPLE_RATE, quality="HQ")
        return trim_silence(np.clip(waveform, -1, 1).astype(np.float32))

    def phonemes(self, text: str, voice: Voice) -> tuple[str, ...]:
        """How the voice says a text: phonemes in espeak's own spelling, stress marks (' and ,) before their vowel."""
        self._take(voice)
        pointer = ctypes.c_char_p(text.encode())
        separator = ord(" ") << 8
        spelled: bytes | None = self._library.espeak_TextToPhonemes(ctypes.byref(pointer), _CHARS_UTF8, separator)
        return tuple((spelled or b"").decode().split())

    def _take(self, voice: Voice) -> None:
        if voice.variant and voice.variant not in self._variants:  # espeak-ng ignores it silently
            raise KdspeechError(f"unknown voice variant {voice.variant!r}. Known: {', '.join(self._variants)}.")
        if self._library.espeak_SetVoiceByName(voice.name.encode()) != 0:
            raise KdspeechError(f"espeak-ng has no voice for language {voice.language!r}.")
        for parameter, value in ((_RATE, voice.rate), (_PITCH, voice.pitch), (_RANGE, voice.pitch_range)):
            self._library.espeak_SetParameter(parameter, value, 0)

    def _receive(self, samples: "ctypes._Pointer[ctypes.c_short]", count: int, _events: object) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0


_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@cache
def synthesiser() -> Synthesiser:
    """This process' synthesiser."""
    return Synthesiser()


def espeak_version() -> str:
    """Of the package that brings espeak-ng; empty where it is not installed."""
    try:
        return version("espeakng-loader")
    except PackageNotFoundError:
        return ""


def trim_silence(waveform: np.ndarray) -> np.ndarray:
    """Cuts the ends of a waveform [N] that stay below 1 % of its peak; never all of it."""
    loud = np.flatnonzero(np.abs(waveform) >= _SILENCE * np.abs(waveform).max(initial=0.0))
    if len(loud) == 0:
        return waveform
    start, end = max(0, loud[0] - _TRIM_BLOCK), loud[-1] + 1 + _TRIM_BLOCK
    return waveform[start:end]
