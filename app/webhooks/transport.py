"""One POST to a stranger's address, without reaching into our own network.

The name is resolved once, every address it has must be public, and the connection goes to the address that was
checked: a name that answers differently the second time (DNS rebinding) gains nothing. TLS is still verified for
the name. Redirects are not followed, and of the answer only its status is read.
"""

from __future__ import annotations

import http.client
import ipaddress
import socket
import ssl
from urllib.parse import urlsplit

from django.conf import settings

TIMEOUT = 10.0
LONGEST_URL = 500


class Refused(ValueError):
    """The address is not one we send to; the text says why."""


class Unreachable(Exception):
    """Nobody took the message; the text says what went wrong."""


def check_url(url: str) -> tuple[str, str, int, str]:
    """(scheme, host, port, path with query). Raises Refused; looks at the text only."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise Refused("This is no address.") from None
    schemes = ("https", "http") if settings.WEBHOOK_ALLOW_PRIVATE else ("https",)
    if parts.scheme not in schemes or not parts.hostname or len(url) > LONGEST_URL:
        raise Refused("Expected an address that begins with https://")
    if parts.username is not None or parts.fragment or any(c <= " " or c == "\x7f" for c in url):
        raise Refused("Expected an address without a user name, spaces or a fragment.")
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not (path.isascii() and parts.hostname.isascii()):
        raise Refused("Expected an address in ASCII letters.")
    return parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80), path


def public_address(host: str, port: int) -> str:
    """One address of the host. Raises Refused if any of its addresses is not public, Unreachable if it has none."""
    try:
        found = [row[4][0] for row in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError) as error:
        raise Unreachable(f"{host} is not known: {error}") from None
    if not settings.WEBHOOK_ALLOW_PRIVATE:
        for address in found:
            if not is_public(address):
                raise Refused(f"{host} is {address}, which is not a public address.")
    return found[0]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, also as it is written inside an IPv6 address."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip.version == 6:
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if inner is None and ip in ipaddress.ip_network("64:ff9b::/96"):
            inner = ipaddress.ip_address(int(ip) & 0xFFFFFFFF)
        if inner is not None and not is_public(str(inner)):
            return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


class _Plain(http.client.HTTPConnection):
    """Connects to the address that was checked, whatever the name says now."""

    address = ""

    def connect(self) -> None:
        self.sock = socket.create_connection((self.address, self.port), self.timeout)


class _Secure(http.client.HTTPSConnection):
    address = ""

    def connect(self) -> None:
        plain = socket.create_connection((self.address, self.port), self.timeout)
        self.sock = self._context.wrap_socket(plain, server_hostname=self.host)


def post(url: str, body: bytes, headers: dict[str, str]) -> int:
    """Send it; returns the HTTP status. Raises Refused or Unreachable."""
    scheme, host, port, path = check_url(url)
    address = public_address(host, port)
    if scheme == "https":
        connection: http.client.HTTPConnection = _Secure(
            host, port, timeout=TIMEOUT, context=ssl.create_default_context()
        )
    else:
        connection = _Plain(host, port, timeout=TIMEOUT)
    connection.address = address
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json", **headers})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise Unreachable(f"{type(error).__name__}: {error}") from None
    finally:
        connection.close()
