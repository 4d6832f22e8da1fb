"""Who may ask the server: the bearer token, and the Host and Origin of a request."""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from dataclasses import dataclass, field
from urllib.parse import urlsplit

CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Content-Security-Policy of every answer: nothing runs or loads but what this server sends as a file of its own."""

SAFETY_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Headers of every answer."""


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address means this machine and can be reached from it alone."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Decides whether a request may be answered."""

    host: str
    """Name or address that the server listens at."""

    token: str | None = field(default_factory=lambda: secrets.token_urlsafe(32))
    """The bearer token; None where none is asked for."""

    def allows_token(self, authorization: str | None) -> bool:
        """Tell whether an Authorization header bears the token; in the same time whatever it bears."""
        if self.token is None:
            return True
        scheme, _, given = (authorization or "").partition(" ")
        is_equal = hmac.compare_digest(given.strip().encode(), self.token.encode())
        return is_equal and scheme.lower() == "bearer"

    def allows_host(self, host: str | None) -> bool:
        """Tell whether a Host header names this machine.

        Any port will do, because `ssh -L` forwards from whichever is free at home. A name that is not ours may be that
        of a page which has been made to point here (DNS rebinding).
        """
        name = _host_of(f"//{host or ''}")
        if not name:
            return False
        if is_loopback(name):
            return True
        return not is_loopback(self.host) and name in self._own_names(name)

    def allows_origin(self, origin: str | None, host: str | None) -> bool:
        """Tell whether the page that asks, if it is told, is one that this server has sent.

        The two names of the loopback device are one; another port is another server.
        """
        if origin is None:
            return True
        asked, own = _locate(origin), _locate(f"//{host or ''}")
        return asked is not None and asked == own

    def _own_names(self, name: str) -> set[str]:
        """Names of this machine as others see it. An address cannot be made to point elsewhere, so each is allowed."""
        names = {self.host.lower(), socket.gethostname().lower(), socket.getfqdn().lower()}
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return names
        return names | {name}


def _host_of(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _locate(url: str) -> tuple[str, int | None] | None:
    """Return host and port of a URL, with `localhost` for all names of the loopback device; None where it has none."""
    host = _host_of(url)
    if host is None:
        return None
    try:
        port = urlsplit(url).port
    except ValueError:
        return None
    return "localhost" if is_loopback(host) else host, port
