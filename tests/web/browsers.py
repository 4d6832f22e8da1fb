"""A real browser for tests: Debian's Chromium, driven through playwright."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def missing_browser() -> str | None:
    """What is missing for tests in a browser; None where nothing is."""
    try:
        import playwright  # noqa: F401
    except ImportError:
        return "playwright is not installed: pip install '.[test]'"
    return None if CHROMIUM.exists() else "chromium is not installed: apt-get install chromium"


def require_browser() -> None:
    """Skip where there is no browser; fail in CI, where there must be one."""
    missing = missing_browser()
    if missing is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(missing)
    pytest.skip(missing)


@contextmanager
def run_browser(folder: Path) -> Iterator[Any]:
    """A browser with a profile of its own."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(folder),
            executable_path=str(CHROMIUM),
            args=list(FLAGS),
            viewport={"width": 1280, "height": 800},
            accept_downloads=True,
        )
        yield context
        context.close()
