"""The page of `seec report`, in a real browser: safe, usable, and alone with itself."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seec.jobs import clock, report, verify
from tests.archives.life import archive
from tests.faults.points import verify_in_process
from tests.pages.browser import browser, opened
from tests.pictures import textured

HOSTILE = [
    "<script>document.title='hacked'</script>.png",
    '"><img src=x onerror=alert(1)>.png',
    "'><svg onload=alert(2)>.png",
    "{{ 7*7 }}{% raw %}.png",
    "&lt;b&gt;.png",
    "javascript:alert(3).png",
    "\u202egnp.exe",
    "a\nb\x1b[2J.png",
    "</style><style>body{display:none}.png",
    "--><!--.png",
]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with hostile names in each of its lists: folders, findings, quarantine, images."""
    root = tmp_path_factory.mktemp("pages")
    source = root / "<i>source"
    source.mkdir()
    for number, name in enumerate(HOSTILE):
        folder = source / name.replace("/", "\u2215").removesuffix(".png")
        folder.mkdir()
        Image.fromarray(textured(40, 60, number)).save(folder / "a.bin", "PNG")
        Image.fromarray(np.uint8(textured(30, 40, number) // 2)).save(
            source / f"in {name.replace('/', chr(0x2215))}", "PNG"
        )
    for name in HOSTILE[:3]:
        (source / f"large {name.replace('/', chr(0x2215))}").write_bytes(b"x" * 100_000)
    place = root / "<b>archive"
    archive(source, place, max_file_size_bytes=50_000, shard_files=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", lambda: datetime(2026, 1, 1, tzinfo=UTC))
        blob = min((place / "blobs").rglob("*.blob"))
        blob.chmod(0o600)
        blob.write_bytes(b"\0" + blob.read_bytes()[1:])
        assert verify_in_process(verify.Settings(str(place), "checksum")).findings
        patch.setattr(clock, "now", lambda: datetime(2026, 4, 20, tzinfo=UTC))
        target = root / "report.html"
        summary = report.run(report.Settings(str(place), str(target), thumbnails=8))
    assert summary.quarantined == 3
    return target


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


def test_names_are_text_and_do_nothing(chromium: Any, page_file: Path) -> None:
    with opened(chromium, page_file) as page:
        assert page.dialogs == []
        assert page.asked_for == [
            page_file.as_uri(),
            *(url for url in page.asked_for[1:] if url.startswith("data:image/webp;base64,")),
        ]
        assert page.said == []
        assert page.title().startswith("Report of ")
        text = page.locator("body").inner_text()
        for name in HOSTILE:
            shown = "".join(c if c.isprintable() else repr(c)[1:-1] for c in name)
            assert shown.removesuffix(".png").replace("/", "\u2215") in text, name
        assert page.locator("script, style:not(head style), iframe, object, form").count() == 0
        assert page.locator("body img").count() == page.locator(".pictures img").count() > 3
        assert page.locator("body").is_visible()
        broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
        assert page.evaluate(broken) == 0


def test_scripts_would_be_refused_even_if_one_got_in(chromium: Any, page_file: Path) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.set_content(
        page_file.read_text("utf-8").replace(
            "<main>", "<main><script>document.title = 'hacked'</script>"
        )
    )
    assert page.title() != "hacked"
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_no_violation_of_accessibility(
    chromium: Any, page_file: Path, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe")
    with opened(chromium, page_file, scheme=scheme) as page:
        page.locator("summary").click()
        found = axe.Axe().run(page)
        assert found.response["passes"]
        assert found.violations_count == 0, found.generate_report()
        back = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (back == "rgb(255, 255, 255)") == (scheme == "light")


def test_all_is_reached_by_keys_and_fits_a_small_screen(chromium: Any, page_file: Path) -> None:
    with opened(chromium, page_file, width=360) as page:
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        reached: list[str] = []
        for _ in range(20):
            page.keyboard.press("Tab")
            reached.append(
                page.evaluate("document.activeElement.ariaLabel || document.activeElement.tagName")
            )
        assert {"A", "SUMMARY", "Table of findings", "Files in quarantine", "By route"} <= set(
            reached
        )
        page.locator("summary").focus()
        page.keyboard.press("Enter")
        assert page.locator("details[open]").count() == 1
        headings = page.evaluate("[...document.querySelectorAll('h1,h2')].map(h => h.tagName)")
        assert headings[0] == "H1"
        assert headings.count("H1") == 1
        names = page.evaluate("[...document.querySelectorAll('[role=img]')].map(e => e.ariaLabel)")
        assert len(names) == 2
        assert all(names)
