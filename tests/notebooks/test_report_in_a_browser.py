"""The report as its readers see it: on a phone, on a desk, in the dark and on paper."""

import io

import pytest

# One process makes the runs and pages that all of these look at.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("report")]
PHONES, DESK = (360, 390), 1280
BEYOND = """
() => [...document.querySelectorAll('body *')].filter(each => {
    const box = each.getBoundingClientRect();
    const reaches = box.width && box.right > document.documentElement.clientWidth + 1;
    return reaches && !each.closest('.scroll, .picture, .hash');
}).map(each => each.outerHTML.slice(0, 80))
"""
"""What reaches beyond the page and is in no box that scrolls by itself."""
FAINT = """
() => {
    const parts = color => color.match(/[\\d.]+/g).map(Number);
    const channel = value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
    const light = rgb => [0.2126, 0.7152, 0.0722].reduce((sum, part, at) => sum + part * channel(rgb[at] / 255), 0);
    const ground = each => {
        for (let at = each; at; at = at.parentElement) {
            const color = parts(getComputedStyle(at).backgroundColor);
            if (color.length < 4 || color[3] > 0) return color;
        }
        return [255, 255, 255];
    };
    const shown = each => each.getClientRects().length && each.textContent.trim();
    const texts = 'p, dt, dd, th, td, li, a, h1, h2, h3, h4, strong, summary, figcaption, code';
    return [...document.querySelectorAll(texts)].filter(shown).filter(each => {
        const [low, high] = [light(parts(getComputedStyle(each).color)), light(ground(each))].sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05) < 4.5;
    }).map(each => each.outerHTML.slice(0, 80));
}
"""
"""Texts whose contrast is below what WCAG 2 asks for (https://www.w3.org/TR/WCAG22/#contrast-minimum)."""
LOST = """
() => [...document.querySelectorAll('a')].filter(a => !document.getElementById(a.hash.slice(1))).map(a => a.hash)
"""
FOLDED = """
() => [...document.querySelectorAll('details:not([open]) td')].filter(each => !each.checkVisibility()).length
"""
WIDE = """
() => [...document.querySelectorAll('table, img')].filter(
    each => each.getBoundingClientRect().right > innerWidth
).length
"""


@pytest.fixture(scope="module", params=["page_of_one", "page_of_two"])
def address(request):
    return request.getfixturevalue(request.param).as_uri()


@pytest.fixture
def opened(browser, address):
    """Open the page; in the end nothing has gone wrong in it, and nothing was asked of anybody."""
    complaints, pages = [], []

    def watch(request):
        if request.url != address and not request.url.startswith("data:"):
            complaints.append(request.url)

    def go(width=DESK, **how):
        page = browser.new_page(viewport={"width": width, "height": 800}, **how)
        pages.append(page)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", watch)
        page.goto(address)
        return page

    yield go
    for page in pages:
        page.close()
    assert complaints == []


@pytest.mark.parametrize("width", [*PHONES, DESK])
def test_nothing_reaches_beyond_the_page(opened, width):
    """Only what has a box of its own scrolls sideways, and each such box can be reached by key."""
    page = opened(width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(BEYOND) == []
    boxes = page.locator(".scroll, .picture")
    assert boxes.count() > 5
    assert all(box.get_attribute("tabindex") == "0" and box.get_attribute("aria-label") for box in boxes.all())


def test_every_anchor_has_its_place(opened):
    """And following one goes there."""
    page = opened()
    assert page.evaluate(LOST) == []
    page.get_by_role("navigation").get_by_role("link", name="Violations").first.click()
    page.wait_for_function("document.getElementById('violations').getBoundingClientRect().top < innerHeight / 2")


def test_every_picture_can_be_seen_and_read_out(opened):
    """Each is drawn, and has a text in its place."""
    page = opened()
    pictures = page.locator("img")
    assert pictures.count() >= 5
    for picture in pictures.all():
        assert len(picture.get_attribute("alt")) > 30
        assert picture.evaluate("img => img.complete && img.naturalWidth > 100")


def test_on_a_desk_every_chart_is_seen_whole(opened):
    """Only a phone has to move them."""
    cut = "() => [...document.querySelectorAll('.picture')].filter(each => each.scrollWidth > each.clientWidth).length"
    assert opened().evaluate(cut) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_schemes_can_be_read(opened, scheme):
    """Every text stands out from its ground, which follows the system."""
    page = opened(color_scheme=scheme)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") == (scheme == "light")
    assert page.evaluate(FAINT) == []


def test_on_paper_nothing_is_folded_or_cut(opened):
    """White paper even from a dark system, every violation unfolded, no table wider than the sheet, no navigation."""
    page = opened(width=688, color_scheme="dark")  # what margins leave of A4, in CSS pixels
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.querySelector('.ticketlab')).colorScheme") == "light"
    assert page.evaluate(FAINT) == []
    assert not page.get_by_role("navigation").is_visible()
    assert page.evaluate(FOLDED) == 0
    assert page.evaluate(WIDE) == 0
    assert io.BytesIO(page.pdf(prefer_css_page_size=True)).read(5) == b"%PDF-"
