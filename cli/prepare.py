"""`kdspeech prepare`: read a corpus, check its audio and write the manifest."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from kdspeech.cli.options import common_options, force_option, set_option, speakers_option

Function = TypeVar("Function", bound=Callable[..., Any])


def _preparation_options(function: Function) -> Function:
    """What every corpus has in common."""
    file = click.Path(dir_okay=False, path_type=Path)
    for option in (
        force_option,
        click.option("--skip-broken", is_flag=True, help="Leave faulty utterances out, naming each."),
        click.option("--vocabulary", type=file, metavar="FILE", help="Use this SentencePiece model."),
        click.option(
            "--lexicon", type=file, metavar="FILE", help="The task's closed word list: one word a line, or JSON."
        ),
        set_option,
        click.option("--recipe", metavar="NAME|FILE", help="The workspace's recipe.  [default: the corpus' own]"),
        speakers_option(required=False, help="Prepare these speakers only.  [default: all]"),
        common_options,
    ):
        function = option(function)
    return function


@click.group()
def command() -> None:
    """Read a corpus, check its audio and write the manifest."""


@command.command()
@click.option("--root", required=True, type=click.Path(path_type=Path), help="Folder of the recordings.")
@_preparation_options
def fsdd(root: Path, **options: Any) -> None:
    """The Free Spoken Digit Dataset."""
    _prepare("fsdd", root, **options)


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--speaker-field", default="speaker", show_default=True, help="Field that names the speaker.")
@_preparation_options
def manifest(file: Path, speaker_field: str, **options: Any) -> None:
    """A NeMo manifest with speakers.

    FILE holds JSON Lines with audio_filepath, text, speaker and, if known, duration, utt_id, split, production_id.
    """
    _prepare("manifest", file, reader_options={"speaker_field": speaker_field}, **options)


def _prepare(corpus: str, root: Path, *, workspace: Path, recipe: str | None, **options: Any) -> None:
    from kdspeech.corpora.prepare import prepare
    from kdspeech.workspace import Workspace

    prepare(Workspace(workspace), corpus, root, recipe_name=recipe, **options)
