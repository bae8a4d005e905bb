"""What goes wrong with the user's data or set-up, said so that the user can mend it."""


class KdspeechError(Exception):
    """A failure that the user can act on.

    The message names the thing (file or id), what was expected, what was found and the way out.
    The command line prints it without a traceback and exits with code 1.
    """


class AudioError(KdspeechError):
    """A recording that cannot be used; `kind` says why in a word or two: missing, unreadable, empty, and so on."""

    def __init__(self, message: str, kind: str = "unreadable") -> None:
        super().__init__(message)
        self.kind = kind


class ManifestError(KdspeechError):
    """A manifest or corpus folder that breaks its contract."""


class VocabularyError(KdspeechError):
    """Two vocabularies differ, or a text leaves its vocabulary."""


class StoreError(KdspeechError):
    """A log-prob store that is missing, foreign, truncated or incomplete."""


class TeacherError(KdspeechError):
    """A teacher that cannot be loaded, or does not give what was asked of it."""


class LeakError(KdspeechError):
    """Something of the held-out speaker reached the fold's training side."""


class RunError(KdspeechError):
    """A training run that is missing, unfinished or made with other settings."""


class ConfigError(KdspeechError):
    """A recipe or an option that does not fit."""
