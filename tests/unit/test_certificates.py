"""Certificates of a router: what is generated, when it is made again, and what is at fault."""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from inference_provider.spec.tls import TlsSettings
from inference_provider.workspace.certificates import certificate_faults, kept_for, missing_name
from inference_provider.workspace.kept_tls import KeptTls

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
GENERATED = TlsSettings(generate=True)


def made(before: KeptTls | None = None, now: datetime = NOW, **values: object) -> KeptTls:
    wanted = TlsSettings.model_validate({"generate": True, **values})
    return kept_for(wanted, before, "lab", ["10.0.0.7"], now)


def own(kept: KeptTls, **values: object) -> TlsSettings:
    key = kept.tls.private_key.get_secret_value()
    given = {"certificate": kept.tls.certificate, "private_key": key, **values}
    return TlsSettings.model_validate(given)


def faults(wanted: TlsSettings, now: datetime = NOW) -> list[str]:
    return [str(fault) for fault in certificate_faults(wanted, now)]


def test_a_generated_certificate_is_for_the_router_and_loopback_and_names():
    found = x509.load_pem_x509_certificate(made(names=["gpu-1", "::2"]).tls.certificate.encode())
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(one.value) for one in names] == [
        *("10.0.0.7", "localhost", "127.0.0.1", "::1", "gpu-1", "::2")
    ]
    assert found.not_valid_after_utc - NOW == timedelta(days=820)


def test_what_will_do_is_kept_as_it_is():
    kept = made()
    assert made(kept) is not kept
    assert made(kept) == kept
    assert made(kept, minimum_version="1.3").tls.certificate == kept.tls.certificate


@pytest.mark.parametrize(
    ("days", "is_kept"), [(0, True), (789, True), (791, False)], ids=["new", "old", "at its end"]
)
def test_a_certificate_is_made_again_in_its_last_days_by_the_same_authority(days, is_kept):
    kept = made()
    again = made(kept, NOW + timedelta(days=days))
    assert (again.tls.certificate == kept.tls.certificate) is is_kept
    assert again.trusted == kept.trusted


def test_an_authority_that_has_ended_is_made_again():
    kept = made()
    assert made(kept, NOW + timedelta(days=3651)).trusted != kept.trusted


def test_an_authority_signs_nothing_but_certificates_of_servers():
    kept = made()
    authority = x509.load_pem_x509_certificate(kept.trusted.encode())
    assert authority.extensions.get_extension_for_class(x509.BasicConstraints).value == (
        x509.BasicConstraints(ca=True, path_length=0)
    )
    leaf = x509.load_pem_x509_certificate(kept.tls.certificate.encode())
    leaf.verify_directly_issued_by(authority)


def test_a_certificate_of_one_s_own_with_its_key_has_no_fault():
    kept = made()
    chain = kept.tls.certificate + kept.trusted
    assert faults(own(kept, certificate=chain, client_ca=kept.trusted)) == []
    assert kept_for(own(kept), None, "lab", ["h"], NOW).trusted == ""


def test_everything_that_is_wrong_is_told_at_once_and_no_key_with_it():
    kept, other = made(), made()
    secret = other.tls.private_key.get_secret_value()
    encrypted = (
        serialization.load_pem_private_key(secret.encode(), None)
        .private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"word"),
        )
        .decode()
    )
    for wanted, now, said in [
        (
            own(kept, certificate="oops", private_key="no", client_ca="neither"),
            NOW,
            [
                "tls.certificate: is not a certificate in PEM; write what its file holds:"
                ' "${file:server.pem}"',
                "tls.private_key: is not a private key in PEM; write what its file holds:"
                ' "${file:server.key}"',
                "tls.client_ca: is not a certificate in PEM; write what their file holds:"
                ' "${file:callers.pem}"',
            ],
        ),
        (
            own(kept, private_key=secret),
            NOW,
            [
                "tls.private_key: does not belong to the certificate; name the key that its"
                " request was made with"
            ],
        ),
        (
            own(kept, private_key=encrypted),
            NOW,
            ["tls.private_key: has a passphrase; write it without one: `openssl pkey -in FILE`"],
        ),
        (
            own(kept, certificate=kept.trusted + kept.tls.certificate),
            NOW,
            [
                "tls.private_key: is of a later certificate of the chain; put the router's own"
                " certificate first",
                "tls.certificate: CN=lab (pulumi-inference) is not signed by the certificate that"
                " follows it; put each before the one that signed it",
            ],
        ),
        (
            own(kept),
            NOW + timedelta(days=821),
            ["tls.certificate: CN=10.0.0.7 ended on 2029-02-23; renew it"],
        ),
        (
            own(kept),
            NOW - timedelta(days=1),
            [
                "tls.certificate: CN=10.0.0.7 begins on 2026-11-26 11:00 UTC; wait until then, or"
                " name another one"
            ],
        ),
    ]:
        found = faults(wanted, now)
        assert found == said
        assert "".join(secret.splitlines()[1:-1])[10:40] not in str(found)


@pytest.mark.parametrize(
    ("host", "missing"),
    [("10.0.0.7", ""), ("LOCALHOST", ""), ("gpu.example.org", ""), ("10.0.0.8", "10.0.0.8")],
)
def test_the_host_that_a_certificate_is_not_for_is_named(host, missing):
    assert missing_name(own(made(names=["*.example.org"])), [host]) == missing


@pytest.mark.parametrize(
    ("days", "generated", "owned"),
    [
        (789, "", ""),
        (791, "its certificate ends on 2029-02-23", ""),
        (821, "its certificate ended on 2029-02-23", "its certificate ended on 2029-02-23"),
    ],
)
def test_a_certificate_tells_its_end_as_soon_as_somebody_can_do_something(days, generated, owned):
    kept, now = made(), NOW + timedelta(days=days)
    assert kept.fault(now) == generated
    assert kept_for(own(kept), None, "lab", ["h"], NOW).fault(now) == owned


def test_a_document_round_trips_with_its_keys():
    kept = made(client_ca="x")
    assert KeptTls.model_validate_json(kept.document) == kept
    assert "PRIVATE KEY" not in kept.model_dump_json()
