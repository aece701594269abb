"""What tells programs of an instance of the forward proxy that is its only way out. Pure."""

from collections.abc import Iterable

_HERE = ("localhost", "127.0.0.1", "::1")


def proxy_variables(host: str, port: int, beside: Iterable[str] = ()) -> dict[str, str]:
    """Return the variables, in both forms that programs read.

    Args:
        host: Address of the proxy.
        port: TCP port of it.
        beside: Names and addresses that are reached without it, besides the instance itself.
    """
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    found = {"HTTP_PROXY": url, "HTTPS_PROXY": url, "NO_PROXY": ",".join((*_HERE, *beside))}
    return {**found, **{name.lower(): value for name, value in found.items()}}
