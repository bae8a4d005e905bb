"""Keeps the pseudo-labels of a run up to date: before every epoch the student is asked what it hears by now."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from kdspeech import console
from kdspeech.audio import SAMPLE_RATE
from kdspeech.config import Recipe
from kdspeech.decoding.lexicon import LexiconScorer
from kdspeech.dumps.store import open_store
from kdspeech.errors import ConfigError
from kdspeech.folds import Fold
from kdspeech.lexicon import Lexicon
from kdspeech.logspace import LOG_ZERO, normalise
from kdspeech.protocols import TeacherCard
from kdspeech.supervision import Supervision
from kdspeech.targets.hypotheses import WeightedText, read_hypotheses
from kdspeech.targets.pseudo_labels import PseudoLabel, PseudoLabeller, read_voices, word_prior
from kdspeech.targets.speaking import Turns
from kdspeech.targets.word_targets import WordTargets
from kdspeech.training.batches import Collator
from kdspeech.training.recordings import AudioCache, EpochBatches, UtteranceDataset
from kdspeech.utterance import Utterance, speakers_of
from kdspeech.vocabulary import Vocabulary, fewest_frames
from kdspeech.workspace import Workspace

_BATCH = 64  # utterances decoded at a time


def unlabelled_recordings(
    fold: Fold, labelled: Sequence[Utterance], supervision: Supervision, has_teachers: bool
) -> tuple[Utterance, ...]:
    """What a run hears without transcripts, which are taken away here.

    Training recordings whose transcripts are not read come in where teachers can tell what they say.

    Raises:
        ConfigError: nothing is left to learn from, or there are no test recordings to hear.
    """
    read = {u.utt_id for u in labelled}
    heard = [u for u in fold.train if u.utt_id not in read] if has_teachers else []
    if supervision.all_audio:
        if not fold.set_aside:
            raise ConfigError(
                f"--all-audio: the manifest has no `test` recording of {', '.join(fold.training_speakers)}: there is "
                "no more to hear than what trains. Leave out --all-audio."
            )
        heard += fold.set_aside
    if supervision.adapt:
        heard += fold.test
    if not labelled and not has_teachers:
        raise ConfigError(
            "without transcripts and without teachers there is nothing to learn from. Choose ctc-kd or decoder-kd."
        )
    return tuple(replace(u, text="") for u in heard)


def recordings_elsewhere(fold: Fold, supervision: Supervision) -> tuple[Utterance, ...]:
    """The training speakers' recordings that nobody hears, without their transcripts where not all may be read."""
    speakers = set(fold.training_speakers)
    parts = fold.valid if supervision.all_audio else (*fold.valid, *fold.set_aside)
    others = [u for u in parts if u.speaker in speakers]
    return tuple(u if supervision.label_share == 1 else replace(u, text="") for u in others)


def make_labeller(
    workspace: Workspace,
    cards: Sequence[TeacherCard],
    labelled: Sequence[Utterance],
    unlabelled: Sequence[Utterance],
    elsewhere: Sequence[Utterance],
    recipe: Recipe,
    student: Any,
) -> PseudoLabeller:
    """What gives the unlabelled recordings their words.

    Args:
        cards: of the teachers that are asked; none leaves the student by itself.
        elsewhere: recordings of the training speakers that nobody trains on, with their transcripts where these may be
            read: a new speaker is heard saying all prompts, and some may be said there alone (UASpeech's second block).

    Raises:
        KdspeechError: the corpus has no lexicon, the store lacks the teachers' word posteriors, or nobody would speak.
    """
    lexicon, config, who = workspace.lexicon, recipe.pseudo_labels, recipe.targets.who
    speakers = frozenset(speaker for card in cards for speaker in card.speakers or () if who != "others")
    # Words are counted over whoever has transcripts or a teacher of his own: few transcripts alone are a poor sample.
    counted = [u for u in (*labelled, *elsewhere, *unlabelled) if u.text or u.speaker in speakers]
    asked = [*unlabelled, *(u for u in elsewhere if u.speaker in speakers and not u.text)]
    teachers = read_voices(open_store(workspace), cards, asked, lexicon, config, who) if cards else None
    fits = _fits(asked, lexicon, workspace.vocabulary, student, recipe.training.fastest)

    def word_of(u: Utterance) -> str:
        if u.text or teachers is None:
            return u.text
        return lexicon.words[int(np.where(fits[u.utt_id], teachers[u.utt_id].pooled, LOG_ZERO).argmax())]

    labeller = PseudoLabeller(
        utterances=tuple(unlabelled),
        lexicon=lexicon,
        teachers=teachers,
        fits=fits,
        prior=word_prior(lexicon, map(word_of, counted), len(speakers_of(counted))),
        config=config,
        known=frozenset(u.utt_id for u in unlabelled if u.speaker in speakers and u.split == "train"),
    )
    num_epochs = sum(stage.epochs for stage in recipe.stages)
    waits = teachers is None or not config.from_start
    if labeller.doubtful and waits and max(config.student_from * num_epochs, 1) > num_epochs - 1:
        console.warn(
            f"nothing is learnt from {len(labeller.doubtful)} recordings of unknown words: they wait for the student, "
            f"who is asked before the first epoch that begins at {100 * config.student_from:g} % of the training or "
            f"later, and of {num_epochs} none does. Lower pseudo_labels.student_from, or train longer."
        )
    if labeller.unbalanced:
        few = ", ".join(f"{speaker} ({count})" for speaker, count in labeller.unbalanced.items())
        console.remark(
            f"Pseudo-labels are not balanced where a speaker has fewer recordings than the list has words "
            f"({len(lexicon.words)}): {few}."
        )
    return labeller


