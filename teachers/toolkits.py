"""The one place that imports SpeechBrain and NeMo: torchaudio made importable first, their chatter turned down."""

import logging
import os
import tarfile
import warnings
from types import ModuleType

from kdspeech.torchaudio_compat import ensure_torchaudio


def import_speechbrain() -> ModuleType:
    """Imports speechbrain; its loggers report warnings and errors only, unless SB_LOG_LEVEL says otherwise."""
    os.environ.setdefault("SB_LOG_LEVEL", "WARNING")
    ensure_torchaudio()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import speechbrain
        import speechbrain.inference.ASR
    # Its Transformer hands torch a boolean padding mask and a float attention mask; nothing that a user could mend.
    warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask and attn_mask")
    module: ModuleType = speechbrain
    return module


def import_nemo_asr() -> ModuleType:
    """Imports nemo.collections.asr (about ten seconds); its logger reports errors only."""
    ensure_torchaudio()
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)  # its telemetry reports that it is switched off
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import nemo.collections.asr as nemo_asr
            from nemo.utils import logging as nemo_logging
    finally:
        logging.disable(before)
    nemo_logging.setLevel(logging.ERROR)
    module: ModuleType = nemo_asr
    return module


def load_errors() -> tuple[type[Exception], ...]:
    """What the toolkits raise for a file that is missing, broken or of another kind, or a name out of reach."""
    import httpx
    import ruamel.yaml
    import yaml
    from huggingface_hub.errors import HfHubHTTPError

    files = (OSError, tarfile.TarError, yaml.YAMLError, ruamel.yaml.error.YAMLError)
    contents = (RuntimeError, ValueError, KeyError, TypeError, AttributeError, ImportError)
    return (*files, *contents, httpx.HTTPError, HfHubHTTPError)
