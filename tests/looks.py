"""How a page is looked at in a real browser: it is readable, fits, and complains of nothing.

With DASHBOARD_SHOTS=<folder> a picture of each page is left there.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

AXE = Path(__file__).with_name("dashboard") / "vendor" / "axe.min.js"
GRAVE = """
async () => {
    const options = {resultTypes: ["violations"]};
    const {violations} = await axe.run(document, options);
    return violations
        .filter(({impact}) => ["serious", "critical"].includes(impact))
        .map(({id, nodes}) => [id, nodes.map(({html}) => html.slice(0, 200)).slice(0, 3)]);
}
"""
SIZES = {"phone": {"width": 390, "height": 844}, "desk": {"width": 1440, "height": 900}}
TIMES, PAUSE = 50, 100
WIDTH = "document.documentElement.scrollWidth"
NARROW = "document.documentElement.scrollWidth <= innerWidth"
LOOKS = list(itertools.product(SIZES, ("light", "dark")))
IN_CHINESE = (("phone", "light"), ("desk", "dark"))
"""Each size and each scheme once: what differs by the language is how long a line is."""
LEFT = """
() => {
    const english = /[A-Za-z]{2,}(?:[ ,.]+[A-Za-z']{2,}){2,}/;
    const others = "code, pre, script, style, option, [lang=en], [translate=no]";
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const found = [];
    while (walker.nextNode()) {
        const node = walker.currentNode;
        if (node.parentElement.closest(others) || !english.test(node.data)) continue;
        found.push(node.data.trim());
    }
    for (const each of document.querySelectorAll("[aria-label], [placeholder], [title], [alt]"))
        for (const name of ["aria-label", "placeholder", "title", "alt"])
            if (english.test(each.getAttribute(name) ?? "")) found.push(each.getAttribute(name));
    return found;
}
"""
"""What is read on a page as an English sentence: three words of it in a row."""


def read_in(page, url, language):
    """Have the pages of a browser be in a language."""
    page.context.add_cookies([{"name": "language", "value": language, "url": url}])


def look_in_chinese(page, name, complaints, data=()):
    """Look at a page that is in Chinese, but for data: what somebody named or said."""
    assert page.locator("html").get_attribute("lang") == "zh-hans", name
    left = english_on(page, data=data)
    assert left == [], (name, left)
    look(page, name, complaints)


def english_on(page, data=()):
    """Return what reads as an English sentence, but for data."""
    return [each for each in page.evaluate(LEFT) if not any(one in each for one in data)]


def look(page, name, complaints):
    """Have axe find nothing grave, and nothing lie beside the page however narrow it is."""
    page.evaluate(AXE.read_text())
    found = page.evaluate(GRAVE)
    assert found == [], (name, found)
    _keep(page, name)
    if page.viewport_size["width"] < 400:
        _is_narrow(page)
    expected = [each for each in complaints if "404 (Not Found)" in each]
    assert complaints == expected, name
    complaints.clear()


CONTRAST = GRAVE.replace(
    'resultTypes: ["violations"]', 'resultTypes: ["violations"], runOnly: ["color-contrast"]'
)
"""All that another theme can change."""


SETTLED = """
async () => {
    const drawn = () => new Promise((next) => requestAnimationFrame(next));
    const second = () => new Promise((over) => setTimeout(over, 1000));
    for (let round = 0; round < 5; round++) {
        await drawn();
        await drawn();
        const running = document.getAnimations().filter((each) => each instanceof CSSTransition);
        if (!running.length) return;
        await Promise.race([second(), Promise.allSettled(running.map(({finished}) => finished))]);
    }
}
"""
"""Once colours are those of the theme: half-way to another they have no contrast.

What inherits a colour that changes begins to change when that has ended: so it is asked again.
"""


def look_from_all_sides(page, name, complaints):
    """Look at one page at both sizes, light and dark, and ask for it once.

    What a theme cannot change is not looked for again in the other one.
    """
    page.evaluate(AXE.read_text())
    for size, question in (("desk", GRAVE), ("phone", GRAVE)):
        page.set_viewport_size(SIZES[size])
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
            page.evaluate(SETTLED)
            asked = question if scheme == "light" else CONTRAST
            found = page.evaluate(asked)
            assert found == [], (name, size, scheme, found)
            _keep(page, f"{name}-{size}-{scheme}")
    _is_narrow(page)
    assert complaints == [each for each in complaints if "404 (Not Found)" in each], name
    complaints.clear()


def _keep(page, name):
    if folder := os.environ.get("DASHBOARD_SHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


def _is_narrow(page):
    """Have nothing lie beside the page on the narrowest phone."""
    size = page.viewport_size
    page.set_viewport_size({"width": 360, "height": 780})
    # A chart is drawn anew by an observer, a moment later. A page waits for no text of ours: its
    # content policy forbids to evaluate one.
    for _ in range(TIMES):
        if page.evaluate(NARROW):
            break
        page.wait_for_timeout(PAUSE)
    else:
        raise AssertionError(f"{page.url} is {page.evaluate(WIDTH)} wide")
    page.set_viewport_size(size)
