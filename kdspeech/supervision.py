"""What a run may read and hear: how many transcripts, and which audio beside the training recordings."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from kdspeech.choices import Mode
from kdspeech.errors import ConfigError
from kdspeech.files import sha256_of_text
from kdspeech.utterance import Utterance


@dataclass(frozen=True)
class Supervision:
    """Beside the audio of the training speakers, which is always there."""

    label_share: float = 1.0  # of each training speaker's productions: those whose transcripts are read
    adapt: bool = False  # hear the held-out speaker's audio, without its transcripts: a transductive run
    all_audio: bool = False  # hear the training speakers' test recordings, without their transcripts

    def __post_init__(self) -> None:
        """Raises ConfigError for a share outside 0-1."""
        if not 0 <= self.label_share <= 1:
            raise ConfigError(f"the share of labels must lie in 0-1, found {self.label_share:g}.")

    def variant(self, mode: Mode) -> str:
        """What a run of this mode is called: `decoder-kd`, `decoder-kd-10pct`, `labels-adapted`."""
        share = "" if self.label_share == 1 else f"-{100 * self.label_share:g}pct"
        return f"{mode}{share}{'-all-audio' if self.all_audio else ''}{'-adapted' if self.adapt else ''}"

    @property
    def flags(self) -> str:
        """What `kdspeech train` and the commands that choose a run must be given: `` --labels 0.1``, or nothing."""
        share = "" if self.label_share == 1 else f" --labels {self.label_share:g}"
        heard = f"{' --all-audio' if self.all_audio else ''}{' --adapt-unlabelled' if self.adapt else ''}"
        return f"{share}{heard}"

    @property
    def settings(self) -> dict[str, float | bool]:
        """As a run's config.json has them: what is newer than some runs stands there only where it is chosen."""
        newer = {"all_audio": True} if self.all_audio else {}
        return {"label_share": self.label_share, "adapt": self.adapt, **newer}

    def labelled(self, utterances: Sequence[Utterance], seed: int) -> list[Utterance]:
        """The utterances whose transcripts are read.

        Whole productions are drawn, the same number of each speaker's (rounded), by a hash of seed and production: what
        is drawn with a smaller share is among what is drawn with a larger one.
        """
        if self.label_share == 1:
            return list(utterances)
        by_speaker: dict[str, dict[str, str]] = {}  # speaker -> production -> its place in the draw
        for utterance in utterances:
            place = sha256_of_text(f"{seed} {utterance.production}")
            by_speaker.setdefault(utterance.speaker, {})[utterance.production] = place
        drawn: set[str] = set()
        for places in by_speaker.values():
            drawn.update(sorted(places, key=places.__getitem__)[: round(self.label_share * len(places))])
        return [u for u in utterances if u.production in drawn]


ALL_LABELS = Supervision()
_OF_ONE_RUN = ("held_out", "seed", "inputs")  # in a config.json; all else is its system's


def supervision_of(config: Mapping[str, Any]) -> Supervision:
    """What the run of this config.json may read."""
    unlabelled = config.get("unlabelled")  # runs of earlier versions have none
    if not unlabelled:
        return ALL_LABELS
    return Supervision(unlabelled["label_share"], unlabelled["adapt"], unlabelled.get("all_audio", False))


def variant_of(config: Mapping[str, Any]) -> str:
    """What the run of this config.json is called."""
    return supervision_of(config).variant(config["mode"])


def settings_sha256(config: Mapping[str, Any]) -> str:
    """Hash of the settings in a run's config.json: what folds and seeds of one system share.

    A recipe keeps its name when a `--set` or a later version changes it; then this hash is another. A setting that is
    none and one that is not there are the same.
    """
    shared = {name: value for name, value in config.items() if name not in _OF_ONE_RUN}
    return sha256_of_text(json.dumps(_given(shared), sort_keys=True))


def train_command(held_out: str | None, mode: Mode | None, supervision: Supervision, seed: int | None) -> str:
    """The command that makes a run; None stands where any will do."""
    chosen = "" if seed is None else f" --seed {seed}"
    return f"kdspeech train --held-out {held_out or 'SPEAKER'} --mode {mode or 'labels'}{supervision.flags}{chosen}"


def _given(settings: Any) -> Any:
    if isinstance(settings, Mapping):
        return {name: _given(value) for name, value in settings.items() if value is not None}
    return [_given(value) for value in settings] if isinstance(settings, list | tuple) else settings
