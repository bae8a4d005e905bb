"""What a corpus reader is: one function and the task's fixed facts."""

from collections.abc import Callable
from dataclasses import dataclass

from kdspeech.corpora.utterance import Utterance
from kdspeech.lexicon import Lexicon


@dataclass(frozen=True)
class Reader:
    """One kind of corpus.

    `read(root, **options)` lists the corpus' utterances without opening the audio: `duration` is what the corpus states
    (0.0 where it states none) and `audio_sha256` stays empty; `kdspeech.corpora.prepare` fills both in. It raises
    ManifestError, naming every fault it can find, if the corpus is not what it should be.
    """

    name: str  # as in `kdspeech prepare NAME`
    read: Callable[..., list[Utterance]]
    default_recipe: str  # a shipped recipe's name
    lexicon: Lexicon | None  # the task's closed word list; None if the corpus does not define one
