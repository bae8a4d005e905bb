"""A fold's recordings as an epoch draws them: waveforms and tokens, in an order that only seed and epoch decide.

Shapes: N samples.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
from torch.utils.data import Dataset, Sampler

from kdspeech.audio import load_audio, resample_to_speed
from kdspeech.config import ChannelConfig
from kdspeech.simulation.timing import stretch
from kdspeech.targets.pseudo_labels import PseudoLabel
from kdspeech.training.colouring import transmit
from kdspeech.utterance import Utterance
from kdspeech.vocabulary import Vocabulary

_POOL_BATCHES = 20  # batches' worth of utterances that are sorted by length together


class Draw(NamedTuple):
    """One utterance of an epoch, and how fast it is played."""

    number: int  # in the dataset
    speed: float  # 1.1 is shorter and higher
    seed: tuple[int, ...] = ()  # of the epoch; with `number` it decides what else is drawn for the utterance
    tempo: float = 1.0  # beside the speed; 1.1 is shorter and as high


class Item(NamedTuple):
    """What the dataset gives for one draw."""

    utterance: Utterance
    waveform: np.ndarray  # float32 [N]
    token_ids: list[int]
    weight: float = 1.0  # of what is learnt from the tokens
    pace: float = 1.0  # how many times as long the recording is: speed times tempo


class AudioCache:
    """Loads waveforms and keeps the first that fit into a number of bytes.

    Each epoch visits everything once, so throwing out the least recently used would keep nothing.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._num_bytes = 0
        self._waveforms: dict[tuple[str, float, float], np.ndarray] = {}

    def load(self, path: str, speed: float = 1.0, tempo: float = 1.0) -> np.ndarray:
        """The recording played at `speed`, by resampling (Ko et al. 2015): tempo, pitch and formants move together.

        Args:
            tempo: beside it, by WSOLA: pitch and formants stay.

        Returns:
            float32 [N / speed / tempo].

        Raises:
            AudioError: the recording cannot be used.
        """
        key = (path, speed, tempo)
        if key in self._waveforms:
            return self._waveforms[key]
        waveform = load_audio(path)
        if speed != 1.0:
            waveform = resample_to_speed(waveform, speed)
        if tempo != 1.0:
            waveform = stretch(waveform, tempo)
        if self._num_bytes + waveform.nbytes <= self._max_bytes:
            self._num_bytes += waveform.nbytes
            self._waveforms[key] = waveform
        return waveform


class UtteranceDataset(Dataset[Item]):
    """A fold's utterances as waveforms and token ids."""

    def __init__(
        self,
        utterances: Sequence[Utterance],
        vocabulary: Vocabulary,
        cache: AudioCache,
        pseudo_labels: Mapping[str, PseudoLabel] | None = None,
        colouring: ChannelConfig | None = None,
    ) -> None:
        """An utterance without text takes its pseudo-label, looked up anew each time, as it is replaced in between.

        Args:
            colouring: what each draw is sent through; None gives the recordings as they are.
        """
        self._colouring = colouring
        self._utterances = utterances
        self._cache = cache
        self._vocabulary = vocabulary
        self._token_ids = [vocabulary.encode(u.text) for u in utterances]
        self._pseudo_labels = {} if pseudo_labels is None else pseudo_labels  # it may be empty now, and filled later

    def __len__(self) -> int:
        return len(self._utterances)

    def __getitem__(self, draw: Draw) -> Item:
        utterance = self._utterances[draw.number]
        waveform = self._cache.load(utterance.audio_filepath, draw.speed, draw.tempo)
        if self._colouring is not None:
            rng = np.random.default_rng([*draw.seed, draw.number])
            waveform = transmit(waveform, len(waveform), self._colouring, rng)
        pace = draw.speed * draw.tempo
        if utterance.text:
            return Item(utterance, waveform, self._token_ids[draw.number], pace=pace)
        label = self._pseudo_labels.get(utterance.utt_id, PseudoLabel("", 0.0))
        return Item(utterance, waveform, self._vocabulary.encode(label.text), label.weight, pace)


class EpochBatches(Sampler[list[Draw]]):
    """Batches of similar length in random order: a function of (seed, epoch) alone, whatever was drawn before."""

    def __init__(
        self,
        utterances: Sequence[Utterance],
        batch_size: int,
        seed: int,
        speeds: Sequence[float] = (1.0,),
        shuffle: bool = True,
        tempos: Sequence[float] = (1.0,),
    ) -> None:
        self._durations = np.array([u.duration for u in utterances])  # seconds
        self._batch_size = batch_size
        self._seed = seed
        self._speeds, self._tempos = np.array(speeds), np.array(tempos)
        self._shuffle = shuffle
        self._epoch = 0

    @property
    def sampler(self) -> Self:
        """Itself: Lightning calls `set_epoch` of a batch sampler's `sampler`, and never of the batch sampler."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this at the start of every epoch, through `sampler`."""
        self._epoch = epoch

    def __len__(self) -> int:
        return -(-len(self._durations) // self._batch_size)

    def __iter__(self) -> Iterator[list[Draw]]:
        generator = np.random.default_rng([self._seed, self._epoch])
        count = len(self._durations)
        speeds = generator.choice(self._speeds, size=count) if self._shuffle else np.ones(count)
        order = generator.permutation(count) if self._shuffle else np.arange(count)
        tempos = self._draw_tempos(count)
        pool = self._batch_size * _POOL_BATCHES
        batches: list[np.ndarray] = []
        for start in range(0, count, pool):
            part = order[start : start + pool]
            part = part[np.argsort((self._durations / speeds / tempos)[part], kind="stable")]
            batches += [part[at : at + self._batch_size] for at in range(0, len(part), self._batch_size)]
        sequence = generator.permutation(len(batches)) if self._shuffle else np.arange(len(batches))
        for number in sequence:
            seed = (self._seed, self._epoch)
            yield [Draw(int(i), float(speeds[i]), seed, float(tempos[i])) for i in batches[number]]

    def _draw_tempos(self, count: int) -> np.ndarray:
        """[count], from a stream of their own: where there is but one, everything else is drawn as it was without."""
        if not self._shuffle:
            return np.ones(count)
        return np.random.default_rng([self._seed, self._epoch, 1]).choice(self._tempos, size=count)
