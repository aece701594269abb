"""By which names browsers find the pages of the service."""

import ipaddress
from collections.abc import Sequence

from inference_provider.console.guard import Site
from inference_provider.router.table import Tls
from inference_provider.web.pages import DOOR
from inference_provider.workspace.certificates import names_in


def site_of(host: str, port: int, tls: Tls | None, names: Sequence[str] = ()) -> Site:
    """Return them: 127.0.0.1, the address that is listened on, other names, those of a certificate.

    A name of somebody else's may lead here too (DNS rebinding), and is none of them; nor is
    `localhost`, which may lead to ::1, where anybody on the machine may listen on this port.
    """
    own = f"[{host}]" if ":" in host else host
    named = () if ipaddress.ip_address(host).is_unspecified else (own,)
    certified = names_in(tls.certificate) if tls else ()
    brackets = (f"[{one}]" if ":" in one else one for one in certified)
    more = tuple(f"{one}:{port}" for one in (*named, *names, *brackets))
    scheme = "https" if tls else "http"
    whole = (f"127.0.0.1:{port}", *more)
    usual = port == (443 if tls else 80)  # which browsers leave out
    bare = tuple(one.removesuffix(f":{port}") for one in whole) if usual else ()
    hosts = tuple(dict.fromkeys((*whole, *bare)))
    # by the prefix a browser takes such a cookie from no other name, and from nothing in clear
    cookie = f"{'__Host-' if tls else ''}inferctl-service-{port}"
    return Site(hosts, cookie, scheme, DOOR)
