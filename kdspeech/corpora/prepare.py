"""`prepare`: from a corpus folder or manifest to a checked manifest, its vocabulary and its lexicon."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from kdspeech import console
from kdspeech.audio import SAMPLES_PER_FEATURE_FRAME
from kdspeech.config import Recipe, load_recipe
from kdspeech.corpora.checking import Fault, Task, check_recordings, check_speakers
from kdspeech.corpora.registry import find_reader
from kdspeech.corpora.utterance import SPLITS, Utterance, check_utterances, speakers_of, write_manifest
from kdspeech.errors import KdspeechError, ManifestError
from kdspeech.files import check_writable, sha256_of_file, sha256_of_text, write_json
from kdspeech.lexicon import Lexicon
from kdspeech.scoring.normalise import normalise
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import CorpusCard, Workspace

# The characters of a corpus without a word list; fixed, so that no speaker's transcripts decide them.
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789'-"
_MAX_FAULTS = 10  # named in one message
_CONFORMER_SUBSAMPLING = 4  # NeMo's default, where the recipe's encoder_config does not say


def prepare(
    workspace: Workspace,
    corpus: str,
    root: Path,
    *,
    recipe_name: str | None = None,
    overrides: tuple[str, ...] = (),
    lexicon: Path | None = None,
    vocabulary: Path | None = None,
    speakers: Sequence[str] | None = None,
    reader_options: Mapping[str, Any] | None = None,
    skip_broken: bool = False,
    force: bool = False,
) -> CorpusCard:
    """Checks a corpus and writes the workspace's manifest, vocabulary and lexicon.

    Nothing is written unless every utterance is right. `manifests/corpus.json` is written last: where it exists, the
    workspace is prepared. Done work is skipped: same settings, and files of the same names, sizes and times.

    Args:
        corpus: a reader's name, see `kdspeech.corpora.registry`.
        root: the corpus folder, or the manifest file.
        recipe_name: the workspace's default recipe; None takes the reader's.
        overrides: OmegaConf dotlist on the recipe, for the vocabulary's settings.
        lexicon: a word list instead of the reader's.
        vocabulary: a SentencePiece model instead of one trained on the lexicon, or of single characters without one.
        speakers: only these; None takes all.
        reader_options: the reader's own, for example {"speaker_field": "spk"}.
        skip_broken: leaves utterances at fault out, naming each, instead of refusing the corpus.
        force: prepares again, and lets another corpus take the workspace.

    Raises:
        ManifestError: the corpus or its utterances are at fault.
        KdspeechError: the workspace cannot be written, or holds another corpus.
    """
    workspace = Workspace(workspace.root)  # nothing read before this call is trusted
    reader, root = find_reader(corpus), root.absolute()
    recipe = load_recipe(recipe_name or reader.default_recipe, overrides)
    found = reader.read(root, **(reader_options or {}))
    for gap in found.gaps:
        console.warn(gap)
    utterances = _chosen(found.utterances, speakers, root)
    check_utterances(utterances, root)
    check_speakers(utterances, root)
    utterances = [replace(u, text=normalise(u.text)) for u in utterances]
    words = _normalised(Lexicon.load(lexicon) if lexicon else found.lexicon)
    model, source, model_speakers = _vocabulary(recipe, words, vocabulary)
    card = CorpusCard(
        corpus=corpus,
        root=str(root),
        recipe=str(Path(recipe_name).absolute()) if recipe_name and Path(recipe_name).is_file() else recipe.name,
        manifest_sha256="",
        vocabulary_sha256=model.sha256,
        vocabulary_source=source,
        vocabulary_speakers=model_speakers,
        source_sha256=_fingerprint(utterances, model, words, recipe, skip_broken),
    )
    if not force and (done := _done(workspace, card)):
        console.remark(f"{workspace.manifest_path} is up to date; --force prepares it again.")
        _print_summary(workspace.utterances)
        return done
    check_writable(workspace.corpus_path.parent)
    task = Task(model, words, _samples_per_frame(recipe))
    sound = _without_faults(*check_recordings(utterances, task), skip_broken, root)
    card = _write(workspace, sound, model, words, card)
    _print_summary(sound)
    return card


def _chosen(utterances: Sequence[Utterance], speakers: Sequence[str] | None, root: Path) -> list[Utterance]:
    if speakers is None or list(speakers) == ["all"]:
        return list(utterances)
    known = speakers_of(utterances)
    unknown = [name for name in speakers if name not in known]
    if unknown:
        raise ManifestError(
            f"unknown speaker {', '.join(map(repr, unknown))} in {root}. Its speakers: {', '.join(known)}."
        )
    return [u for u in utterances if u.speaker in speakers]


def _normalised(lexicon: Lexicon | None) -> Lexicon | None:
    """The lexicon under the same text rules as the transcripts."""
    if lexicon is None:
        return None
    groups = tuple(tuple(normalise(word) for word in group) for group in lexicon.homophones)
    return Lexicon(tuple(normalise(word) for word in lexicon.words), groups)


def _vocabulary(
    recipe: Recipe, lexicon: Lexicon | None, file: Path | None
) -> tuple[Vocabulary, str, tuple[str, ...] | None]:
    """The vocabulary, where it comes from, and whose transcripts it was trained on: never on this corpus'."""
    if file is not None:
        return Vocabulary.load(file), "file", None
    if lexicon is not None:
        vocabulary = Vocabulary.train(lexicon.words, recipe.vocabulary.size, recipe.vocabulary.model_type)
        vocabulary.check_round_trip(lexicon.words)
        return vocabulary, "lexicon", ()
    return Vocabulary.train((ALPHABET, " ".join(ALPHABET)), 2 * len(ALPHABET), "char"), "alphabet", ()


