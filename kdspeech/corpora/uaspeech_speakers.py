"""UASpeech's speakers and bands (Kim et al., Interspeech 2008; figures of the word list's sheet `Speaker`)."""

from dataclasses import dataclass

BANDS = ("VERY LOW", "LOW", "MID", "HIGH")  # up to 25, 50, 75 and 100 % of the words understood
CONTROL = "CONTROL"  # the band of speakers without dysarthria


@dataclass(frozen=True)
class UASpeechSpeaker:
    """One of the speakers that are distributed."""

    name: str
    intelligibility: float | None  # % of words that listeners understood; None: a control, not measured

    @property
    def is_control(self) -> bool:
        return self.intelligibility is None

    @property
    def sex(self) -> str:
        """`F` or `M`, the letter before the number."""
        return self.name[-3]

    @property
    def band(self) -> str:
        """One of BANDS, or CONTROL."""
        if self.intelligibility is None:
            return CONTROL
        return BANDS[min(int(self.intelligibility / 25), len(BANDS) - 1)]


# Those that are distributed, of sixteen who were recorded.
_INTELLIGIBILITY = {
    "M04": 2.0,
    "F03": 6.0,
    "M12": 7.4,
    "M01": 15.0,
    "M07": 28.0,
    "F02": 29.0,
    "M16": 43.0,
    "M05": 58.0,
    "F04": 62.0,
    "M11": 62.0,
    "M09": 86.0,
    "M14": 90.4,
    "M08": 93.0,
    "M10": 93.0,
    "F05": 95.0,
}
_CONTROLS = (
    *("CF02", "CF03", "CF04", "CF05"),
    *("CM01", "CM04", "CM05", "CM06", "CM08", "CM09", "CM10", "CM12", "CM13"),
)

DYSARTHRIC = tuple(UASpeechSpeaker(name, share) for name, share in _INTELLIGIBILITY.items())  # least understood first
CONTROLS = tuple(UASpeechSpeaker(name, None) for name in _CONTROLS)
SPEAKERS = {speaker.name: speaker for speaker in (*DYSARTHRIC, *CONTROLS)}
