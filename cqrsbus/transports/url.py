"""Transport URLs, read and written; pure.

- ``tcp://HOST:PORT``: the host is a name, an IPv4 address or an IPv6 address in brackets; port 0 lets the
  system choose.
- ``unix:///absolute/path`` or ``unix://relative/path``: ``%XX`` stands for a byte that a URL cannot show.
- ``memory:NAME``: inside this process. ``memory:`` alone is valid here and means "a broker of one's own".
- ``?key=value&key=value`` may follow any of them.

A bad URL is a programming or configuration mistake, hence a ``ValueError``; its text names the URL and what is
expected, and never a password that stood in it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address
from urllib.parse import parse_qsl, quote, unquote, urlencode

#: Where a broker listens and a bus looks for it unless told otherwise.
DEFAULT_URL = "tcp://127.0.0.1:9100"

_EXPECTED = {"tcp": "tcp://HOST:PORT", "unix": "unix:///PATH", "memory": "memory:NAME"}
_NOT_YET = frozenset({"tls", "nats"})
_MEMORY_NAME = re.compile(r"[A-Za-z0-9._-]*")
_HOST_NAME = re.compile(r"[^\s/?#@:\[\]%]+")
_USERINFO = re.compile(r"://[^/?#]*@")


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed transport URL; which fields are filled depends on the scheme.

    Args:
        scheme: ``tcp``, ``unix`` or ``memory``.
        host: For tcp: a name or an address, without brackets.
        port: For tcp.
        path: For unix: decoded, absolute or relative.
        name: For memory: empty for ``memory:`` alone.
        options: What followed the ``?``.
    """

    scheme: str
    host: str = ""
    port: int = 0
    path: str = ""
    name: str = ""
    options: Mapping[str, str] = field(default_factory=dict[str, str], hash=False)


def parse_url(url: str) -> Address:
    """Read a transport URL.

    Raises:
        ValueError: It is not one; the text says what is expected.
    """
    base, mark, query = url.partition("?")
    scheme, colon, rest = base.partition(":")
    if scheme in _NOT_YET and colon:
        raise ValueError(f"{redact(url)!r}: {scheme}:// is not available in this version")
    if scheme not in _EXPECTED or not colon:
        raise ValueError(f"{redact(url)!r} is not a transport URL: expected {', '.join(_EXPECTED.values())}")
    options = _options(url, query) if mark else {}
    if scheme == "memory":
        if not _MEMORY_NAME.fullmatch(rest):
            raise _bad(url, "the name may have letters, digits and '.', '_', '-'")
        return Address(scheme, name=rest, options=options)
    if not rest.startswith("//"):
        raise _bad(url, f"'//' is missing after '{scheme}:'")
    if scheme == "unix":
        return Address(scheme, path=_path(url, rest[2:]), options=options)
    host, port = _host_and_port(url, rest[2:])
    return Address(scheme, host=host, port=port, options=options)


def format_url(address: Address) -> str:
    """Write an address as the URL that `parse_url` reads back."""
    query = f"?{urlencode(address.options)}" if address.options else ""
    if address.scheme == "memory":
        return f"memory:{address.name}{query}"
    if address.scheme == "unix":
        return f"unix://{quote(address.path, errors='surrogateescape')}{query}"
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{address.scheme}://{host}:{address.port}{query}"


def is_loopback(address: Address) -> bool:
    """Whether only this machine can reach the address; a name other than ``localhost`` is not looked up."""
    if address.scheme != "tcp":
        return True
    if address.host.lower() == "localhost":
        return True
    try:
        ip = ip_address(address.host)
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, IPv6Address) else None
    return (mapped or ip).is_loopback


def redact(url: str) -> str:
    """Return the URL with a user name and password, if any, blotted out."""
    return _USERINFO.sub("://***@", url)


def _bad(url: str, why: str) -> ValueError:
    scheme = url.partition(":")[0]
    return ValueError(f"bad URL {redact(url)!r}: {why}; expected {_EXPECTED[scheme]}")


def _options(url: str, query: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict", max_num_fields=32)
    except ValueError:
        raise _bad(url, "after '?' there must be key=value&key=value") from None
    options = dict(pairs)
    if len(options) < len(pairs):
        raise _bad(url, "an option is given twice")
    return options


def _path(url: str, quoted: str) -> str:
    path = unquote(quoted, errors="surrogateescape")
    if not path or "\0" in path:
        raise _bad(url, "the path has a NUL byte" if path else "the path is missing")
    return path


def _host_and_port(url: str, netloc: str) -> tuple[str, int]:
    if "@" in netloc:
        raise _bad(url, "credentials do not belong into the URL")
    host, colon, port = netloc.rpartition(":")
    if not colon or not port or host.count("[") != host.count("]"):
        raise _bad(url, "the port is missing")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise _bad(url, "the port must be a number from 0 to 65535")
    return _host(url, host), int(port)


def _host(url: str, host: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        try:
            IPv6Address(host[1:-1])
        except ValueError:
            raise _bad(url, "in brackets there must be an IPv6 address") from None
        return host[1:-1]
    if ":" in host:
        raise _bad(url, "an IPv6 address must stand in brackets")
    if not _HOST_NAME.fullmatch(host):
        raise _bad(url, "the host is not a name or an address" if host else "the host is missing")
    return host
