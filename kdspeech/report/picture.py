"""Charts as pictures of their own (SVG) for documents: light and dark, with their labels where the values are."""

from collections.abc import Sequence
from html import escape

from kdspeech.report.bar_chart import Bar, BarChart
from kdspeech.report.line_chart import Line, LineChart

_SERIES = (
    ("#2b6a99", "#7db8e3"),
    ("#b3541e", "#f0a06b"),
    ("#2f7d4f", "#7fcf9d"),
    ("#8a4fa3", "#c9a0e0"),
)  # light, dark
_KINDS = (_SERIES[0], ("#8d939b", "#8b929c"), ("none", "none"), _SERIES[1])  # of bars
_CHARACTER = 6.6  # pixels, the mean width
_ROW, _BAR = 21, 13  # pixels: from bar to bar, and a bar's height
_CELL, _VALUE = 112, 42  # pixels: a group's width, and what its numbers take of it
_PER_PANEL = 8  # groups side by side
_LEFT, _TOP, _PLOT, _TALL = 46, 62, 430, 260  # pixels: of lines


def draw_bars(chart: BarChart, note: str = "") -> str:
    """A matrix: systems down, groups across, a bar from 0 to 100 % in each cell; a thin line spans `low` to `high`.

    Bars of kind 0 and 3 are coloured, 1 are grey, 2 are outlines.

    Args:
        note: a line beneath.

    Returns:
        The SVG's text.
    """
    names = list(dict.fromkeys(bar.name for group in chart.groups for bar in group.bars))
    label = 12 + _CHARACTER * max(map(len, names), default=0)
    panels = [chart.groups[start : start + _PER_PANEL] for start in range(0, len(chart.groups), _PER_PANEL)]
    tall = 28 + _ROW * len(names) + 12  # a panel with its headings
    parts = []
    for number, groups in enumerate(panels):
        top = 34 + number * tall
        for row, name in enumerate(names):
            parts.append(_text(label - 8, top + 28 + _ROW * row + _BAR - 2, name, "end"))
        for column, group in enumerate(groups):
            left = label + _CELL * column
            parts.append(_text(left, top + 14, group.name, weight="bold"))
            bars = {bar.name: bar for bar in group.bars}
            parts += [_bar(left, top + 28 + _ROW * row, bars.get(name)) for row, name in enumerate(names)]
    bottom = 34 + tall * len(panels)
    if note:
        parts.append(_text(4, bottom + 6, note, style="quiet"))
    width = max(label + _CELL * max(map(len, panels), default=1) + 8, 20 + _CHARACTER * len(note))
    return _picture(chart.caption, chart.description, width, bottom + (16 if note else 0), parts)


def _bar(left: float, top: float, bar: Bar | None) -> str:
    if bar is None:
        return _text(left, top + _BAR - 2, "–", style="quiet")
    full = _CELL - _VALUE - 8  # 100 %
    drawn = (
        f'<g><title>{escape(bar.name)}: {bar.value:.1f}</title><rect class="track" x="{left:.1f}" y="{top}" '
        f'width="{full}" height="{_BAR}"/><rect class="kind{bar.kind}" x="{left:.1f}" y="{top}" '
        f'width="{full * bar.value / 100:.1f}" height="{_BAR}"/>'
    )
    if bar.high > bar.low:
        ends = (left + full * bar.low / 100, left + full * bar.high / 100)
        drawn += f'<path class="whisker" d="M{ends[0]:.1f} {top + _BAR / 2}H{ends[1]:.1f}"/>'
    return drawn + _text(left + full + 5, top + _BAR - 2, f"{bar.value:.1f}") + "</g>"


def draw_lines(chart: LineChart, beneath: tuple[str, Sequence[tuple[float, str]]] | None = None) -> str:
    """Lines with their names at their ends.

    Args:
        beneath: a row of texts under the x axis, as (place on the axis, text), and what they are; for example how many
            utterances there are.

    Returns:
        The SVG's text.
    """
    base = _TOP + _TALL
    parts = [_text(4, _TOP - 14, chart.y_label)]
    for place, label in chart.y_scale.ticks(5):
        y = base - _TALL * place
        parts += [f'<path class="grid" d="M{_LEFT} {y:.1f}h{_PLOT}"/>', _text(_LEFT - 6, y + 4, label, "end")]
    for place, label in chart.x_scale.ticks(7):
        parts.append(_text(_LEFT + _PLOT * place, base + 17, label, "middle"))
    parts.append(_text(_LEFT + _PLOT / 2, base + 36, chart.x_label, "middle"))
    if chart.diagonal:
        parts.append(f'<path class="rule" d="M{_LEFT} {base}L{_LEFT + _PLOT} {_TOP}"/>')
    for x, label in chart.rules:
        place = _LEFT + _PLOT * chart.x_scale.place(x)
        parts += [f'<path class="rule" d="M{place:.1f} {_TOP}V{base}"/>', _text(place + 4, _TOP + 10, label)]
    for number, line in enumerate(chart.lines):
        parts.append(_line(chart, line, number))
    ends = [base - _TALL * chart.y_scale.place(line.points[-1].y) for line in chart.lines if line.points]
    named = [(number, line.name) for number, line in enumerate(chart.lines) if line.points]
    for (number, name), y in zip(named, spread(ends, 16), strict=True):
        parts.append(_text(_LEFT + _PLOT + 10, y + 4, name, style=f"name{number % len(_SERIES)}", weight="bold"))
    height = base + 48
    if beneath is not None:
        parts.append(_text(4, base + 60, beneath[0], style="quiet"))
        parts += [
            _text(_LEFT + _PLOT * chart.x_scale.place(x), base + 60, text, "middle", "quiet") for x, text in beneath[1]
        ]
        height += 24
    width = _LEFT + _PLOT + 24 + 1.1 * _CHARACTER * max((len(name) for _, name in named), default=0)
    return _picture(chart.caption, chart.description, width, height, parts)


