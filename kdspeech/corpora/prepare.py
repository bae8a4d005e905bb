"""`prepare`: from a corpus folder or manifest to a checked manifest, its vocabulary and its lexicon."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import msgspec

from kdspeech import console
from kdspeech.audio import SAMPLES_PER_FEATURE_FRAME
from kdspeech.config import Recipe, coarsest_subsampling
from kdspeech.corpora.checked import file_states, measure_recordings
from kdspeech.corpora.checking import Task, check_speakers, check_transcripts, warn_of_same_audio
from kdspeech.corpora.corpus_report import show_corpus_report
from kdspeech.corpora.measuring import FileState
from kdspeech.corpora.registry import find_reader
from kdspeech.errors import ConfigError, KdspeechError, ManifestError
from kdspeech.faults import Fault, left_out_message, refuse_if_too_many, write_faults
from kdspeech.files import check_writable, sha256_of_file, write_json
from kdspeech.lexicon import Lexicon
from kdspeech.recipe_file import load_recipe
from kdspeech.scoring.normalise import normalise
from kdspeech.utterance import SPLITS, Utterance, check_utterances, speakers_of, write_manifest
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import CorpusCard, Workspace

# The characters of a corpus without a word list; fixed, so that no speaker's transcripts decide them.
ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789'-"

# The recipe's settings that decide what is written, or which recordings are too short.
SETTINGS = (
    "vocabulary",
    "teacher.backend",
    "teacher.subsampling",
    "student.encoder",
    "student.encoder_config",
    "pretraining.encoder_config",
)


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
    strict: bool = False,
    report: bool = False,
    force: bool = False,
) -> CorpusCard:
    """Checks a corpus and writes the workspace's manifest, vocabulary and lexicon.

    Utterances that cannot be used are left out and named, all of them in `manifests/broken.jsonl`. A recording is
    decoded once: `manifests/checked.jsonl` remembers what was found until its file changes. `manifests/corpus.json`
    is written last: where it exists, the workspace is prepared. Done work is skipped: same settings, and files of the
    same names, sizes and times.

    Args:
        corpus: a reader's name, see `kdspeech.corpora.registry`.
        root: the corpus folder, or the manifest file.
        recipe_name: the workspace's default recipe; None takes the reader's.
        overrides: KEY=VALUE each, of the recipe's `SETTINGS`; the workspace does not remember them.
        lexicon: a word list instead of the reader's.
        vocabulary: a SentencePiece model instead of one trained on the lexicon, or of single characters without one.
        speakers: only these; None takes all.
        reader_options: the reader's own, for example {"speaker_field": "spk"}.
        strict: refuses a corpus with an utterance that cannot be used, instead of leaving it out.
        report: prints what is in the corpus and writes `reports/corpus.html`.
        force: prepares again, decodes again, and lets another corpus take the workspace.

    Raises:
        ConfigError: an override without effect here.
        ManifestError: the corpus is at fault: its form, an id that stands twice, or more than half of its utterances.
        KdspeechError: the workspace cannot be written, or holds another corpus.
    """
    check_overrides(overrides)
    workspace = Workspace(workspace.root)  # nothing read before this call is trusted
    reader, root = find_reader(corpus), root.absolute()
    recipe = load_recipe(recipe_name or reader.default_recipe, overrides)
    found = reader.read(root, **(reader_options or {}))
    for gap in found.gaps:
        console.warn(gap)
    utterances = _chosen(found.utterances, speakers, root)
    check_utterances(utterances, root)
    check_speakers(utterances, root)
    text_of = {text: normalise(text) for text in {u.text for u in utterances}}
    utterances = [replace(u, text=text_of[u.text]) for u in utterances]
    states = file_states(u.audio_filepath for u in utterances)
    words = _normalised(Lexicon.load(lexicon) if lexicon else found.lexicon, lexicon or root)
    model, source, model_speakers = _vocabulary(recipe, words, vocabulary)
    card = CorpusCard(
        corpus=corpus,
        root=str(root),
        recipe=str(Path(recipe_name).absolute()) if recipe_name and Path(recipe_name).is_file() else recipe.name,
        manifest_sha256="",
        vocabulary_sha256=model.sha256,
        vocabulary_source=source,
        vocabulary_speakers=model_speakers,
        source_sha256=_fingerprint(utterances, states, model, words, recipe),
    )
    if not force and (done := _done(workspace, card)):
        refuse_if_too_many(workspace.faults, len(utterances), root, strict=strict)
        console.remark(f"{workspace.manifest_path} is up to date; --force prepares it again.")
        card = done
    else:
        check_writable(workspace.corpus_path.parent)
        recordings = measure_recordings(states, workspace.checked_path, afresh=force)
        task = Task(model, words, _samples_per_frame(recipe))
        sound, faults = check_transcripts(utterances, recordings, task)
        refuse_if_too_many(faults, len(utterances), root, strict=strict)
        warn_of_same_audio(sound)
        card = _write(workspace, sound, faults, model, words, card)
    _show(Workspace(workspace.root), report)
    return card


def check_overrides(overrides: Sequence[str]) -> None:
    """Raises ConfigError for an override that `prepare` has no use for: later commands would not know of it."""
    for key in (override.partition("=")[0] for override in overrides):
        if not any(key == name or key.startswith(f"{name}.") for name in SETTINGS):
            raise ConfigError(
                f"--set {key} has no effect on `kdspeech prepare`, which uses {', '.join(SETTINGS)} and remembers none "
                f"of them. Give --set {key} to the commands that come after it, or write a recipe (--recipe FILE)."
            )


def _show(workspace: Workspace, report: bool) -> None:
    """What was prepared, and what was left out."""
    if workspace.faults:
        console.warn(left_out_message(workspace.faults, len(workspace.utterances), workspace.broken_path))
    _print_summary(workspace.utterances)
    if report:
        show_corpus_report(workspace)


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


def _normalised(lexicon: Lexicon | None, source: Path) -> Lexicon | None:
    """The lexicon under the same text rules as the transcripts."""
    if lexicon is None:
        return None
    spelt: dict[str, str] = {}  # word -> as the list writes it
    for word in lexicon.words:
        if not (text := normalise(word)):
            raise ConfigError(f"{source}: the word {word!r} holds nothing that transcripts keep. Leave it out.")
        if text in spelt:
            raise ConfigError(
                f"{source}: the words {spelt[text]!r} and {word!r} are the same, {text!r}, as transcripts are written. "
                "Leave one out."
            )
        spelt[text] = word
    return Lexicon(tuple(spelt), tuple(tuple(normalise(word) for word in group) for group in lexicon.homophones))


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
    return SAMPLES_PER_FEATURE_FRAME * coarsest_subsampling(recipe.teacher, recipe.encoder_config)


def _fingerprint(
    utterances: Iterable[Utterance],
    states: Mapping[str, FileState | None],
    vocabulary: Vocabulary,
    lexicon: Lexicon | None,
    recipe: Recipe,
) -> str:
    """Hash over all that decides the result: settings, what the reader says, and each file's size and time."""
    words = lexicon and [lexicon.words, lexicon.homophones]
    digest = hashlib.sha256(msgspec.json.encode([vocabulary.sha256, words, _samples_per_frame(recipe)]))
    for utterance in utterances:
        digest.update(msgspec.json.encode((utterance, states[utterance.audio_filepath])))
    return digest.hexdigest()


