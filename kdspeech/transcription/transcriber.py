"""A trained student that is ready to listen: its run, its decode mode, and what its confidence is worth.

Shapes: B batch, N samples.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kdspeech import console
from kdspeech.audio import SAMPLE_RATE
from kdspeech.choices import DEFAULT_CHECKPOINT, Checkpoint, DecodeMode
from kdspeech.decoding.calibration import Calibration
from kdspeech.decoding.options import DEFAULT_OPTIONS, DecodeOptions, resolve, settings_of
from kdspeech.decoding.recogniser import make_recogniser
from kdspeech.errors import AudioError
from kdspeech.files import read_json, sha256_of_file
from kdspeech.hypothesis import Hypothesis
from kdspeech.lexicon import Lexicon
from kdspeech.model_folders.runs import RunFolder, load_student
from kdspeech.padded_batches import padded_batches
from kdspeech.protocols import DecodableStudents
from kdspeech.transcription.silence import without_long_silence

_BATCH = 32  # utterances heard at a time
_MAX_SAMPLES = 120 * SAMPLE_RATE  # of them, padding included
_MIN_FRAMES = 1


class Transcriber:
    """Hears waveforms and says what was said."""

    def __init__(
        self,
        run: Path,
        decode_mode: DecodeMode,
        *,
        students: DecodableStudents,
        lexicon: Callable[[], Lexicon],
        options: DecodeOptions = DEFAULT_OPTIONS,
        checkpoint: Checkpoint = DEFAULT_CHECKPOINT,
        trim: bool = True,
    ) -> None:
        """Loads the student; a run folder is enough, but for decode mode `lexicon`.

        Args:
            lexicon: provides the closed word list; asked only by `lexicon`.
            trim: long silence around an utterance is not heard, see `kdspeech.transcription.silence`.

        Raises:
            ConfigError: options that the decode mode does not use.
            RunError: the folder is no run, or has no such checkpoint.
            KdspeechError: a word list, priors or a language model that cannot be used.
        """
        resolved = resolve(decode_mode, options)
        self.run, self.decode_mode, self.checkpoint = run, decode_mode, checkpoint
        self._trim = trim
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._student = load_student(run, students, checkpoint).to(device)
        self._device = device
        self._recogniser = make_recogniser(self._student, decode_mode, resolved, searches=students, lexicon=lexicon)
        words = lexicon().sha256 if decode_mode == "lexicon" else None
        self.calibration = find_calibration(run, decode_mode, resolved, checkpoint, words)

    def check(self, waveform: np.ndarray, name: str) -> np.ndarray:
        """The waveform, if it is long enough to be heard.

        Raises:
            AudioError: it does not fill one frame of the student.
        """
        if int(self._student.num_frames(torch.tensor([len(waveform)]))[0]) < _MIN_FRAMES:
            raise AudioError(
                f"{name}: the recording lasts {1000 * len(waveform) / SAMPLE_RATE:.0f} ms, less than one frame of the "
                f"student ({1000 * self._student.frame_shift_s:.0f} ms). Record it again.",
                "too short",
            )
        return waveform

    @torch.inference_mode()
    def hear(self, waveforms: Sequence[np.ndarray]) -> list[Hypothesis]:
        """What is said in each.

        Args:
            waveforms: float32 [N] each, 16 kHz, that `check` let pass.

        Returns:
            Hypotheses in the same order; confidences are calibrated where `calibration` is not None.
        """
        found: dict[int, Any] = {}
        if self._trim:
            waveforms = [without_long_silence(waveform) for waveform in waveforms]
        for batch in padded_batches(waveforms, _BATCH, _MAX_SAMPLES, self._device):
            encoded = self._student.encode(batch.signal, batch.lengths)
            found.update(zip(batch.numbers, self._recogniser.search(encoded), strict=True))
        return [self._recogniser.hypothesis(found[number], self.calibration) for number in range(len(waveforms))]


def find_calibration(
    run: Path, decode_mode: DecodeMode, options: DecodeOptions, checkpoint: Checkpoint, lexicon_sha256: str | None
) -> Calibration | None:
    """What `kdspeech eval` found out about the confidence of this student, decoded in this way; None if it never did.

    How many hypotheses are listed makes no difference.

    Args:
        options: as `kdspeech.decoding.options.resolve` gives them.
        lexicon_sha256: of the word list; None but for decode mode `lexicon`.
    """
    wanted = settings_of(decode_mode, replace(options, nbest=None))
    weights = RunFolder(run).checkpoints_dir / f"{checkpoint}.ckpt"
    expected = {
        "decode_mode": decode_mode,
        "checkpoint": checkpoint,
        "lexicon_sha256": lexicon_sha256,
        "options": {name: value for name, value in wanted.items() if name != "nbest"},
    }
    for path in sorted(run.glob(f"calibration-{decode_mode}*.json")):
        row = read_json(path)
        settings = {**row["settings"], "options": dict(row["settings"]["options"])}
        settings["options"].pop("nbest", None)
        if expected.items() <= settings.items() and settings["checkpoint_sha256"] == sha256_of_file(weights):
            return Calibration(**row["calibration"])
    return None


def warn_if_uncalibrated(transcriber: Transcriber) -> None:
    """Says that the confidences are a decoder's own, and how to get better ones."""
    if transcriber.calibration is None:
        console.warn(
            f"{transcriber.run} holds no calibration for decode mode {transcriber.decode_mode} with these options: "
            "confidences are the decoder's own, as a rule too high. Run `kdspeech eval --run "
            f"{transcriber.run} --decode-mode {transcriber.decode_mode}` once, with the same options."
        )
