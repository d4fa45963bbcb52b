"""A headless Chromium for pages on disk: what is in the document after its scripts ran, and what a person sees."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

FIND = Path(__file__).parents[2] / "scripts" / "find-browser"

PATIENCE = 60  # seconds; whatever takes longer hangs

# No sandbox, because root has none; the rest keeps it from calling home.
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
)


@dataclass(frozen=True, slots=True)
class Browser:
    program: str

    def dom(self, page: Path, *, wait_ms: int = 1000, fragment: str = "") -> str:
        """The document as HTML after its scripts ran, with `wait_ms` milliseconds of their time for timers."""
        return self._run(page, fragment, "--dump-dom", f"--virtual-time-budget={wait_ms}")

    def screenshot(
        self, page: Path, target: Path, *, width: int = 1280, height: int = 800, wait_ms: int = 1000, fragment: str = ""
    ) -> None:
        """Write a PNG file of the page in a window of this many CSS pixels."""
        size = f"--window-size={width},{height}"
        self._run(page, fragment, f"--screenshot={target}", size, f"--virtual-time-budget={wait_ms}")

    def _run(self, page: Path, fragment: str, *flags: str) -> str:
        url = page.resolve().as_uri() + (f"#{fragment}" if fragment else "")
        # Its helpers may still write into the profile when the browser has ended.
        with tempfile.TemporaryDirectory(prefix="hermetic-browser-", ignore_cleanup_errors=True) as profile:
            done = subprocess.run(
                [self.program, *FLAGS, f"--user-data-dir={profile}", *flags, url],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                encoding="utf-8",
                timeout=PATIENCE,
                check=False,
            )
        if done.returncode:
            raise RuntimeError(f"{self.program} ended with {done.returncode}: {done.stderr}")
        return done.stdout


def find_browser() -> Browser:
    """Raises: FileNotFoundError: there is none; the text says what to install."""
    done = subprocess.run(["sh", str(FIND)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise FileNotFoundError(done.stderr.strip())
    return Browser(done.stdout.strip())
