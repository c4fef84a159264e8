"""The demonstration's page stands alone, tells what happened, and its receipts verify."""

from __future__ import annotations

import base64
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest

from ledgercore import Receipt, Record, parse_anchor
from ledgercore.demo import DemoResult, page, render_page, run_demo
from ledgercore.exchange import Claim

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
BROWSER_S = 60
FIRMS = 40


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    return run_demo(tmp_path_factory.mktemp("demo") / "run", firms=FIRMS)


class Reader(HTMLParser):
    """Collects elements, what would load anything, and the texts of elements by class or id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self._inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append(tag)
        self.loads += [name for name in values if name in ("src", "href", "srcset", "action")]
        self._inside = values.get("class") or values.get("id") or ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.texts.setdefault(self._inside, []).append(data)


def test_the_page_stands_alone(result: DemoResult) -> None:
    text = render_page(result)

    read = Reader(text)
    assert read.loads == []
    assert not {"script", "link", "iframe", "img", "object"} & set(read.tags)
    assert "url(" not in text
    assert "@import" not in text


def test_the_page_says_why_its_times_are_ahead(result: DemoResult) -> None:
    assert f"Times on this ledger are up to {result.told['clock_ahead_hours']} hours ahead" in (
        render_page(result)
    )


def test_every_receipt_on_the_page_verifies(result: DemoResult) -> None:
    read = Reader(render_page(result))
    (anchor_text,) = read.texts["anchor"]
    anchor = parse_anchor(anchor_text)
    pairs = list(zip(read.texts["record"], read.texts["receipt"], strict=True))

    assert len(pairs) >= 5 * len(result.packs)
    for record_text, receipt_text in pairs:
        record = Record.decode(base64.b64decode(record_text))
        receipt = Receipt.decode(base64.b64decode(receipt_text))
        assert receipt.verify(record.body, anchor).id == record.id


def test_text_of_others_is_no_markup() -> None:
    claim = Claim("<script>", "a & b <img src=x>")

    assert "<script>" not in page._claim(claim)
    assert "a &amp; b &lt;img src=x&gt;" in page._claim(claim)


@pytest.mark.skipif(BROWSER is None, reason="no Chromium here: the page is not seen in a browser")
def test_a_browser_shows_the_page_without_a_network(result: DemoResult, tmp_path: Path) -> None:
    assert BROWSER is not None
    file, picture = tmp_path / "page.html", tmp_path / "page.png"
    file.write_text(render_page(result), encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--window-size=1100,2400"]
    flags += [f"--user-data-dir={tmp_path}/profile", "--host-resolver-rules=MAP * ~NOTFOUND"]
    run = [BROWSER, *flags, f"--screenshot={picture}", file.as_uri()]

    shown = subprocess.run(
        [*run[:-2], "--dump-dom", run[-1]],
        capture_output=True,
        check=True,
        timeout=BROWSER_S,
        text=True,
    ).stdout
    subprocess.run(run, capture_output=True, check=True, timeout=BROWSER_S)

    read = Reader(shown)
    assert read.tags.count("details") == len(read.texts["receipt"]) > 0
    assert read.tags.count("section") == len(result.packs)
    assert f"<b>{FIRMS}</b>" in shown
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert picture.stat().st_size > 50_000, "an empty page is a small picture"
