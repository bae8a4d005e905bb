"""The page in a real browser: no errors, tables that sort and filter, sound that plays, and all of it by keyboard."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from kdspeech.run_report.report import write_report
from kdspeech.workspace import Workspace
from tests.chromium import CHROMIUM, NEEDS_CHROMIUM, WAIT_MS
from tests.doubles import FakeStudents

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
pytestmark = NEEDS_CHROMIUM


@pytest.fixture(scope="module")
def page_path(made: Workspace, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs on one page."""
    runs = [made.run_dir("conformer_xs_from_speechbrain", speaker, "labels", 0) for speaker in ("bert", "anna")]
    out = tmp_path_factory.mktemp("page") / "report.html"
    return write_report(made, runs, students=FakeStudents(made.lexicon), out=out)


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
            timeout=WAIT_MS,
        )
        yield opened
        opened.close()


@pytest.fixture
def page(browser: "Browser", page_path: Path) -> "Iterator[Page]":
    """The page, opened; what the browser complains of fails the test. No network."""
    complaints: list[str] = []
    context = browser.new_context(offline=True)
    opened = context.new_page()
    opened.set_default_timeout(WAIT_MS)
    opened.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("requestfailed", lambda request: complaints.append(f"failed: {request.url[:80]}"))
    opened.goto(page_path.as_uri())
    yield opened
    context.close()
    assert complaints == []


def _column(page: "Page", box: str, index: int) -> list[str]:
    """Texts of a column's visible cells."""
    script = f"rows => rows.filter(r => !r.hidden).map(r => r.cells[{index}].textContent.trim())"
    found: list[str] = page.locator(f"{box} tbody tr").evaluate_all(script)
    return found


def test_tables_sort_by_mouse_and_keyboard(page: "Page") -> None:
    box = "#headline .sortable >> nth=0"
    heading = page.locator(f"{box} >> th[scope=col]").nth(2)
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "ascending"
    values = [float(text) for text in _column(page, "#headline .sortable:first-of-type", 2)]
    assert values == sorted(values)
    assert values[0] < values[-1]
    heading.get_by_role("button").focus()
    page.keyboard.press("Enter")
    assert heading.get_attribute("aria-sort") == "descending"
    assert [float(text) for text in _column(page, "#headline .sortable:first-of-type", 2)] == values[::-1]
    page.locator(f"{box} >> th[scope=col]").nth(0).get_by_role("button").click()
    assert heading.get_attribute("aria-sort") is None
    names = _column(page, "#headline .sortable:first-of-type", 0)
    assert names == sorted(names)


def test_tables_filter_and_say_how_many_rows_are_left(page: "Page") -> None:
    page.locator("#utterances summary").click()
    box = page.locator("#utterances .sortable")
    assert box.get_by_role("status").text_content() == "30 of 30 rows"
    box.get_by_role("searchbox", name="Only rows with").fill("bert six wrong")
    assert box.get_by_role("status").text_content() == "5 of 30 rows"
    assert box.locator("tbody tr:visible").count() == 5
    box.get_by_role("searchbox").fill("")
    assert box.locator("tbody tr:visible").count() == 30


def test_sound_plays_and_stops(page: "Page") -> None:
    player = page.locator("#worst .player").first
    button, audio = player.get_by_role("button"), player.locator("audio")
    assert button.get_attribute("aria-pressed") == "false"
    ended = "audio => new Promise(done => audio.addEventListener('ended', () => done(audio.currentTime)))"
    finish = audio.evaluate_handle(f"audio => {{ window.finished = ({ended})(audio); return audio; }}")
    button.click()
    seconds = page.evaluate("() => window.finished")
    assert seconds == pytest.approx(finish.evaluate("audio => audio.duration"), abs=0.05)
    assert 0.5 < seconds < 1.1  # the recordings of the workspace
    assert button.text_content() == "Play"
    assert button.get_attribute("aria-pressed") == "false"


def test_the_playhead_runs_over_the_picture(page: "Page") -> None:
    article = page.locator("#alignments article").first
    head = article.locator(".playhead")
    assert head.get_attribute("visibility") == "hidden"
    start = float(head.get_attribute("x1") or "nan")
    watch = """svg => new Promise(done => { let far = 0; const head = svg.querySelector('.playhead');
        new MutationObserver(() => { far = Math.max(far, Number(head.getAttribute('x1')));
            if (head.getAttribute('visibility') === 'hidden') done(far); }).observe(head, {attributes: true}); })"""
    article.locator("svg.picture").evaluate(f"svg => {{ window.far = ({watch})(svg); }}")
    article.get_by_role("button").click()
    assert page.evaluate("() => window.far") > start + 100


def test_it_reads_without_sight(page: "Page") -> None:
    unnamed = page.locator("svg[role=img]:not([aria-label]), table:not(:has(caption)), button:not([aria-label]):empty")
    assert unnamed.count() == 0
    assert page.locator("th:not([scope])").count() == 0
    assert page.locator("h1").count() == 1
    ids = page.locator("[id]").evaluate_all("elements => elements.map(e => e.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_in_both_themes(browser: "Browser", page_path: Path, theme: Literal["light", "dark"]) -> None:
    page = browser.new_page(color_scheme=theme)
    page.goto(page_path.as_uri())
    # Relative luminance and contrast as WCAG 2.2 defines them; 4.5 is level AA for text.
    contrast = page.evaluate(
        """() => {
        const canvas = document.createElement('canvas').getContext('2d');
        const lum = (colour) => {
            canvas.fillStyle = colour;
            canvas.fillRect(0, 0, 1, 1);
            return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((v) => v / 255)
                .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
                .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
        };
        const paper = getComputedStyle(document.body).backgroundColor;
        const words = ['body', '.note', 'caption', 'nav a', 'summary', '.heat td'];
        return words.flatMap((s) => [...document.querySelectorAll(s)]).map((element) => {
            const style = getComputedStyle(element);
            const own = element.matches('td') ? style.backgroundColor : paper;
            const [a, b] = [lum(style.color), lum(own)];
            return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
        });
        }"""
    )
    page.close()
    assert len(contrast) > 30
    assert min(contrast) >= 4.5


def test_a_narrow_window_does_not_scroll_sideways(browser: "Browser", page_path: Path) -> None:
    page = browser.new_page(viewport={"width": 400, "height": 800})
    page.goto(page_path.as_uri())
    assert page.evaluate("() => document.documentElement.scrollWidth") <= 400
    page.close()
