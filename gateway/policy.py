"""What a browser lets our pages do: nothing but what they're made of, in nobody else's frame."""

from __future__ import annotations

import re
from base64 import b64encode
from hashlib import sha256

_ALL = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
_INLINE = re.compile(r"<(script|style)>(.*?)</\1>", re.DOTALL)


def policy(page: str) -> str:
    """Return the Content-Security-Policy of a page: our own files, and what stands in the page."""
    hashes: dict[str, list[str]] = {}
    for kind, text in _INLINE.findall(page):
        digest = b64encode(sha256(text.encode()).digest()).decode()
        hashes.setdefault(kind, []).append(f"'sha256-{digest}'")
    inline = (f"; {kind}-src 'self' {' '.join(known)}" for kind, known in sorted(hashes.items()))
    return _ALL + "".join(inline)


def guarded(policy: str) -> dict[str, str]:
    """Return the headers of a page that keeps to `policy`."""
    return {
        "content-security-policy": policy,
        "x-content-type-options": "nosniff",
        "x-frame-options": "DENY",  # for browsers that don't know frame-ancestors
        "referrer-policy": "no-referrer",
    }
