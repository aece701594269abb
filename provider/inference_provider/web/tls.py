"""The certificate of a workspace, as the service shows it."""

import os
import ssl
from typing import Any, Self

from inference_provider.router.table import Tls

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}


class Handshakes(ssl.SSLContext):
    """What a server speaks TLS by: each handshake goes by the newest settings.

    A context cannot forget whom it trusts, so another one takes over from it here.
    """

    shown: Tls
    """What the next handshake goes by."""
    _now: ssl.SSLContext

    def __new__(cls, tls: Tls) -> Self:
        """Begin.

        Raises:
            OSError, ValueError: The certificate cannot be shown.
        """
        made = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        made.shown, made._now = tls, context_of(tls)
        return made

    def wrap_bio(self, *given: Any, **more: Any) -> ssl.SSLObject:
        return self._now.wrap_bio(*given, **more)

    def renew(self, wanted: Tls) -> None:
        """Go by other settings from the next handshake on.

        Connections that are open stay; `is_over` says which of them would not be made any more.

        Raises:
            OSError, ValueError: They cannot be shown; those before are.
        """
        other = context_of(wanted)  # a half of it would end all handshakes
        certificate = {"certificate": wanted.certificate, "private_key": wanted.private_key}
        if wanted == self.shown.model_copy(update=certificate):
            show(self._now, wanted)
        else:
            self._now = other
        self.shown = wanted

    def is_over(self, connection: ssl.SSLObject | None) -> bool:
        """Whether a connection was made by settings that differ in more than the certificate."""
        return connection is not None and connection.context is not self._now


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
