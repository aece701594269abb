"""What a registry has under a name, asked over HTTP: no container engine is needed.

Goes in: `registry.example.org/team/image:tag`. Comes out: its digest. Credentials are those of a
connection (`sign_in.py`), else those of Docker's configuration, as for `docker pull`.
"""

import re
import ssl
from typing import TYPE_CHECKING, Any

from inference_provider.targets.proxies import proxy_for
from inference_provider.targets.sign_in import login_for

if TYPE_CHECKING:
    import httpx

_ASK_S = 10.0
_KINDS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_LOOPBACK = re.compile(r"(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?")
_GIVEN = re.compile(r'(\w+)="([^"]*)"')
_HUB, _API_OF_HUB = "docker.io", "registry-1.docker.io"


def digest_in(image: str, transport: "httpx.BaseTransport | None" = None) -> str | None:
    """Return the digest that a registry has for a name; empty where it has none of this name.

    Args:
        image: The name, with a tag.
        transport: What answers in place of the network.

    Returns:
        None where the registry does not say.

    Raises:
        SecretsInjectionError, SecretStoreUnreachable: The workspace's secret store does not say
            as whom to ask.
    """
    import httpx  # noqa: PLC0415 - only who has no engine asks so
    from docker.auth import resolve_repository_name  # noqa: PLC0415 - as above

    login = login_for(image)
    host, rest = resolve_repository_name(image)
    name, _, tag = rest.rpartition(":")
    scheme = "http" if _LOOPBACK.fullmatch(host) else "https"  # as Docker itself
    url = f"{scheme}://{_API_OF_HUB if host == _HUB else host}/v2/{name}/manifests/{tag}"
    try:
        with httpx.Client(
            timeout=_ASK_S,
            transport=transport,
            follow_redirects=True,
            # a registry without TLS is one of this machine
            proxy=None if transport or scheme == "http" else proxy_for(url),
            verify=ssl.create_default_context(),
            trust_env=False,  # or ~/.netrc would give credentials too
        ) as client:
            said = client.head(url, headers={"accept": _KINDS})
            if said.status_code == 401:
                asked = said.headers.get("www-authenticate", "")
                user = (login.username, login.password.get_secret_value()) if login else _user(host)
                entry = _entry(client, asked, user, f"repository:{name}:pull", scheme)
                said = client.head(url, **{"headers": {"accept": _KINDS}, **entry})
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError):
        return None
    if said.status_code == 404:
        return ""
    return said.headers.get("docker-content-digest") if said.status_code == 200 else None


def _user(host: str) -> tuple[str, str] | None:
    """Return user and password for a registry; None where nobody has logged in."""
    from docker import auth  # noqa: PLC0415 - as above
    from docker.errors import DockerException  # noqa: PLC0415 - as above

    try:
        found = auth.load_config().resolve_authconfig(host) or {}
    except DockerException:  # a helper that does not answer
        return None
    known = {name.lower(): text for name, text in found.items()}
    return (known["username"], known["password"]) if known.get("username") else None


def _entry(
    client: "httpx.Client", asked: str, user: tuple[str, str] | None, scope: str, scheme: str
) -> dict[str, Any]:
    """Return what a question is sent with: credentials, or the token that they are good for.

    Raises:
        ValueError, KeyError: What the registry asks for, or gives, is not understood.
    """
    if not asked.lower().startswith("bearer"):
        return {"auth": user}
    given = dict(_GIVEN.findall(asked))
    if not given["realm"].startswith(f"{scheme}:"):
        raise ValueError("credentials would go in clear")
    params = {"service": given.get("service", ""), "scope": given.get("scope") or scope}
    found = client.get(given["realm"], params=params, auth=user).raise_for_status().json()
    return {"headers": {"accept": _KINDS, "authorization": f"Bearer {_token(found)}"}}


def _token(found: Any) -> str:
    return str(found.get("token") or found["access_token"])
