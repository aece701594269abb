"""The URL of an OpenTelemetry collector. Pure."""

import ipaddress
from contextlib import suppress
from urllib.parse import urlsplit


def with_path(url: str, path: str) -> str:
    """Return a URL with a path of OTLP, unless it has one of its own."""
    return url if urlsplit(url).path.strip("/") else url.rstrip("/") + path


def is_this_machine(url: str) -> bool:
    """Whether a URL leads to loopback, where no proxy does."""
    host = urlsplit(url).hostname or ""
    with suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"
