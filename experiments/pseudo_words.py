"""How right the teachers' words of recordings without transcripts are, by how they are pooled. Trains nothing."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from kdspeech import console
from kdspeech.cli.main import run_command
from kdspeech.cli.options import common_options, recipe_options, resolve_recipe, speakers_option
from kdspeech.config import PseudoLabelConfig
from kdspeech.dumps.store import open_store
from kdspeech.errors import ConfigError
from kdspeech.model_folders.teacher_folder import read_teacher_card, teachers_of
from kdspeech.targets.pseudo_labels import PseudoLabeller, read_voices, word_prior
from kdspeech.utterance import speakers_of
from kdspeech.workspace import Workspace

_Way = dict[str, str | bool]
_STRANGE: dict[str, _Way] = {
    "mean": {"pooling": "mean", "balance": False},
    "mean, balanced": {"pooling": "mean", "balance": True},
    "confusions": {"pooling": "dawid_skene", "balance": False},
    "confusions, balanced": {"pooling": "dawid_skene", "balance": True},
}
_KNOWN: dict[str, _Way] = {"mean": {"balance_known": False}, "mean, balanced": {"balance_known": True}}


def right_words(
    workspace: Workspace, speaker: str, teachers: Sequence[str], config: PseudoLabelConfig, *, known: bool
) -> dict[str, float]:
    """Way of pooling -> % of the speaker's recordings whose word is right.

    Args:
        known: the recordings that the speaker's own teacher has learnt, by all teachers; else all, by all the others.

    Raises:
        KdspeechError: no teacher that may be asked, no closed word list, or no dump of the speaker.
    """
    asked = [name for name in teachers if known or name != speaker]
    if not asked:
        raise ConfigError(f"no teacher but {speaker}'s own: name others with --teachers, or train more.")
    cards = [read_teacher_card(workspace.teacher_dir(name)) for name in asked]
    heard = tuple(u for u in workspace.utterances if u.speaker == speaker and (not known or u.split == "train"))
    others = [u for u in workspace.utterances if u.speaker != speaker]
    labeller = PseudoLabeller(
        utterances=heard,
        lexicon=workspace.lexicon,
        teachers=read_voices(open_store(workspace), cards, heard, workspace.lexicon, config),
        fits=dict.fromkeys((u.utt_id for u in heard), np.ones(len(workspace.lexicon.words), dtype=bool)),
        prior=word_prior(workspace.lexicon, (u.text for u in others), len(speakers_of(others))),
        config=config,
        known=frozenset(u.utt_id for u in heard) if known else frozenset(),
    )
    found = {}
    for name, way in (_KNOWN if known else _STRANGE).items():
        labels = replace(labeller, config=config.model_copy(update=way)).label(None, 0.0)
        found[name] = 100 * float(np.mean([labels[u.utt_id].text == u.text for u in heard]))
    return found


def _print(title: str, speakers: Sequence[str], found: Sequence[dict[str, float]]) -> None:
    rows = [
        [way, *(f"{of_speaker[way]:.1f}" for of_speaker in found), f"{np.mean([each[way] for each in found]):.1f}"]
        for way in found[0]
    ]
    console.table(title, ("pooled by", *speakers, "mean"), rows)


@click.command()
@speakers_option(required=False, help="To be heard.  [default: all]")
@speakers_option("--teachers", required=False, help="Who listens.  [default: all]")
@recipe_options
@common_options
def command(
    workspace: Path,
    speakers: list[str] | None,
    teachers: list[str] | None,
    recipe: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Say how right the teachers' words of recordings without transcripts are, by how they are pooled.

    Needs the teachers' `word` dumps, and trains nothing. Two tables, right %: all recordings of each speaker by the
    others' teachers, as `train --adapt-unlabelled` begins, before the student is asked: by mean and by the teachers'
    confusions of that voice (kdspeech/targets/dawid_skene.py), with and without the balance of words; and each
    teacher's own training recordings by all teachers, as `train --labels 0` hears them.

    \b
    python experiments/pseudo_words.py --speakers A,B
    """
    place = Workspace(workspace)
    heard = place.check_speakers(speakers or ["all"])
    listeners = place.check_speakers(teachers) if teachers else teachers_of(place)
    config = resolve_recipe(place, recipe, overrides).pseudo_labels
    found = [right_words(place, speaker, listeners, config, known=False) for speaker in heard]
    _print("Right words of a new voice, %", heard, found)
    own = [speaker for speaker in heard if speaker in listeners]
    if own:
        found = [right_words(place, speaker, listeners, config, known=True) for speaker in own]
        _print("Right words of what the own teacher has learnt, %", own, found)


if __name__ == "__main__":
    run_command(command)
