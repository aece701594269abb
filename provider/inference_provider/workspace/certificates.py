"""Certificates of routers: generated, and checked before a router shows one.

Goes in: what a workspace asks for, and the time. Comes out: what is kept of it, or why it cannot be
shown. Which secrets a router reads is in `kept_tls.py`.
"""

import ipaddress
import itertools
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pydantic import SecretStr

from inference_provider.errors import Fault
from inference_provider.router.table import Tls
from inference_provider.spec.tls import TlsSettings
from inference_provider.workspace.kept_tls import RENEW_DAYS, Authority, KeptTls

AUTHORITY_DAYS, CERTIFICATE_DAYS = 3650, 820
"""Validity; Apple's systems take no certificate of a server that is valid for longer than 825."""
LOOPBACK = ("localhost", "127.0.0.1", "::1")
_EARLIER = timedelta(hours=1)
"""A caller's clock may be behind."""


# -- what is kept ----------------------------------------------------------------------------------


def kept_for(
    wanted: TlsSettings, before: KeptTls | None, workspace: str, hosts: Sequence[str], now: datetime
) -> KeptTls:
    """Return what a router is to show; what there is already, if that will do.

    Args:
        wanted: What the workspace asks for.
        before: What is kept now.
        workspace: Its name.
        hosts: Host of its scoring URLs, and those of what is beside its router.
        now: The time, UTC.
    """
    rest = {"minimum_version": wanted.minimum_version, "client_ca": wanted.client_ca or ""}
    if wanted.certificate is not None and wanted.private_key is not None:
        own = Tls(certificate=wanted.certificate, private_key=wanted.private_key, **rest)
        return KeptTls(tls=own, ends=ends(wanted.certificate))
    names = tuple(dict.fromkeys((*hosts, *LOOPBACK, *wanted.names)))
    known = before.authority if before else None
    if before and known and known.names == names and not _ends_soon(before.tls, now):
        return before.model_copy(update={"tls": before.tls.model_copy(update=rest)})
    authority = known if known and not _is_over(known.certificate, now) else None
    return _signed(authority or _new_authority(workspace, now), names, rest, now)


def ends(certificate: str) -> datetime | None:
    """Return when the first certificate of a chain ends, UTC; None if it cannot be read."""
    chain = _chain(certificate)
    return chain[0].not_valid_after_utc if chain else None


def names_in(chain: str) -> tuple[str, ...]:
    """Return the hosts and addresses that a certificate is for, but for those with a `*`."""
    try:
        first = x509.load_pem_x509_certificates(chain.encode())[0]
        names = first.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (ValueError, x509.ExtensionNotFound):
        return ()
    hosts = [one for one in names.get_values_for_type(x509.DNSName) if "*" not in one]
    return (*hosts, *map(str, names.get_values_for_type(x509.IPAddress)))


def _ends_soon(tls: Tls, now: datetime) -> bool:
    return _is_over(tls.certificate, now + timedelta(days=RENEW_DAYS))


def _is_over(certificate: str, now: datetime) -> bool:
    end = ends(certificate)
    return end is None or end <= now  # None: a document that was edited