def _line(chart: LineChart, line: Line, number: int) -> str:
    places = [
        (_LEFT + _PLOT * chart.x_scale.place(p.x), _TOP + _TALL * (1 - chart.y_scale.place(p.y)), p)
        for p in line.points
    ]
    path = "".join(f"{'L' if i else 'M'}{x:.1f} {y:.1f}" for i, (x, y, _) in enumerate(places))
    marks = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5"><title>{escape(line.name)}: {p.y:.1f}</title></circle>'
        for x, y, p in places
    )
    return f'<g class="series{number % len(_SERIES)}"><path class="line" d="{path}"/>{marks}</g>'


def spread(places: Sequence[float], distance: float) -> list[float]:
    """Moves places apart until neighbours are `distance` from each other or more, in the order that they have.

    Those that are too near are spread evenly about their common middle.
    """
    clusters: list[list[int]] = []  # indices of neighbours that move together
    for index in sorted(range(len(places)), key=lambda i: places[i]):
        clusters.append([index])
        while len(clusters) > 1 and _top(places, clusters[-1], distance) < _end(places, clusters[-2], distance):
            clusters[-2:] = [clusters[-2] + clusters[-1]]
    moved = list(places)
    for cluster in clusters:
        first = _top(places, cluster, distance)
        for rank, index in enumerate(cluster):
            moved[index] = first + rank * distance
    return moved


def _top(places: Sequence[float], cluster: Sequence[int], distance: float) -> float:
    return sum(places[i] for i in cluster) / len(cluster) - distance * (len(cluster) - 1) / 2


def _end(places: Sequence[float], cluster: Sequence[int], distance: float) -> float:
    """Where the next may begin."""
    return _top(places, cluster, distance) + distance * len(cluster)


def _text(x: float, y: float, text: str, anchor: str = "start", style: str = "", weight: str = "normal") -> str:
    shown = f' class="{style}"' if style else ""
    bold = ' font-weight="600"' if weight == "bold" else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{shown}{bold}>{escape(text)}</text>'


def _picture(caption: str, description: str, width: float, height: float, parts: Sequence[str]) -> str:
    width = max(width, 20 + 1.15 * _CHARACTER * len(caption))
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" width="{width:.0f}" '
            f'height="{height:.0f}" role="img" aria-label="{escape(description)}" font-family="system-ui, sans-serif" '
            'font-size="12">',
            f"<style>{_rules(0)} @media (prefers-color-scheme: dark) {{ {_rules(1)} }}</style>",
            '<rect class="paper" width="100%" height="100%"/>',
            _text(4, 20, caption, weight="bold"),
            *parts,
            "</svg>",
            "",
        ]
    )


def _rules(theme: int) -> str:
    """The look; 0 light, 1 dark."""
    paper, ink, quiet, faint = (
        ("#ffffff", "#1f2328", "#59616b", "#eceae6"),
        ("#15181c", "#e4e6e9", "#a0a8b2", "#2a2f36"),
    )[theme]
    rules = [
        f".paper {{ fill: {paper} }} text {{ fill: {ink} }} .quiet {{ fill: {quiet} }} .track {{ fill: {faint} }}",
        f".grid {{ stroke: {faint} }} .rule {{ stroke: {quiet}; stroke-dasharray: 5 4 }}",
        f".whisker {{ stroke: {ink}; stroke-width: 1.5 }} .line {{ fill: none; stroke-width: 2 }}",
        *(f".kind{kind} {{ fill: {colours[theme]} }}" for kind, colours in enumerate(_KINDS)),
        f".kind2 {{ stroke: {quiet}; stroke-dasharray: 3 2 }}",
    ]
    for number, colours in enumerate(_SERIES):
        colour = colours[theme]
        rules.append(
            f".series{number} path {{ stroke: {colour} }} .series{number} circle, .name{number} {{ fill: {colour} }}"
        )
    return " ".join(rules)
