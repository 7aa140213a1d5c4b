"""The server under load, as its URL names it."""

from __future__ import annotations

import ssl
from typing import NamedTuple
from urllib.parse import urlsplit


class Target(NamedTuple):
    """Where to connect to.

    Attributes:
        host, port: The server's address.
        tls: Whether to speak TLS.
        path: What stands before every path of the API ("" or "/prefix").
    """

    host: str
    port: int
    tls: bool = False
    path: str = ""

    @property
    def authority(self) -> str:
        """The value of the header Host."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def websocket(self) -> str:
        """The URL of the socket for many games."""
        return f"{'wss' if self.tls else 'ws'}://{self.authority}{self.path}/ws"

    @property
    def url(self) -> str:
        """The URL again, without a slash at the end."""
        return f"{'https' if self.tls else 'http'}://{self.authority}{self.path}"

    @property
    def local(self) -> bool:
        """Whether the server is on this machine, so that its processes can be looked at."""
        return self.host in ("127.0.0.1", "localhost", "::1")

    def context(self) -> ssl.SSLContext | None:
        """Return what TLS needs; None without it."""
        return ssl.create_default_context() if self.tls else None


def target(url: str) -> Target:
    """Read a URL such as "http://127.0.0.1:8000".

    Raises:
        ValueError: If it is no http or https URL.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no http:// or https:// URL")
    tls = parts.scheme == "https"
    return Target(parts.hostname, parts.port or (443 if tls else 80), tls, parts.path.rstrip("/"))
