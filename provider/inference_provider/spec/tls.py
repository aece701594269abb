"""TLS: the certificate that a router shows its callers, and the one that they may have to show."""

import ipaddress
import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, SecretStr, model_validator

from inference_provider.spec.base import NO_SECRET, SpecModel


def _as_text(value: object) -> object:
    """YAML reads `1.2` as a number."""
    return str(value) if isinstance(value, float) else value


def _host_or_address(text: str) -> str:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        if not _HOST.fullmatch(text):
            raise ValueError(
                "expected the name of a host or an IP address: gpu-1.example.org,"
                " *.example.org, 10.0.0.7"
            ) from None
    return text


_LABEL = r"[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?"
_HOST = re.compile(rf"(\*\.)?{_LABEL}(\.{_LABEL})*")
HostOrAddress = Annotated[str, AfterValidator(_host_or_address)]
_BOTH = 'certificate: "${file:server.pem}" and private_key: "${file:server.key}"'


class TlsSettings(SpecModel):
    """How a router speaks TLS, HTTP/2 and HTTP/1.1 in it: no request is taken without.

    A change of a certificate takes effect in new connections, and ends none.
    """

    certificate: Annotated[str | None, NO_SECRET] = None
    """PEM: the router's own, then those that signed it: `"${file:server.pem}"`."""
    private_key: SecretStr | None = None
    """PEM without a passphrase: `"${file:server.key}"` or `"${env:ROUTER_KEY}"`."""
    generate: bool = False
    """Whether a certificate is made instead, signed by an authority of the workspace alone, which
    its output `ca_certificate` is."""
    names: Annotated[tuple[HostOrAddress, ...], NO_SECRET] = ()
    """Hosts and addresses of a generated certificate, besides that of the scoring URLs and this
    machine's loopback."""
    minimum_version: Annotated[Literal["1.2", "1.3"], BeforeValidator(_as_text)] = "1.2"
    """Oldest version of TLS that is spoken."""
    client_ca: Annotated[str | None, NO_SECRET] = None
    """PEM: authorities one of which must have signed a caller's own certificate. Keys and tokens
    are asked for as before. Anybody may call without one when left out."""

    @model_validator(mode="after")
    def _one_certificate(self) -> "TlsSettings":
        own = (self.certificate is not None) + (self.private_key is not None)
        if self.generate and own:
            raise ValueError("generate makes certificate and private_key; leave either out")
        if own == 1:
            absent = "private_key" if self.private_key is None else "certificate"
            raise ValueError(f"no {absent}; write {_BOTH}")
        if not self.generate and own < 2:
            raise ValueError(f"no certificate; write {_BOTH}, or generate: true")
        if self.names and not self.generate:
            raise ValueError("names are of a generated certificate; leave them out")
        return self
