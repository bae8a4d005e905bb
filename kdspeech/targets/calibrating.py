"""Each teacher's own temperature, before teachers are pooled: one that is too sure of itself drowns the others.

Guo et al. 2017 (1706.04599), section 4.2, on the held-back recordings of the speakers whom the teacher was trained on,
with Platt's smoothed labels: a teacher that is right on all of N rows is taken to be right on N + 1 of N + 2.

Shapes: T frames, U tokens, V vocabulary.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from kdspeech import console
from kdspeech.choices import Kind
from kdspeech.decoding.calibration import fit_temperature
from kdspeech.dumps.shard import Row
from kdspeech.errors import ConfigError
from kdspeech.lexicon import Lexicon
from kdspeech.losses import ctc_loss
from kdspeech.protocols import TeacherCard
from kdspeech.targets.speaking import is_own
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary, fewest_frames

Temperatures = dict[str, dict[Kind, float]]  # teacher -> kind -> its log-probs are divided by this


def fit_teachers(
    cards: Sequence[TeacherCard],
    valid: Sequence[Utterance],
    rows: Mapping[Kind, Mapping[str, Mapping[str, Row]]],
    vocabulary: Vocabulary,
    lexicon: Lexicon | None,
) -> Temperatures:
    """Fits every teacher and kind, and prints what came out.

    Args:
        valid: of the training speakers.
        rows: kind -> teacher -> utterance id -> row; `hypotheses` are passed over.
        lexicon: of the kind `word`.

    Raises:
        ConfigError: a teacher has no validation recordings of a speaker of its own.
    """
    found: Temperatures = {}
    for card in cards:
        own = [u for u in valid if is_own(card, u.speaker)]
        if not own:
            raise ConfigError(
                f"targets.calibrate: teacher {card.teacher_id} has no validation recordings of a speaker that it was "
                f"trained on ({', '.join(card.speakers or ()) or 'unknown'}). Leave it out, or set "
                "targets.calibrate=false."
            )
        found[card.teacher_id] = {
            kind: _temperature(kind, [given[card.teacher_id][u.utt_id] for u in own], own, vocabulary, lexicon)
            for kind, given in rows.items()
            if kind != "hypotheses"
        }
    kinds = list(next(iter(found.values())))
    console.table(
        "Teachers' temperatures on their own validation recordings (above 1: it was too sure)",
        ["teacher", *kinds],
        [[teacher, *(f"{fitted[kind]:.2f}" for kind in kinds)] for teacher, fitted in found.items()],
    )
    return found


def _temperature(
    kind: Kind, rows: Sequence[Row], utterances: Sequence[Utterance], vocabulary: Vocabulary, lexicon: Lexicon | None
) -> float:
    """One teacher, one kind: rows as they are stored, and what they should say."""
    scores: list[np.ndarray] = []
    references: list[int | None] = []
    for row, utterance in zip(rows, utterances, strict=True):
        if not isinstance(row, np.ndarray):
            continue
        tokens = vocabulary.encode(utterance.text)
        if kind == "word":
            words = lexicon.words if lexicon else ()
            scores.append(row)
            references.append(words.index(utterance.text) if utterance.text in words else None)
        elif kind == "decoder":
            scores += list(row)
            references += [*tokens, vocabulary.end_id]
        else:
            scores += list(row)
            references += frame_labels(row, tokens, vocabulary.blank_id)
    return fit_temperature(scores, references, spread=1 / (len(scores) + 2)).temperature


def frame_labels(log_probs: np.ndarray, tokens: Sequence[int], blank_id: int) -> list[int | None]:
    """What each frame should say: its likeliest column where the utterance is known to be `tokens`.

    CTC's posterior of a column at a frame, over all alignments, is what its gradient adds to the output's own
    probability (Graves et al. 2006, eq. 16).

    Args:
        log_probs: [T, V+1].

    Returns:
        T columns; None everywhere if the tokens do not fit into the frames.
    """
    given = torch.from_numpy(log_probs)[None].clone().requires_grad_()  # [1, T, V+1]
    reference, count = torch.tensor([list(tokens)]), torch.tensor([len(tokens)])
    num_frames = torch.tensor([len(log_probs)])
    if fewest_frames(tokens) > len(log_probs):
        return [None] * len(log_probs)
    ctc_loss(given, num_frames, reference, count, blank_id).sum.backward()
    if given.grad is None:
        return [None] * len(log_probs)
    posteriors = torch.exp(given.detach()) - given.grad  # [1, T, V+1]
    return [int(column) for column in posteriors[0].argmax(dim=1)]
