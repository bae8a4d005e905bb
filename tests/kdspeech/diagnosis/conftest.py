"""A workspace whose run is as it should be, and copies of it to be spoilt."""

from pathlib import Path

import pytest

from kdspeech.lexicon import Lexicon
from kdspeech.vocabulary import Vocabulary
from kdspeech.workspace import Workspace
from tests.diagnosed import SPEAKERS, copy_of, dump, fit
from tests.doubles import make_workspace


@pytest.fixture(scope="session")
def dumped(tmp_path_factory: pytest.TempPathFactory, lexicon: Lexicon, vocabulary: Vocabulary) -> Workspace:
    """Three speakers, ten words, five times each; three teachers that hear everything."""
    workspace = make_workspace(tmp_path_factory.mktemp("diagnosis") / "w", lexicon, vocabulary, SPEAKERS)
    dump(workspace)
    return workspace


@pytest.fixture(scope="session")
def trained(dumped: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A run that is as it should be."""
    workspace = copy_of(dumped, tmp_path_factory.mktemp("trained") / "w")
    fit(workspace)
    return workspace


@pytest.fixture
def untrained(dumped: Workspace, tmp_path: Path) -> Workspace:
    """A copy of the dumps, to be spoilt."""
    return copy_of(dumped, tmp_path / "w")


@pytest.fixture
def workspace(trained: Workspace, tmp_path: Path) -> Workspace:
    """A copy of all, to be spoilt."""
    return copy_of(trained, tmp_path / "w")
