"""What a teacher may learn from: its own speaker's utterances."""

from collections.abc import Mapping, Sequence

from kdspeech.errors import TeacherError
from kdspeech.utterance import Utterance


def check_own_utterances(speaker: str, splits: Mapping[str, Sequence[Utterance]], needed: Sequence[str]) -> None:
    """Refuses other speakers' utterances, and a split in `needed` that is empty.

    Raises:
        TeacherError: one of the two.
    """
    strangers = sorted({u.speaker for utterances in splits.values() for u in utterances} - {speaker})
    if strangers:
        raise TeacherError(
            f"teacher {speaker}: utterances of {', '.join(strangers)} are among its data. Take them out."
        )
    for name in needed:
        if not splits[name]:
            raise TeacherError(
                f"teacher {speaker}: no utterances of split `{name}`. Check the manifest's `split` fields."
            )