def taught_words(
    workspace: Workspace,
    cards: Sequence[TeacherCard],
    utterances: Sequence[Utterance],
    fold: Fold,
    recipe: Recipe,
    turns: Turns | None = None,
) -> WordTargets | None:
    """Utterance id -> the teachers' pooled word posteriors [W] at the targets' temperature; None without teachers.

    Raises:
        KdspeechError: the corpus has no lexicon, the store lacks word posteriors, or nobody would speak.
    """
    if not cards:
        return None
    targets = WordTargets(
        open_store(workspace),
        cards,
        utterances,
        workspace.lexicon,
        recipe.targets,
        recipe.own_share_of_words,
        turns,
        (fold.valid, workspace.vocabulary),
    )
    if len(targets) < len(utterances):
        console.remark(
            f"Words are taught on {len(targets)} of {len(utterances)} recordings: elsewhere teachers disagree."
        )
    return targets


def taught_texts(
    workspace: Workspace, cards: Sequence[TeacherCard], utterances: Sequence[Utterance], recipe: Recipe
) -> dict[str, list[WeightedText]] | None:
    """Utterance id -> the teachers' own hypotheses, weighted by how many say so; None without teachers.

    Raises:
        KdspeechError: the store lacks hypotheses, or nobody would speak.
    """
    if not cards:
        return None
    store, who = open_store(workspace), recipe.targets.who
    return read_hypotheses(store, cards, utterances, workspace.vocabulary, recipe.own_share_of_words, who)


def _fits(
    utterances: Sequence[Utterance], lexicon: Lexicon, vocabulary: Vocabulary, student: Any, speed: float
) -> dict[str, np.ndarray]:
    """Utterance id -> bool [W]: the words for which CTC has frames enough, even at the fastest speed."""
    needed = torch.tensor([fewest_frames(vocabulary.encode(word)) for word in lexicon.words])
    num_frames = student.num_frames(torch.tensor([int(u.duration * SAMPLE_RATE / speed) for u in utterances]))
    return {u.utt_id: (needed <= count).numpy() for u, count in zip(utterances, num_frames, strict=True)}


@torch.inference_mode()
def heard_words(
    student: Any, utterances: Sequence[Utterance], vocabulary: Vocabulary, scorer: LexiconScorer, cache: AudioCache
) -> dict[str, np.ndarray]:
    """Utterance id -> the student's word posteriors over the lexicon of `scorer`, log [W], float32."""
    device = next(student.parameters()).device
    student.eval()
    loader: DataLoader[Any] = DataLoader(
        UtteranceDataset(tuple(utterances), vocabulary, cache),
        batch_sampler=EpochBatches(utterances, _BATCH, seed=0, shuffle=False),
        collate_fn=Collator(vocabulary),
        generator=torch.Generator(),
    )
    posteriors: dict[str, np.ndarray] = {}
    for batch in loader:
        encoded = student.encode(batch.waveforms.to(device), batch.lengths.to(device))
        scores = scorer.word_log_likelihoods(student.ctc_log_probs(encoded), encoded.num_frames)
        posteriors.update(zip(batch.utt_ids, normalise(scores.cpu().numpy()), strict=True))
    return posteriors


class SelfLabelling:
    """The pseudo-labels of one run; `labels` is replaced in place, so that a dataset may hold it."""

    def __init__(self, labeller: PseudoLabeller, vocabulary: Vocabulary, cache: AudioCache) -> None:
        self.labels: dict[str, PseudoLabel] = {}
        self._labeller, self._vocabulary, self._cache = labeller, vocabulary, cache
        self._scorer = LexiconScorer(labeller.lexicon, vocabulary)

    def update(self, student: Any, progress: float) -> None:
        """Labels all recordings anew.

        The labels follow from the student's weights alone, so a continued run has those of one that never stopped.

        Args:
            student: a torch.nn.Module that is a `Student`.
            progress: share of the run's training that is done, 0-1.
        """
        config = self._labeller.config
        is_asked = progress > 0 and progress >= config.student_from
        has_voice = bool(self._labeller.doubtful) and (config.student_weight > 0 or not self._has_teachers)
        heard = None
        if is_asked and has_voice:
            heard = heard_words(student, self._labeller.doubtful, self._vocabulary, self._scorer, self._cache)
        labels = self._labeller.label(heard, progress)
        changed = sum(label.text != self.labels[i].text for i, label in labels.items() if i in self.labels)
        self.labels.update(labels)
        if labels:
            learnt = [label.weight for label in labels.values() if label.weight > 0]
            confidence = f", mean confidence {np.mean(learnt):.2f}" if learnt else ""
            console.remark(
                f"Pseudo-labels by {self._sources(heard)}: {len(labels)}, {len(learnt)} learnt from{confidence}, "
                f"{len(Counter(label.text for label in labels.values()))} words, {changed} changed"
            )

    @property
    def _has_teachers(self) -> bool:
        return self._labeller.teachers is not None

    def _sources(self, heard: Mapping[str, np.ndarray] | None) -> str:
        names = [name for name, there in (("teachers", self._has_teachers), ("student", heard is not None)) if there]
        return " and ".join(names)
