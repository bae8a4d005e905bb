"""`kdspeech prepare`: read a corpus, check its audio and write the manifest. One sub-command for each reader."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from kdspeech.cli.options import (
    choices_callback,
    common_options,
    force_option,
    jobs_option,
    speakers_option,
)
from kdspeech.corpora.reader import Option, Reader
from kdspeech.corpora.registry import READERS

Function = TypeVar("Function", bound=Callable[..., Any])

_SIZES = (
    "small: 40 words in each of 3 blocks by 6 speakers, or by any of the 15 that --speakers names. full: 255 words in "
    "each block by all 15."
)


def _preparation_options(function: Function) -> Function:
    """What every corpus has in common."""
    file = click.Path(dir_okay=False, path_type=Path)
    for option in (
        force_option,
        click.option("--report", is_flag=True, help="Print what is in the corpus, and write reports/corpus.html."),
        click.option("--strict", is_flag=True, help="Refuse a corpus with broken files, instead of leaving these out."),
        click.option("--vocabulary", type=file, metavar="FILE", help="Use this SentencePiece model."),
        click.option(
            "--lexicon", type=file, metavar="FILE", help="The task's closed word list: one word a line, or JSON."
        ),
        click.option(
            "--set",
            "overrides",
            multiple=True,
            metavar="KEY=VALUE",
            help="Override what the recipe says of the vocabulary (vocabulary.size=40) or of the time under a frame "
            "(such as teacher.subsampling). Not remembered: later commands take "
            "their own. May be repeated.",
        ),
        click.option("--recipe", metavar="NAME|FILE", help="The workspace's recipe.  [default: the corpus' own]"),
        speakers_option(required=False, help="Prepare these speakers only.  [default: all]"),
        common_options,
    ):
        function = option(function)
    return function


@click.group()
def command() -> None:
    """Read a corpus, check its audio and write the manifest."""


def _corpus_command(reader: Reader) -> click.Command:
    """`kdspeech prepare NAME` as the reader describes itself."""

    @_preparation_options
    def run(root: Path, **options: Any) -> None:
        reader_options = {option.name: options.pop(option.name) for option in reader.options}
        _prepare(reader.name, root, reader_options=reader_options, **options)

    for option in reversed(reader.options):
        run = _reader_option(reader, option)(run)
    path = click.Path(path_type=Path)
    if reader.source == "file":
        run = click.argument("root", type=path, metavar="FILE")(run)
    else:
        run = click.option("--root", required=True, type=path, help=reader.source_help)(run)
    return click.command(reader.name, help=reader.help)(run)


def _reader_option(reader: Reader, option: Option) -> Callable[[Function], Function]:
    flag, default = f"--{option.name.replace('_', '-')}", reader.default_of(option)
    if option.kind == "flag":
        return click.option(flag, is_flag=True, default=default, help=option.help)
    names = option.kind == "names"
    return click.option(
        flag,
        option.name,
        type=click.Choice(option.choices) if option.choices and not names else str,
        default=",".join(default) if names else default,
        show_default=bool(default),
        callback=choices_callback(("all", *option.choices)) if names else None,
        metavar=option.metavar,
        help=option.help,
    )


def _prepare(corpus: str, root: Path, *, workspace: Path, recipe: str | None, **options: Any) -> None:
    from kdspeech.corpora.prepare import prepare
    from kdspeech.workspace import Workspace

    prepare(Workspace(workspace), corpus, root, recipe_name=recipe, **options)


@click.command(READERS["simulated"].name, help=READERS["simulated"].help)
@click.option("--size", type=click.Choice(("small", "full")), default="small", show_default=True, help=_SIZES)
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything that is random in the speech.")
@click.option("--listen", is_flag=True, help="Write reports/listen.html: one word by every speaker.")
@jobs_option
@_preparation_options
def simulated(workspace: Path, recipe: str | None, **options: Any) -> None:
    from kdspeech.simulation.prepare import prepare_simulated
    from kdspeech.workspace import Workspace

    prepare_simulated(Workspace(workspace), recipe_name=recipe, **options)


command.add_command(simulated)
for _reader in READERS.values():
    if _reader.source != "workspace":
        command.add_command(_corpus_command(_reader))
