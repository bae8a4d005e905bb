"""How right the teachers' words of a voice are that none of them knows, by how they are pooled. Trains nothing.

  python experiments/new_voice.py --workspace workspace [--speakers A,B] [--teachers A,B,...] [--set KEY=VALUE]
Needs the teachers' `word` dumps. Each speaker is heard by the other teachers, all recordings, as `train
--adapt-unlabelled` begins: before the student is asked. Right %, by mean and by the teachers' confusions of that voice
(kdspeech/targets/dawid_skene.py), with and without the balance of words.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kdspeech import console
from kdspeech.config import PseudoLabelConfig
from kdspeech.dumps.store import open_store
from kdspeech.errors import ConfigError, KdspeechError
from kdspeech.model_folders.teacher_folder import read_teacher_card, teachers_of
from kdspeech.recipe_file import load_recipe
from kdspeech.targets.pseudo_labels import PseudoLabeller, read_voices, word_prior
from kdspeech.utterance import speakers_of
from kdspeech.workspace import Workspace

_WAYS = {
    "mean": {"pooling": "mean", "balance": False},
    "mean, balanced": {"pooling": "mean", "balance": True},
    "confusions": {"pooling": "dawid_skene", "balance": False},
    "confusions, balanced": {"pooling": "dawid_skene", "balance": True},
}


def right_words(
    workspace: Workspace, speaker: str, teachers: Sequence[str], config: PseudoLabelConfig
) -> dict[str, float]:
    """Way of pooling -> % of the speaker's recordings whose word is right.

    Raises:
        KdspeechError: no other teacher, no closed word list, or no dump of the speaker.
    """
    cards = [read_teacher_card(workspace.teacher_dir(name)) for name in teachers if name != speaker]
    if not cards:
        raise ConfigError(f"no teacher but {speaker}'s own: name others with --teachers, or train more.")
    heard = tuple(u for u in workspace.utterances if u.speaker == speaker)
    others = [u for u in workspace.utterances if u.speaker != speaker]
    voices = read_voices(open_store(workspace), cards, heard, workspace.lexicon, config)
    every_word = np.ones(len(workspace.lexicon.words), dtype=bool)
    prior = word_prior(workspace.lexicon, (u.text for u in others), len(speakers_of(others)))
    found = {}
    for name, way in _WAYS.items():
        labeller = PseudoLabeller(
            heard,
            workspace.lexicon,
            voices,
            {u.utt_id: every_word for u in heard},
            prior,
            config.model_copy(update=way),
        )
        labels = labeller.label(None, 0.0)
        found[name] = 100 * float(np.mean([labels[u.utt_id].text == u.text for u in heard]))
    return found


def main() -> int:
    """Exit codes: 0 done, 1 failed, 2 wrong usage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=Path("workspace"))
    parser.add_argument("--speakers", help="to be heard, separated by commas  [default: all]")
    parser.add_argument("--teachers", help="speakers, separated by commas  [default: all]")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a value of the recipe")
    options = parser.parse_args()
    workspace = Workspace(options.workspace)
    try:
        speakers, teachers = (
            workspace.check_speakers(names.split(",")) if names else all_of
            for names, all_of in ((options.speakers, workspace.speakers), (options.teachers, teachers_of(workspace)))
        )
        config = load_recipe(workspace.corpus.recipe, tuple(options.set)).pseudo_labels
        found = [right_words(workspace, speaker, teachers, config) for speaker in speakers]
        rows = [
            [way, *(f"{of_speaker[way]:.1f}" for of_speaker in found), f"{np.mean([each[way] for each in found]):.1f}"]
            for way in _WAYS
        ]
        console.table("Right words of a new voice, %", ("pooled by", *speakers, "mean"), rows)
    except KdspeechError as error:
        console.warn(str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
