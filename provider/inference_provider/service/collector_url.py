"""Where the service sends to: the URL of a collector, or of a webhook. Pure."""

from urllib.parse import urlsplit

from inference_provider.spec.identity_provider import is_this_machine


def with_path(url: str, path: str) -> str:
    """Return a URL with a path of OTLP, unless it has one of its own."""
    return url if urlsplit(url).path.strip("/") else url.rstrip("/") + path


def stays_here(url: str) -> bool:
    """Whether a URL leads to this machine's loopback, where no proxy does."""
    return is_this_machine(urlsplit(url).hostname or "")