def refuse_other_corpus(workspace: Workspace, corpus: str, root: Path) -> None:
    """Raises KdspeechError if the workspace holds another corpus than this one."""
    if not workspace.corpus_path.exists():
        return
    stored = workspace.corpus
    if (stored.corpus, stored.root) != (corpus, str(root.absolute())):
        raise KdspeechError(
            f"the workspace {workspace.root} holds the corpus {stored.corpus} of {stored.root}; teachers and dumps in "
            f"it would not fit {corpus} of {root}. Choose another folder with --workspace, or add --force."
        )


def _done(workspace: Workspace, card: CorpusCard) -> CorpusCard | None:
    """The stored card if it is of this corpus, whole and up to date.

    Raises:
        KdspeechError: the workspace holds another corpus.
    """
    refuse_other_corpus(workspace, card.corpus, Path(card.root))
    if not workspace.corpus_path.exists():
        return None
    stored = workspace.corpus
    if replace(stored, manifest_sha256="", num_broken=0) != card:
        console.remark("The settings or the files have changed since the last time: preparing again.")
        return None
    whole = (
        workspace.manifest_path.exists()
        and sha256_of_file(workspace.manifest_path) == stored.manifest_sha256
        and len(workspace.faults) == stored.num_broken
        and (workspace.vocabulary_dir / "tokenizer.model").exists()
        and workspace.vocabulary.sha256 == stored.vocabulary_sha256
    )
    return stored if whole else None


def _write(
    workspace: Workspace,
    utterances: Sequence[Utterance],
    faults: Sequence[Fault],
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
    write_faults(workspace.broken_path, faults)
    card = replace(card, manifest_sha256=sha256_of_file(workspace.manifest_path), num_broken=len(faults))
    write_json(workspace.corpus_path, asdict(card))
    console.remark(
        f"Wrote {workspace.manifest_path}: {len(utterances)} utterances, vocabulary of {vocabulary.size} pieces "
        f"({card.vocabulary_source}), {f'lexicon of {len(lexicon.words)} words' if lexicon else 'no lexicon'}."
    )
    return card


def _print_summary(utterances: Sequence[Utterance]) -> None:
    by_speaker: dict[str, list[Utterance]] = {}
    for utterance in utterances:
        by_speaker.setdefault(utterance.speaker, []).append(utterance)
    rows = [_summary(name, of_one) for name, of_one in [*by_speaker.items(), ("all", utterances)]]
    console.table("Corpus", ("speaker", *SPLITS, "minutes", "distinct words"), rows)


def _summary(name: str, utterances: Sequence[Utterance]) -> list[str]:
    splits = Counter(u.split for u in utterances)
    minutes = sum(u.duration for u in utterances) / 60
    words = {word for text in {u.text for u in utterances} for word in text.split()}
    return [name, *(str(splits[split]) for split in SPLITS), f"{minutes:.1f}", str(len(words))]