def _new_authority(workspace: str, now: datetime) -> Authority:
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(f"{workspace} (pulumi-inference)")
    usage = x509.KeyUsage(
        digital_signature=False, content_commitment=False, key_encipherment=False,
        data_encipherment=False, key_agreement=False, key_cert_sign=True, crl_sign=True,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip
    built = (
        _begun(name, name, key, now, AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    signed = built.sign(key, hashes.SHA256())
    return Authority(certificate=_pem(signed), private_key=_key_pem(key), names=())


def _signed(
    authority: Authority, names: tuple[str, ...], rest: dict[str, str], now: datetime
) -> KeptTls:
    """Return a new certificate for some names, and the authority that signed it."""
    parent = x509.load_pem_x509_certificate(authority.certificate.encode())
    signer = _load_key(authority.private_key)
    assert isinstance(signer, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    by = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
    built = (
        _begun(_name(names[0]), parent.subject, key, now, CERTIFICATE_DAYS)
        .add_extension(x509.SubjectAlternativeName(list(map(_san, names))), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(by, critical=False)
    )
    certificate = _pem(built.sign(signer, hashes.SHA256()))
    shown = Tls(certificate=certificate, private_key=_key_pem(key), **rest)
    known = authority.model_copy(update={"names": names})
    return KeptTls(tls=shown, authority=known, ends=ends(certificate))


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + timedelta(days=days))
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> SecretStr:
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return SecretStr(pem.decode())


# -- what is wrong with a person's own -------------------------------------------------------------


def certificate_faults(wanted: TlsSettings, now: datetime) -> Iterator[Fault]:
    """Yield why a router cannot show a certificate, or check those of callers."""
    if wanted.certificate is not None and wanted.private_key is not None:
        chain = _chain(wanted.certificate)
        key = _load_key(wanted.private_key)
        if not chain:
            remedy = 'write what its file holds: "${file:server.pem}"'
            yield Fault("tls.certificate", "is not a certificate in PEM", remedy)
        if key is None:
            reason, remedy = _key_fault(wanted.private_key)
            yield Fault("tls.private_key", reason, remedy)
        if chain and key is not None:
            yield from _pair_faults(chain, key)
        yield from _chain_faults(chain, now)
    if wanted.client_ca is not None and not _chain(wanted.client_ca):
        remedy = 'write what their file holds: "${file:callers.pem}"'
        yield Fault("tls.client_ca", "is not a certificate in PEM", remedy)


def missing_name(wanted: TlsSettings, hosts: Iterable[str]) -> str:
    """Return the first of some hosts that a person's own certificate is not for; empty if none."""
    chain = _chain(wanted.certificate or "")
    return next((host for host in hosts if chain and not _is_for(chain[0], host)), "")


def _chain(pem: str) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        return ()


def _load_key(pem: SecretStr) -> PrivateKeyTypes | None:
    try:
        return serialization.load_pem_private_key(pem.get_secret_value().encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return None


def _key_fault(pem: SecretStr) -> tuple[str, str]:
    if "ENCRYPTED" in pem.get_secret_value():
        return "has a passphrase", "write it without one: `openssl pkey -in FILE`"
    return "is not a private key in PEM", 'write what its file holds: "${file:server.key}"'


def _pair_faults(chain: Sequence[x509.Certificate], key: PrivateKeyTypes) -> Iterator[Fault]:
    if key.public_key() == chain[0].public_key():
        return
    if any(key.public_key() == other.public_key() for other in chain[1:]):
        reason = "is of a later certificate of the chain"
        yield Fault("tls.private_key", reason, "put the router's own certificate first")
    else:
        reason = "does not belong to the certificate"
        yield Fault("tls.private_key", reason, "name the key that its request was made with")


def _chain_faults(chain: Sequence[x509.Certificate], now: datetime) -> Iterator[Fault]:
    for one in chain:
        named = one.subject.rfc4514_string()[:80] or "the certificate"
        if one.not_valid_after_utc <= now:
            reason = f"{named} ended on {one.not_valid_after_utc:%Y-%m-%d}"
            yield Fault("tls.certificate", reason, "renew it")
        elif one.not_valid_before_utc > now:
            reason = f"{named} begins on {one.not_valid_before_utc:%Y-%m-%d %H:%M} UTC"
            yield Fault("tls.certificate", reason, "wait until then, or name another one")
    for one, signer in itertools.pairwise(chain):
        if not _is_signed_by(one, signer):
            named = one.subject.rfc4514_string()[:80]
            reason = f"{named} is not signed by the certificate that follows it"
            yield Fault("tls.certificate", reason, "put each before the one that signed it")


def _is_signed_by(one: x509.Certificate, signer: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(signer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_for(certificate: x509.Certificate, host: str) -> bool:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    try:
        return ipaddress.ip_address(host) in found.get_values_for_type(x509.IPAddress)
    except ValueError:
        names = {name.lower() for name in found.get_values_for_type(x509.DNSName)}
        wild = f"*.{host.lower().partition('.')[2]}"
        return host.lower() in names or wild in names
