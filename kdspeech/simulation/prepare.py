"""`prepare_simulated`: speaks the corpus into the workspace and prepares it like any other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from kdspeech.corpora.prepare import check_overrides, prepare, refuse_other_corpus
from kdspeech.simulation.corpus import CorpusSettings, Size, write_simulated_corpus
from kdspeech.simulation.listen import write_listening_page
from kdspeech.simulation.speakers import all_names
from kdspeech.workspace import CorpusCard, Workspace


def prepare_simulated(
    workspace: Workspace,
    *,
    size: Size = "small",
    speakers: Sequence[str] | None = None,
    seed: int = 0,
    jobs: int | None = None,
    listen: bool = False,
    force: bool = False,
    **options: Any,
) -> CorpusCard:
    """Simulates UASpeech below `corpora/` of the workspace and prepares it. Words that are there are not spoken again.

    Args:
        size: `small` (6 speakers, 40 words in each of 3 blocks) or `full` (15 speakers, 255 words in each block).
        speakers: these, or ["all"] fifteen, whatever the size; None takes those of the size.
        seed: of everything that is random in the corpus.
        jobs: processes side by side; None takes one a core.
        listen: writes `reports/listen.html` too: one word by every speaker.
        force: speaks and prepares again, and lets another corpus take the workspace.
        options: those of `prepare` that do not concern the folder it reads.

    Raises:
        ConfigError: an override without effect here.
        KdspeechError: the extra `demo` is missing, a speaker is unknown, the workspace cannot be written or holds
            another corpus.
    """
    check_overrides(options.get("overrides", ()))  # before the long work, not after it
    settings = CorpusSettings(size=size, seed=seed)
    wanted = all_names() if speakers is not None and list(speakers) == ["all"] else speakers
    names = [speaker.name for speaker in settings.speakers(wanted)]
    root = corpus_dir(workspace, size)
    if not force:
        refuse_other_corpus(workspace, "simulated", root)
    write_simulated_corpus(root, settings, names, jobs=jobs, force=force)
    card = prepare(workspace, "simulated", root, speakers=names, force=force, **options)
    if listen:
        write_listening_page(workspace.reports_dir / "listen.html", root, settings, names)
    return card


def corpus_dir(workspace: Workspace, size: Size) -> Path:
    """Where the corpus of a size lies."""
    return workspace.root / "corpora" / f"simulated-{size}"
