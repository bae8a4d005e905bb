"""The simulated UASpeech: made by `kdspeech.simulation` in UASpeech's own layout, and read by UASpeech's reader."""

from dataclasses import replace
from pathlib import Path

from kdspeech.corpora import uaspeech
from kdspeech.corpora.reader import ReadCorpus, Reader


def read(root: Path) -> ReadCorpus:
    """Lists the recordings below `root`, in UASpeech's standard split.

    The gaps that UASpeech's reader reports are speakers that were not asked for: they are none here.

    Raises:
        ManifestError: the folder is not what was made.
    """
    return replace(uaspeech.read(root), gaps=())


READER = Reader(
    name="simulated",
    read=read,
    default_recipe="conformer_xs_from_simulated",
    help="UASpeech's speakers and words, imitated by a speech synthesiser.",
    source="workspace",
)
