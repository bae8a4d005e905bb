"""The corpora that `kdspeech prepare` knows: a new one is a file beside this one, named in this list."""

from kdspeech.corpora import an4, folder, fsdd, manifest, simulated, torgo, uaspeech
from kdspeech.corpora.reader import Reader
from kdspeech.errors import ManifestError

_MODULES = (simulated, uaspeech, torgo, an4, fsdd, manifest, folder)

READERS: dict[str, Reader] = {module.READER.name: module.READER for module in _MODULES}


def find_reader(name: str) -> Reader:
    """The reader of that name.

    Raises:
        ManifestError: there is none.
    """
    if name not in READERS:
        raise ManifestError(f"there is no corpus reader {name!r}. Known corpora: {', '.join(READERS)}.")
    return READERS[name]
