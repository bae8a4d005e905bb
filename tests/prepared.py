"""What `prepare` has left in a workspace."""

from kdspeech.utterance import Utterance
from kdspeech.workspace import Workspace

BROKEN = {  # of 24
    "0_ann_0": ("empty", "is empty"),
    "0_ann_5": ("truncated", "is truncated"),
    "0_ann_8": ("not finite", "NaN"),
    "0_ann_9": ("too short", "0 encoder frames"),
    "0_bob_0": ("unreadable", "not a readable audio file"),
}


def fresh(workspace: Workspace) -> Workspace:
    """The workspace as another process would see it."""
    return Workspace(workspace.root)


def utterances(workspace: Workspace) -> dict[str, Utterance]:
    return {u.utt_id: u for u in fresh(workspace).utterances}


def state(workspace: Workspace) -> int:
    return workspace.manifest_path.stat().st_ino  # an atomic write gives the name another file
