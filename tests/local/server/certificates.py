"""Certificates of a router, as a workspace's authority signs them, and clients that check them."""

import pathlib
import socket
import ssl
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from inference_provider.spec.tls import TlsSettings
from inference_provider.workspace.certificates import kept_for
from inference_provider.workspace.kept_tls import KeptTls


def generated(before: KeptTls | None = None, **values: object) -> KeptTls:
    """Return a generated certificate; one of other names is signed by the same authority."""
    wanted = TlsSettings.model_validate({"generate": True, **values})
    return kept_for(wanted, before, "lab", ["127.0.0.1"], datetime.now(UTC))


def trusting(kept: KeptTls, caller: pathlib.Path | None = None) -> ssl.SSLContext:
    """Return what checks a router's certificate, and shows a caller's own if there is one."""
    found = ssl.create_default_context(cadata=kept.trusted)
    if caller:
        found.load_cert_chain(caller)
    return found


def caller_of(kept: KeptTls, path: pathlib.Path) -> pathlib.Path:
    """Write a caller's certificate and key, signed by a workspace's authority."""
    assert kept.authority
    parent = x509.load_pem_x509_certificate(kept.authority.certificate.encode())
    signer = serialization.load_pem_private_key(
        kept.authority.private_key.get_secret_value().encode(), None
    )
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ann")]))
        .issuer_name(parent.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(signer, hashes.SHA256())
    )
    encoding, shape = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(encoding, shape, serialization.NoEncryption())
    path.write_bytes(signed.public_bytes(encoding) + secret)
    return path


def shown(address: tuple[str, int], context: ssl.SSLContext) -> int:
    """Return the serial number of the certificate that a router shows now."""
    with (
        socket.create_connection(address, 5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        found = secure.getpeercert()
    assert found
    return int(str(found["serialNumber"]), 16)
