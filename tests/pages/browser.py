"""A real browser, headless: Chromium as the system has it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium while the block runs; the test is skipped without it."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if program is None:
        pytest.skip("needs chromium")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(
            executable_path=program,
            # Tests run as root in containers, where Chromium has no sandbox.
            args=["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
        )
        try:
            yield started
        finally:
            started.close()


@contextmanager
def opened(started: Any, path: Path, *, scheme: str = "light", width: int = 1000) -> Iterator[Any]:
    """A page of a file, with what happened on it: `page.dialogs`, `page.asked_for`, `page.said`.

    Scripts of tests may run in it, whatever the page forbids; those of the page may not.
    """
    context = started.new_context(
        color_scheme=scheme, viewport={"width": width, "height": 900}, bypass_csp=True
    )
    page = context.new_page()
    page.dialogs, page.asked_for, page.said = [], [], []

    def refuse(dialog: Any) -> None:
        page.dialogs.append(dialog.message)
        dialog.dismiss()

    page.on("dialog", refuse)
    page.on("request", lambda request: page.asked_for.append(request.url))
    page.on("console", lambda message: page.said.append(message.text))
    try:
        page.goto(path.as_uri())
        yield page
    finally:
        context.close()
