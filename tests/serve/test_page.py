"""The page, in a real browser."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import mml.serve
from tests.serve.server import Process, stub_folder
from tests.serve.stub import write_pictures

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed: the page is not tested")
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER), reason="no Chromium here (apt-get install chromium chromium-driver): page not tested"
    ),
]

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
PHONE, DESKTOP = (390, 844), (1280, 800)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Headless Chromium with an empty profile."""
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS.split(), f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    yield driver
    driver.quit()


class Page:
    """The page as a person handles it."""

    def __init__(self, browser: Any, url: str, size: tuple[int, int] = DESKTOP) -> None:
        self._browser = browser
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        browser.get("about:blank")
        browser.get_log("browser")
        browser.get(url)

    def all(self, selector: str) -> list[Any]:
        """Elements of a CSS selector."""
        return list(self._browser.find_elements("css selector", selector))

    def one(self, selector: str) -> Any:
        """The first element of a CSS selector, once it is there."""
        return self.wait(lambda: self.all(selector))[0]

    def wait(self, condition: Callable[[], Any]) -> Any:
        """Wait until something holds, through elements that are replaced meanwhile."""
        from selenium.common.exceptions import StaleElementReferenceException
        from selenium.webdriver.support.ui import WebDriverWait

        wait = WebDriverWait(self._browser, 15, 0.05, ignored_exceptions=[StaleElementReferenceException])
        return wait.until(lambda _: condition())

    def titles(self, place: str) -> list[str]:
        """What the cards, or the basket's entries, are called."""
        return [element.text for element in self.all(f"#{place} .title")]

    def search(self, query: str, item: str) -> Any:
        """Type a query and wait for an item."""
        field = self.one("#search")
        field.clear()
        field.send_keys(query)
        return self.one(f".pick[data-item='{item}']")

    def script(self, code: str) -> Any:
        """What a script returns."""
        return self._browser.execute_script(code)

    def focused(self) -> Any:
        """The element that has the focus."""
        return self._browser.switch_to.active_element

    def complaints(self) -> list[str]:
        """What the browser's console has against the page."""
        return [line["message"] for line in self._browser.get_log("browser") if line["level"] == "SEVERE"]


@pytest.fixture
def url(process: Callable[..., Process], tmp_path: Path) -> str:
    """A server of the stub, with pictures."""
    model = stub_folder(tmp_path / "shop")
    write_pictures(model / "images")
    return process(model).url


def test_a_basket_gives_ten_cards_and_the_popular_ones_beneath(browser: Any, url: str) -> None:
    page = Page(browser, url)
    page.wait(lambda: len(page.titles("popular")) == 10)
    assert page.titles("recommended") == page.titles("popular")
    assert "Nothing known of this person yet" in page.one("#basis").text
    page.search("jasmine", "023").click()
    page.wait(lambda: page.titles("basket") == ["Jasmine tea, loose"])
    page.wait(lambda: page.titles("recommended")[:1] == ["Black tea, Assam"])
    assert len(page.titles("recommended")) == 10
    assert page.titles("recommended") != page.titles("popular")
    assert "After one item" in page.one("#basis").text
    assert len(page.all("#recommended .card .bar")) == 10
    assert [entry.text for entry in page.all("#legend li")] == ["id: what people took next", "txt: its text"]
    assert page.one("#recommended .numbers").text.startswith("id ")
    assert page.one("#said").get_attribute("textContent") == "10 recommendations; first Black tea, Assam"
    page.wait(lambda: page.script("return [...document.images].some((i) => i.complete && i.naturalWidth > 0)"))
    assert page.complaints() == []


def test_the_slider_brings_new_items_with_a_badge(browser: Any, url: str) -> None:
    from selenium.webdriver.common.keys import Keys

    page = Page(browser, f"{url}/#001")
    page.wait(lambda: page.titles("basket") == ["Espresso beans, dark roast"])
    slider = page.one("#share")
    slider.send_keys(Keys.ARROW_RIGHT)
    page.wait(lambda: len(page.all("#recommended .badge")) == 3)
    assert page.one("#share-text").text == "30 %"
    assert not page.one("#auto").is_selected()
    slider.send_keys(Keys.HOME)
    page.wait(lambda: not page.all("#recommended .badge"))


