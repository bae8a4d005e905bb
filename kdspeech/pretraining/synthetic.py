"""The synthetic corpus of a pretraining: words of the lexicon, each said once by a voice and in a place of its own."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import soundfile

from kdspeech import console
from kdspeech.audio import SAMPLE_RATE
from kdspeech.config import PretrainingConfig
from kdspeech.errors import KdspeechError
from kdspeech.fanout import run_jobs
from kdspeech.files import read_json, sha256_of_text, write_json, write_text
from kdspeech.model_folders.teacher_folder import replacing_folder
from kdspeech.pretraining.voices import draw_voice, natural_variants
from kdspeech.simulation.synthesiser import Voice, synthesiser
from kdspeech.training.colouring import colour
from kdspeech.utterance import Utterance, read_manifest, write_manifest

SPEAKER = "synthetic"  # in the synthetic manifest: no speaker of any corpus
_MANIFEST_NAME = "manifest.jsonl"
_VOICES_NAME = "voices.jsonl"  # one row an utterance
_MARKER_NAME = "synthetic.json"  # written last
_MAX_DRAWS = 100  # of voices, until one of them gives the word
_MIN_SPOKEN_S = 0.05  # less is not a word: some variants swallow short ones


@dataclass(frozen=True)
class Spoken:
    """One synthetic utterance."""

    waveform: np.ndarray  # float32 [N]
    voice: Voice


@dataclass(frozen=True)
class SyntheticCorpus:
    """What the models are pretrained on."""

    utterances: tuple[Utterance, ...]  # splits train and valid, absolute paths
    num_voices: int  # different ones

    @property
    def train(self) -> tuple[Utterance, ...]:
        return tuple(u for u in self.utterances if u.split == "train")

    @property
    def valid(self) -> tuple[Utterance, ...]:
        return tuple(u for u in self.utterances if u.split == "valid")

    @property
    def hours(self) -> float:
        return sum(u.duration for u in self.utterances) / 3600


def synthesise(
    folder: Path,
    words: Sequence[str],
    min_samples: Sequence[int],
    config: PretrainingConfig,
    seed: int,
    jobs: int,
    log_dir: Path,
) -> SyntheticCorpus:
    """Makes the corpus of these words, settings and seed, or takes it from `folder` if it is there.

    Utterance i depends on (seed, i) and the settings alone, so any number of jobs gives the same corpus.

    Args:
        min_samples: of each word's utterances, so that every model has frames enough for its pieces.
        jobs: processes side by side.

    Raises:
        KdspeechError: the synthesiser is not installed or cannot say a word, or the folder cannot be written.
    """
    made_of = _made_of(words, min_samples, config, seed)
    marker = folder / _MARKER_NAME
    if marker.exists() and read_json(marker)["sha256"] == made_of:
        console.remark(f"{folder} holds these synthetic utterances already.")
        return _read(folder)
    synthesiser()  # says at once if it is missing
    num_train = config.utterances_per_word * len(words)
    count = num_train + config.valid_utterances
    with replacing_folder(folder) as temporary:
        chunks = [list(range(start, count, jobs)) for start in range(jobs)]
        arguments = [(temporary, tuple(words), tuple(min_samples), config, seed, chunk) for chunk in chunks]
        found = run_jobs(
            _speak_chunk,
            arguments,
            description="Synthesising utterances",
            log_dir=log_dir,
            jobs=jobs,
            counter=(count, lambda: sum(1 for _ in temporary.glob("*.wav"))),
        )
        spoken = sorted((pair for part in found for pair in part), key=lambda pair: pair[0].utt_id)
        write_manifest(temporary / _MANIFEST_NAME, [utterance for utterance, _ in spoken])
        rows = [{"utt_id": utterance.utt_id, **asdict(voice)} for utterance, voice in spoken]
        write_text(temporary / _VOICES_NAME, "".join(json.dumps(row) + "\n" for row in rows))
        write_json(temporary / _MARKER_NAME, {"sha256": made_of, "words": list(words), "seed": seed})
    return _read(folder)


def _made_of(words: Sequence[str], min_samples: Sequence[int], config: PretrainingConfig, seed: int) -> str:
    decisive = {"utterances_per_word", "valid_utterances", "voices", "colouring"}
    settings = config.model_dump(mode="json", include=decisive)
    return sha256_of_text(json.dumps([list(words), list(min_samples), settings, seed], sort_keys=True))


def _read(folder: Path) -> SyntheticCorpus:
    """The manifest's paths are relative, so that a workspace can be moved."""
    utterances = read_manifest(folder / _MANIFEST_NAME)
    rows = (folder / _VOICES_NAME).read_text(encoding="utf-8").splitlines()
    voices = {json.dumps({**json.loads(row), "utt_id": ""}) for row in rows}
    here = folder.absolute()
    return SyntheticCorpus(
        tuple(replace(u, audio_filepath=str(here / u.audio_filepath)) for u in utterances), len(voices)
    )


def _speak_chunk(
    folder: Path,
    words: Sequence[str],
    min_samples: Sequence[int],
    config: PretrainingConfig,
    seed: int,
    numbers: Sequence[int],
) -> list[tuple[Utterance, Voice]]:
    """Writes the utterances of these numbers; a job of its own, since espeak-ng's state is its process' own."""
    made = []
    for number in console.track(numbers, "Synthesising"):
        index = number % len(words)
        spoken = speak_number(words[index], min_samples[index], config, seed, number)
        name = f"{number:06d}.wav"
        soundfile.write(folder / name, spoken.waveform, SAMPLE_RATE, subtype="PCM_16")
        utterance = Utterance(
            utt_id=f"{SPEAKER}-{number:06d}",
            audio_filepath=name,
            duration=len(spoken.waveform) / SAMPLE_RATE,
            text=words[index],
            speaker=SPEAKER,
            split="train" if number < config.utterances_per_word * len(words) else "valid",
        )
        made.append((utterance, spoken.voice))
    return made


def speak_number(word: str, min_samples: int, config: PretrainingConfig, seed: int, number: int) -> Spoken:
    """One utterance of the corpus; a voice that swallows the word is drawn again.

    Raises:
        KdspeechError: no voice says the word.
    """
    rng, speaker = np.random.default_rng([seed, number]), synthesiser()
    variants = natural_variants(speaker)
    for _ in range(_MAX_DRAWS):
        voice = draw_voice(config.voices, variants, rng)
        waveform = speaker.speak(word, voice)
        if len(waveform) >= _MIN_SPOKEN_S * SAMPLE_RATE:
            return Spoken(colour(waveform, config.colouring, rng, min_samples), voice)
    raise KdspeechError(f"no synthetic voice says {word!r} audibly. Correct the lexicon, or leave the word out of it.")
