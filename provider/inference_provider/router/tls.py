"""How a router speaks TLS -> Envoy's transport socket, and the secret that it shows. Pure.

The certificate and its key are a resource of their own beside the listener: another one is shown in
the next handshake, and no connection is closed for it.
"""

from inference_provider.router.resource import API, Resource
from inference_provider.router.table import Tls

SECRET = "server_cert"
_SOCKETS = f"{API}extensions.transport_sockets.tls.v3"
_ALPN = ("h2", "http/1.1")
_VERSIONS = {"1.2": "TLSv1_2", "1.3": "TLSv1_3"}


def transport_socket(tls: Tls, source: Resource | None) -> Resource:
    """Return the transport socket of a listener.

    Args:
        tls: What it speaks.
        source: Where the certificate is read from; None to have it inline.
    """
    minimum = {"tls_minimum_protocol_version": _VERSIONS[tls.minimum_version]}
    common: Resource = {"tls_params": minimum, "alpn_protocols": list(_ALPN)}
    if source is None:
        common["tls_certificates"] = [_certificate(tls)]
    else:
        named = {"name": SECRET, "sds_config": source}
        common["tls_certificate_sds_secret_configs"] = [named]
    if tls.client_ca:
        common["validation_context"] = {"trusted_ca": {"inline_string": tls.client_ca}}
    typed = {
        "@type": f"{_SOCKETS}.DownstreamTlsContext",
        "common_tls_context": common,
        "require_client_certificate": bool(tls.client_ca),
    }
    return {"name": "envoy.transport_sockets.tls", "typed_config": typed}


def secrets(tls: Tls | None) -> list[Resource]:
    """Return what the file of the certificate holds: nothing where no TLS is spoken."""
    if tls is None:
        return []
    kind = f"{_SOCKETS}.Secret"
    return [{"@type": kind, "name": SECRET, "tls_certificate": _certificate(tls)}]


def of_listener(tls: Tls | None) -> Tls | None:
    """Return what the listener itself depends on: all but the certificate and its key."""
    return tls and tls.model_copy(update={"certificate": "", "private_key": None})


def _certificate(tls: Tls) -> Resource:
    return {
        "certificate_chain": {"inline_string": tls.certificate},
        "private_key": {"inline_string": tls.private_key.get_secret_value()},
    }