def test_keyboard_alone(browser: Any, url: str) -> None:
    from selenium.webdriver.common.keys import Keys

    page = Page(browser, url)
    page.search("milk", "003")
    page.one("#search").send_keys(Keys.TAB)
    page.wait(lambda: page.focused().get_attribute("data-item") == "003")
    page.focused().send_keys(Keys.ENTER)
    page.wait(lambda: page.titles("basket") == ["Milk frother"])
    assert page.focused().get_attribute("aria-pressed") == "true"  # the focus stays where it was
    page.wait(lambda: "After one item" in page.one("#basis").text)
    page.one("#recommended .add").send_keys(Keys.ENTER)
    page.wait(lambda: len(page.titles("basket")) == 2)
    assert page.focused().get_attribute("id") == "recommended-heading"
    page.one("#basket button").send_keys(Keys.ENTER)
    page.wait(lambda: len(page.titles("basket")) == 1)
    assert page.focused().get_attribute("aria-label").startswith("Remove ")
    page.focused().send_keys(Keys.ENTER)
    page.wait(lambda: not page.titles("basket"))
    assert page.focused().get_attribute("id") == "basket-heading"


@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_it_fits_and_everything_has_a_name(browser: Any, url: str, size: tuple[int, int]) -> None:
    page = Page(browser, f"{url}/#001,013", size)
    page.wait(lambda: len(page.titles("popular")) == 10 and len(page.titles("basket")) == 2)
    assert page.script("return document.documentElement.scrollWidth <= window.innerWidth")
    nameless = """return [...document.querySelectorAll("button, input, a")].filter((e) => e.offsetParent &&
        !(e.getAttribute("aria-label") || e.textContent.trim() || (e.labels && e.labels.length))).length"""
    assert page.script(nameless) == 0
    small = """return [...document.querySelectorAll("button")].filter((e) => e.offsetParent &&
        Math.min(e.offsetWidth, e.offsetHeight) < 36).length"""
    assert page.script(small) == 0
    first = page.script("return document.querySelector('#recommended .card').getBoundingClientRect().top")
    assert first < size[1]  # one sees that something changes


def test_titles_are_text(browser: Any, process: Callable[..., Process], tmp_path: Path) -> None:
    evil = "<img src=x onerror=document.title='taken'>"
    page = Page(browser, process(stub_folder(tmp_path / "shop", titles={"1": evil, "2": "Two"})).url)
    page.wait(lambda: evil in page.titles("popular"))
    assert page.script("return document.title") == "shop: try the recommendations"


def test_a_server_with_a_token(browser: Any, process: Callable[..., Process], tmp_path: Path) -> None:
    model = stub_folder(tmp_path / "shop")
    write_pictures(model / "images")
    page = Page(browser, process(model, "--token", "s3cret").url)
    page.wait(lambda: page.one("#alert").text == "This server needs its token.")
    page.one("#token").send_keys("s3cret\n")
    page.wait(lambda: len(page.titles("popular")) == 10)
    assert not page.one("#token-form").is_displayed()
    page.wait(lambda: page.script("return [...document.images].some((i) => i.complete && i.naturalWidth > 0)"))


def test_the_page_of_requests(browser: Any, url: str) -> None:
    page = Page(browser, f"{url}/docs")
    boxes = page.wait(lambda: page.all("details"))
    assert len(boxes) == 12
    boxes[0].find_element("tag name", "summary").click()
    boxes[0].find_element("tag name", "button").click()
    answer = boxes[0].find_element("tag name", "pre")
    page.wait(lambda: answer.text.startswith("200"))
    assert '"basis": "popularity"' in answer.text
    assert page.complaints() == []


def test_each_of_ten_learners_has_a_colour_of_its_own() -> None:
    page = (Path(mml.serve.__file__).parent / "page.html").read_text(encoding="utf-8")
    assert set(re.findall(r"place % (\d+)", page)) == {"10"}
    light, dark = page.split("prefers-color-scheme: dark", 1)
    colours = dict(re.findall(r"--(c\d): (#\w+);", light))
    in_the_dark = colours | dict(re.findall(r"--(c\d): (#\w+);", dark))
    for named in (colours, in_the_dark):
        assert len(set(named.values())) == 10
    assert set(re.findall(r"\.f(\d) { fill: var\(--c(\d)\); }", page)) == {(str(n), str(n)) for n in range(10)}
