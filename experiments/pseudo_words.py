"""How right the teachers' words of recordings without transcripts are, by how they are pooled. Trains nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import click
import numpy as np

from kdspeech import console, students
from kdspeech.choices import MODES, Mode
from kdspeech.cli.main import run_command
from kdspeech.cli.options import (
    choices_callback,
    common_options,
    recipe_options,
    resolve_recipe,
    seeds_option,
    speakers_option,
)
from kdspeech.config import PseudoLabelConfig, Recipe
from kdspeech.decoding.lexicon import LexiconScorer
from kdspeech.dumps.store import open_store
from kdspeech.errors import ConfigError
from kdspeech.model_folders.runs import find_run, load_student
from kdspeech.model_folders.teacher_folder import read_teacher_card, teachers_of
from kdspeech.protocols import StudentFamily
from kdspeech.targets.pseudo_labels import PseudoLabel, PseudoLabeller, read_voices, word_prior
from kdspeech.training.recordings import AudioCache
from kdspeech.training.self_labelling import heard_words
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


def labeller_of(
    workspace: Workspace, speaker: str, teachers: Sequence[str], config: PseudoLabelConfig, *, known: bool
) -> PseudoLabeller:
    """What gives the speaker's recordings their words by the teachers.

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
    return PseudoLabeller(
        utterances=heard,
        lexicon=workspace.lexicon,
        teachers=read_voices(open_store(workspace), cards, heard, workspace.lexicon, config),
        fits=dict.fromkeys((u.utt_id for u in heard), np.ones(len(workspace.lexicon.words), dtype=bool)),
        prior=word_prior(workspace.lexicon, (u.text for u in others), len(speakers_of(others))),
        config=config,
        known=frozenset(u.utt_id for u in heard) if known else frozenset(),
    )


def right_words(labeller: PseudoLabeller) -> dict[str, float]:
    """Way of pooling -> % of the recordings whose word is right by the teachers alone."""
    ways = _KNOWN if labeller.known else _STRANGE
    return {
        name: _right(labeller, replace(labeller, config=labeller.config.model_copy(update=way)).label(None, 0.0))
        for name, way in ways.items()
    }


def right_words_with_students(
    workspace: Workspace,
    labeller: PseudoLabeller,
    recipe: Recipe,
    modes: Sequence[Mode],
    seeds: Sequence[int],
    family: StudentFamily,
) -> dict[str, float]:
    """Mode and seed -> % of the recordings whose word is right by the teachers and a student who never heard the voice.

    Raises:
        RunError: a mode or seed was not trained with this speaker held out.
    """
    speaker = labeller.utterances[0].speaker
    scorer, cache = LexiconScorer(labeller.lexicon, workspace.vocabulary), AudioCache(recipe.training.audio_cache_mb)
    found = {}
    for mode in modes:
        for seed in seeds:
            student = load_student(find_run(workspace, speaker, mode, seed, recipe=recipe.name), family)
            heard = heard_words(student, labeller.utterances, workspace.vocabulary, scorer, cache)
            found[f"{mode}, seed {seed}"] = _right(labeller, labeller.label(heard, 1.0))
    return found


def _right(labeller: PseudoLabeller, labels: Mapping[str, PseudoLabel]) -> float:
    return 100 * float(np.mean([labels[u.utt_id].text == u.text for u in labeller.utterances]))


def _print(title: str, speakers: Sequence[str], found: Sequence[dict[str, float]]) -> None:
    rows = [
        [way, *(f"{of_speaker[way]:.1f}" for of_speaker in found), f"{np.mean([each[way] for each in found]):.1f}"]
        for way in found[0]
    ]
    console.table(title, ("pooled by", *speakers, "mean"), rows)


@click.command()
@speakers_option(required=False, help="To be heard.  [default: all]")
@speakers_option("--teachers", required=False, help="Who listens.  [default: all]")
@click.option(
    "--modes",
    callback=choices_callback(MODES),
    metavar="MODE,...",
    help="Trained students to listen beside the teachers, one of each seed.  [default: none]",
)
@seeds_option
@recipe_options
@common_options
def command(
    workspace: Path,
    speakers: list[str] | None,
    teachers: list[str] | None,
    modes: tuple[Mode, ...] | None,
    seeds: list[int],
    recipe: str | None,
    overrides: tuple[str, ...],
) -> None:
    """Say how right the teachers' words of recordings without transcripts are, by how they are pooled.

    Needs the teachers' `word` dumps, and trains nothing. Tables, right %: all recordings of each speaker by the others'
    teachers, as `train --adapt-unlabelled` begins, before the student is asked: by mean and by the teachers' confusions
    of that voice (kdspeech/targets/dawid_skene.py), with and without the balance of words; with --modes, by teachers
    and a finished student who never heard the speaker, as the recipe pools them; and each teacher's own training
    recordings by all teachers, as `train --labels 0` hears them.

    \b
    python experiments/pseudo_words.py --speakers A,B
    python experiments/pseudo_words.py --modes labels,ctc-kd --seeds 0,1,2
    """
    place = Workspace(workspace)
    heard = place.check_speakers(speakers or ["all"])
    listeners = place.check_speakers(teachers) if teachers else teachers_of(place)
    chosen = resolve_recipe(place, recipe, overrides)
    config = chosen.pseudo_labels
    strange = [labeller_of(place, speaker, listeners, config, known=False) for speaker in heard]
    _print("Right words of a new voice, %", heard, [right_words(labeller) for labeller in strange])
    if modes:
        found = [right_words_with_students(place, labeller, chosen, modes, seeds, students) for labeller in strange]
        _print("Right words of a new voice by teachers and a student, %", heard, found)
    own = [speaker for speaker in heard if speaker in listeners]
    if own:
        known = [labeller_of(place, speaker, listeners, config, known=True) for speaker in own]
        _print("Right words of what the own teacher has learnt, %", own, [right_words(labeller) for labeller in known])


if __name__ == "__main__":
    run_command(command)
