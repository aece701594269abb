"""The certificate of a workspace, as the service shows it."""

import os
import ssl

from inference_provider.router.table import Tls
from inference_provider.workspace.certificates import names_in

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


def context_of(tls: Tls) -> ssl.SSLContext:
    """Return what a server needs to speak TLS as a workspace's router does.

    Raises:
        OSError, ValueError: The certificate cannot be shown.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.minimum_version]
    if tls.client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=tls.client_ca)
    show(context, tls)
    return context


def show(context: ssl.SSLContext, tls: Tls) -> None:
    """Show another certificate in the next handshake; connections that are open stay."""
    handle = os.memfd_create("certificate")  # the library reads files alone; this is on no disk
    try:
        text = f"{tls.private_key.get_secret_value()}\n{tls.certificate}\n"
        os.write(handle, text.encode())
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)


def renew(context: ssl.SSLContext, shown: Tls, wanted: Tls, *, by_name: bool) -> bool:
    """Show a new certificate without an end of anything; return whether that was possible.

    Where other settings differ the process starts again, and where names do by which browsers
    find its pages.

    Args:
        context: What handshakes go by.
        shown: What it shows.
        wanted: What it is to show.
        by_name: Whether anybody is let in by the names of the certificate.

    Raises:
        OSError, ValueError: It cannot be shown; the one before is.
    """
    context_of(wanted)  # a half of it would end all handshakes
    certificate = {"certificate": wanted.certificate, "private_key": wanted.private_key}
    others = wanted != shown.model_copy(update=certificate)
    if others or (by_name and names_in(wanted.certificate) != names_in(shown.certificate)):
        return False
    show(context, wanted)
    return True
