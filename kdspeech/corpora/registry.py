"""The corpora that `kdspeech prepare` knows: a new one is a file beside this one, named in this list."""

from kdspeech.corpora import fsdd, manifest, uaspeech
from kdspeech.corpora.reader import Reader
from kdspeech.errors import ManifestError

READERS: dict[str, Reader] = {reader.name: reader for reader in (uaspeech.READER, fsdd.READER, manifest.READER)}


def find_reader(name: str) -> Reader:
    """The reader of that name.

    Raises:
        ManifestError: there is none.
    """
    if name not in READERS:
        raise ManifestError(f"there is no corpus reader {name!r}. Known corpora: {', '.join(READERS)}.")
    return READERS[name]