def _samples_per_frame(recipe: Recipe) -> int:
    """Samples under one output frame of the coarser of teacher and student."""
    student = (recipe.student.encoder_config or {}).get("subsampling_factor", _CONFORMER_SUBSAMPLING)
    return SAMPLES_PER_FEATURE_FRAME * max(recipe.teacher.subsampling, student)


def _fingerprint(
    utterances: Iterable[Utterance], vocabulary: Vocabulary, lexicon: Lexicon | None, recipe: Recipe, skip_broken: bool
) -> str:
    """Hash over all that decides the result: settings, what the reader says, and each file's size and time."""
    files = []
    for utterance in utterances:
        path = Path(utterance.audio_filepath)
        state = path.stat() if path.is_file() else None
        files.append([asdict(utterance), state and [state.st_size, state.st_mtime_ns]])
    words = lexicon and [lexicon.words, lexicon.homophones]
    return sha256_of_text(json.dumps([files, vocabulary.sha256, words, _samples_per_frame(recipe), skip_broken]))


def _done(workspace: Workspace, card: CorpusCard) -> CorpusCard | None:
    """The stored card if it is of this corpus, whole and up to date.

    Raises:
        KdspeechError: the workspace holds another corpus.
    """
    if not workspace.corpus_path.exists():
        return None
    stored = workspace.corpus
    if (stored.corpus, stored.root) != (card.corpus, card.root):
        raise KdspeechError(
            f"the workspace {workspace.root} holds the corpus {stored.corpus} of {stored.root}; teachers and dumps in "
            f"it would not fit {card.corpus} of {card.root}. Choose another folder with --workspace, or add --force."
        )
    if replace(stored, manifest_sha256="") != card:
        console.remark("The settings or the files have changed since the last time: preparing again.")
        return None
    whole = (
        workspace.manifest_path.exists()
        and sha256_of_file(workspace.manifest_path) == stored.manifest_sha256
        and (workspace.vocabulary_dir / "tokenizer.model").exists()
        and workspace.vocabulary.sha256 == stored.vocabulary_sha256
    )
    return stored if whole else None


def _without_faults(sound: list[Utterance], faults: Sequence[Fault], skip_broken: bool, root: Path) -> list[Utterance]:
    if faults and not (skip_broken and sound):
        named = "".join(f"\n  {fault.utt_id}: {fault.reason}" for fault in faults[:_MAX_FAULTS])
        more = f"\n  and {len(faults) - _MAX_FAULTS} more" if len(faults) > _MAX_FAULTS else ""
        raise ManifestError(
            f"{len(faults)} of {len(faults) + len(sound)} utterances of {root} cannot be used; nothing was written."
            f"{named}{more}\nCorrect them, or leave them out with --skip-broken."
        )
    for fault in faults:
        console.warn(f"left out {fault.utt_id}: {fault.reason}")
    return sound


def _write(
    workspace: Workspace,
    utterances: Sequence[Utterance],
    vocabulary: Vocabulary,
    lexicon: Lexicon | None,
    card: CorpusCard,
) -> CorpusCard:
    if workspace.corpus_path.exists():
        if workspace.corpus.vocabulary_sha256 != vocabulary.sha256:
            console.warn(
                "the vocabulary has changed: teachers, dumps and runs made with the old one do not fit any more."
            )
        workspace.corpus_path.unlink()  # not prepared until it is written again
    vocabulary.save(workspace.vocabulary_dir)
    if lexicon is not None:
        lexicon.save(workspace.lexicon_path)
    else:
        workspace.lexicon_path.unlink(missing_ok=True)
    write_manifest(workspace.manifest_path, utterances)
    card = replace(card, manifest_sha256=sha256_of_file(workspace.manifest_path))
    write_json(workspace.corpus_path, asdict(card))
    console.remark(
        f"Wrote {workspace.manifest_path}: {len(utterances)} utterances, vocabulary of {vocabulary.size} pieces "
        f"({card.vocabulary_source}), {f'lexicon of {len(lexicon.words)} words' if lexicon else 'no lexicon'}."
    )
    return card


def _print_summary(utterances: Sequence[Utterance]) -> None:
    rows = [_summary(name, [u for u in utterances if u.speaker == name]) for name in speakers_of(utterances)]
    rows.append(_summary("all", utterances))
    console.table("Corpus", ("speaker", *SPLITS, "minutes", "distinct words"), rows)


def _summary(name: str, utterances: Sequence[Utterance]) -> list[str]:
    counts = [str(sum(u.split == split for u in utterances)) for split in SPLITS]
    minutes = sum(u.duration for u in utterances) / 60
    words = {word for u in utterances for word in u.text.split()}
    return [name, *counts, f"{minutes:.1f}", str(len(words))]
