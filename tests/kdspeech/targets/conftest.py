"""A dumped workspace: made once a module, and copied for each test."""

import shutil
from pathlib import Path

import pytest

from kdspeech.lexicon import Lexicon
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.doubles import Behaviour, add_teacher, make_workspace
from tests.dumped import SPEAKERS, dump


@pytest.fixture(scope="module")
def dumped(tmp_path_factory: pytest.TempPathFactory, vocabulary: Vocabulary) -> Workspace:
    """Four teachers; bert's is deaf to anna."""
    workspace = make_workspace(
        tmp_path_factory.mktemp("dumped"), Lexicon(("one", "two", "three")), vocabulary, SPEAKERS, repetitions=4
    )
    for speaker in SPEAKERS:
        add_teacher(workspace, speaker, Behaviour(deaf_to=(0,), peak=0.8) if speaker == "bert" else Behaviour())
    dump(workspace)
    return workspace


@pytest.fixture
def workspace(dumped: Workspace, tmp_path: Path) -> Workspace:
    """A copy to be spoilt; its recordings stay where they are."""
    shutil.copytree(dumped.root, tmp_path / "workspace", ignore=shutil.ignore_patterns("audio"))
    return Workspace(tmp_path / "workspace")
