"""Writes a page: one HTML file that needs nothing beside it, from a template in `templates/`.

A template extends `base.html` (the look, in light and dark and on paper) and draws with the macros of `parts.html`.
"""

from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from kdspeech.files import write_text


def write_page(path: Path, title: str, template: str, **values: Any) -> None:
    """Renders a template and writes it atomically.

    Args:
        path: the HTML file.
        title: the page's title and first heading.
        template: a file name in `kdspeech/report/templates`, for example "corpus.html".
        values: what the template names; a name that it uses and that is not given is an error, not a blank.

    Raises:
        KdspeechError: the file cannot be written.
    """
    write_text(path, render_page(title, template, **values))


def render_page(title: str, template: str, **values: Any) -> str:
    """The page as text; every value is escaped unless it is a `markupsafe.Markup`."""
    page = _environment().get_template(template)
    return page.render(title=title, version=version("kdspeech"), **values)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("kdspeech.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
