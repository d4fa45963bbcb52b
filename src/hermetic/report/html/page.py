"""Puts a page together: the files that `page.html` in a folder asks for are written into it, and so is the data.

The page runs these scripts and no others, and loads nothing: its policy names each by its hash
(https://www.w3.org/TR/CSP3/#framework-directive-source-list), so that no text in the data can become code.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from importlib.resources import files
from typing import Any

STYLES = re.compile(r'<link rel="stylesheet" href="([\w.-]+)">')
SCRIPT = re.compile(r'<script src="([\w.-]+)"></script>')

# `</script>` or `<!--` in the data would end it early; the escapes are the same text to a JSON parser.
ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026"})


def render(folder: str, data: Any) -> str:
    """The page of a folder beside this file, as HTML. `data` is what its scripts find as JSON in the element `data`.

    Raises ValueError for numbers that JSON has no text for.
    """
    page = _text(folder, "page.html")
    styles = {name: _text(folder, name) for name in STYLES.findall(page)}
    scripts = {name: _text(folder, name) for name in SCRIPT.findall(page)}
    policy = (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src {_hashes(styles)}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    page = page.replace("<!-- policy -->", f'<meta http-equiv="Content-Security-Policy" content="{policy}">')
    page = STYLES.sub(lambda found: f"<style>{styles[found[1]]}</style>", page)
    page = SCRIPT.sub(lambda found: f"<script>{scripts[found[1]]}</script>", page)
    return page.replace("<!-- data -->", f'<script type="application/json" id="data">{_json(data)}</script>')


def _text(folder: str, name: str) -> str:
    return (files(__package__) / folder / name).read_text(encoding="utf-8")


def _hashes(texts: dict[str, str]) -> str:
    digests = [hashlib.sha256(text.encode()).digest() for text in texts.values()]
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)


def _json(data: Any) -> str:
    return json.dumps(data, separators=(",", ":"), allow_nan=False).translate(ESCAPES)
