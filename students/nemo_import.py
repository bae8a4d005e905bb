"""Imports NeMo without its chatter."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from kdspeech.torchaudio_compat import ensure_torchaudio


@contextmanager
def quiet_nemo() -> Iterator[None]:
    """Within the block, NeMo can be imported and used without its log lines and warnings; errors still raise."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ensure_torchaudio()
            yield
    finally:
        logging.disable(before)
