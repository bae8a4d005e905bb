"""Makes torchaudio importable beside a CPU build of torch.

torchaudio's Linux wheel links its compiled extension against CUDA libraries; where they are missing `import torchaudio`
raises OSError, and NeMo and SpeechBrain, which both import it, fail with it. Nothing here needs the extension. Call
`ensure_torchaudio()` before importing NeMo or SpeechBrain; it does nothing where torchaudio works.
"""

import importlib
import sys
from types import ModuleType
from typing import Any


def ensure_torchaudio() -> None:
    """Imports torchaudio, without its compiled extension if that cannot be loaded."""
    try:
        importlib.import_module("torchaudio")
    except OSError:
        for name in [n for n in sys.modules if n == "torchaudio" or n.startswith("torchaudio.")]:
            del sys.modules[name]
        sys.modules["torchaudio._extension"] = _extension_stub()
        importlib.import_module("torchaudio")


def _extension_stub() -> ModuleType:
    stub: Any = ModuleType("torchaudio._extension")
    stub._IS_TORCHAUDIO_EXT_AVAILABLE = False
    stub._IS_ALIGN_AVAILABLE = False
    stub.fail_if_no_align = lambda function: function
    stub._check_cuda_version = lambda: None
    return stub
