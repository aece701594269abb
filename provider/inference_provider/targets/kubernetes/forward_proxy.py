"""Where pods without a way out find the forward proxy: the Service of the router. Pure."""

from base64 import b64decode
from ipaddress import ip_address
from urllib.parse import urlsplit

from inference_provider.serving.way_out import proxy_variables
from inference_provider.targets.kubernetes import names
from inference_provider.targets.kubernetes.objects import Object

_NAMING = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")
MOVED = "its pods know an earlier address of the forward proxy; the next `up` replaces them"


def address_of(service: Object | None) -> str:
    """Return the address of a Service; empty for none."""
    return str(((service or {}).get("spec") or {}).get("clusterIP") or "")


def variables_of(address: str) -> dict[str, str]:
    """Return what tells pods of the proxy; nothing where there is none."""
    port, beside = names.EGRESS_PORT, [names.CONTENT_NAME]
    return proxy_variables(address, port, beside) if address else {}


def has_moved(secret: Object | None, address: str) -> bool:
    """Whether pods with the variables of a Secret know another address of the proxy than this.

    Variables that their deployment sets itself are not of the proxy, which has no name.
    """
    there = (secret or {}).get("data") or {}
    known = {b64decode(there[name]).decode() for name in _NAMING if name in there}
    if not address or len(known) != 1 or not _is_of_ours(*known):
        return False
    return known != {variables_of(address)["HTTPS_PROXY"]}


def _is_of_ours(url: str) -> bool:
    found = urlsplit(url)
    try:
        ip_address(found.hostname or "")
    except ValueError:
        return False
    return found.port == names.EGRESS_PORT
