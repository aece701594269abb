"""The authorities whose certificates this machine trusts, as a file that a router reads."""

from collections.abc import Iterator
from pathlib import Path

from inference_provider.errors import Fault
from inference_provider.spec import WorkspaceSpec

_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS
)


def ca_file() -> str:
    """Return the file of this machine's authorities; empty where there is none."""
    return next((path for path in _FILES if Path(path).is_file()), "")


def provider_faults(spec: WorkspaceSpec) -> Iterator[Fault]:
    """Yield why a router of this machine could not fetch the keys of a workspace's provider."""
    provider = spec.identity_provider
    uri = provider.jwks_uri if provider else None
    if uri and uri.startswith("https://") and not ca_file():
        reason = "this machine has no certificates of authorities, so that none could be checked"
        remedy = "install its package ca-certificates, or use jwks_file"
        yield Fault("identity_provider.jwks_uri", reason, remedy)
