"""The authorities whose certificates a router's machine trusts, as a file."""

from pathlib import Path

_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Ubuntu, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",  # Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",  # SUSE
    "/etc/ssl/cert.pem",  # Alpine, macOS
)


def ca_file() -> str:
    """Return the file of this machine's authorities; empty where there is none."""
    return next((path for path in _FILES if Path(path).is_file()), "")
