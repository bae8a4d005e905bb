"""Pages: whole, self-contained, escaped, and readable without a mouse or without sight."""

from html.parser import HTMLParser
from pathlib import Path

import pytest
from jinja2 import ChoiceLoader, DictLoader, UndefinedError

from kdspeech.report import page
from kdspeech.report.histogram import Histogram
from kdspeech.report.page import write_page

_TEMPLATE = """{% extends "base.html" %}
{% import "parts.html" as parts %}
{% block content %}
<section><h2>{{ heading }}</h2>
{{ parts.figures([("hours", "1.5"), ("broken", "3", true)]) }}
{{ parts.table("Words by speaker", ("speaker", "words"), [("ann", 3), ("<b>", 4), ("all", 7)], total=true) }}
{{ parts.histogram(durations) }}
</section>
{% endblock %}"""

_DURATIONS = Histogram("Durations", "s", (("0.0 to 0.5", 1), ("0.5 to 1.0", 4)), ((0.0, "0.0"), (1.0, "1.0")))


class _Tags(HTMLParser):
    """Every opening tag with its attributes, and whether all that opens closes."""

    _VOID = ("meta", "link", "br", "img", "line", "rect", "input", "hr")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self._VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self._VOID:
            assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A page of a template that uses every macro."""
    shipped = page._environment().loader
    assert shipped is not None
    monkeypatch.setattr(page._environment(), "loader", ChoiceLoader([DictLoader({"p.html": _TEMPLATE}), shipped]))
    write_page(
        tmp_path / "reports" / "p.html",
        "Title & <more>",
        "p.html",
        heading="<script>alert(1)</script>",
        durations=_DURATIONS,
    )
    return (tmp_path / "reports" / "p.html").read_text(encoding="utf-8")


def test_a_page_is_whole_and_needs_nothing_beside_it(written: str) -> None:
    tags = _Tags(written)
    assert tags.open == []
    assert written.startswith("<!doctype html>")
    linked = [a.get("href") or a.get("src") or "" for _, a in tags.tags]
    assert all(link.startswith(("#", "data:")) for link in linked if link)
    assert "@import" not in written
    assert "url(" not in written


def test_values_are_escaped(written: str) -> None:
    assert "<script>" not in written
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in written
    assert "<title>Title &amp; &lt;more&gt;</title>" in written
    assert '<th scope="row">&lt;b&gt;</th>' in written


def test_both_colour_schemes_and_paper_are_served(written: str) -> None:
    assert "prefers-color-scheme: dark" in written
    assert "@media print" in written


def test_a_page_can_be_read_without_sight_or_mouse(written: str) -> None:
    tags = _Tags(written)
    assert tags.all("html") == [{"lang": "en"}]
    assert len(tags.all("h1")) == len(tags.all("main")) == 1
    assert {"class": "skip", "href": "#content"} in tags.all("a")
    assert tags.all("main")[0]["id"] == "content"
    assert len(tags.all("caption")) == len(tags.all("table")) == 2
    assert all(attributes.get("scope") in ("col", "row") for attributes in tags.all("th"))
    assert all(attributes.get("role") == "img" and attributes.get("aria-label") for attributes in tags.all("svg"))
    scrolled = [attributes for attributes in tags.all("div") if attributes.get("class") == "scroll"]
    assert all(attributes.get("tabindex") == "0" and attributes.get("aria-label") for attributes in scrolled)


def test_bars_are_as_high_as_their_counts(written: str) -> None:
    heights = [float(attributes["height"] or 0) for attributes in _Tags(written).all("rect")]
    assert heights[1] == pytest.approx(4 * heights[0])
    assert '<th scope="row">0.5 to 1.0</th>' in written


def test_a_value_that_was_not_given_is_an_error() -> None:
    template = page._environment().from_string("{{ heading }}")
    with pytest.raises(UndefinedError, match="heading"):
        template.render()
