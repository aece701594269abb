"""By which names browsers find the pages of the service."""

import ipaddress

from inference_provider.console.guard import Site, names_of
from inference_provider.router.table import Tls
from inference_provider.web.pages import DOOR
from inference_provider.workspace.certificates import names_in


def site_of(host: str, port: int, tls: Tls | None) -> Site:
    """Return them: those of loopback, the address that is listened on, those of a certificate.

    A name of somebody else's may lead here too (DNS rebinding), and is none of them.
    """
    own = f"[{host}]" if ":" in host else host
    named = () if ipaddress.ip_address(host).is_unspecified else (own,)
    certified = names_in(tls.certificate) if tls else ()
    brackets = (f"[{one}]" if ":" in one else one for one in certified)
    more = tuple(f"{one}:{port}" for one in (*named, *brackets))
    scheme = "https" if tls else "http"
    whole = (*names_of(port), *more)
    bare = tuple(one.removesuffix(":443") for one in whole) if port == 443 and tls else ()
    hosts = tuple(dict.fromkeys((*whole, *bare)))
    return Site(hosts, f"inferctl-service-{port}", scheme, DOOR)
