"""Which proxy of the environment leads to a URL."""

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass


def proxy_for(url: str) -> str | None:
    """Return the URL of a proxy, by `https_proxy`, `http_proxy` and `no_proxy`; None for none."""
    parts = urlsplit(url)
    return None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
