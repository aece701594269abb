"""What reaches the bucket of a URL: packages of fsspec, which no image has by itself. Pure.

Imports only the standard library: the program that uses a bucket says by this what it lacks.
"""

from collections.abc import Mapping

_S3, _GCS, _AZURE = "s3fs>=2025.2", "gcsfs>=2025.2", "adlfs>=2024.12"
KNOWN: Mapping[str, str] = {
    **dict.fromkeys(("s3", "s3a"), _S3),
    **dict.fromkeys(("gs", "gcs"), _GCS),
    **dict.fromkeys(("abfs", "abfss", "az"), _AZURE),
}
"""Requirement of what reaches a bucket, by the protocol of its URL."""
INSIDE = frozenset({"file", "local", "memory"})
"""Protocols of what is in the pod itself, and gone with it."""
READ_ONLY = frozenset({"http", "https", "data"})
"""Protocols of what cannot be written."""


def protocol_of(url: str) -> str:
    return url.partition("://")[0]


def needs_of(url: str | None) -> tuple[str, ...]:
    """Return the requirements of what reaches a bucket; none for none, or one that is not known."""
    found = KNOWN.get(protocol_of(url)) if url else None
    return (found,) if found else ()


def package_of(url: str) -> str:
    """Return the name of the package that reaches a bucket, `PACKAGE` where it is not known."""
    return (KNOWN.get(protocol_of(url)) or "PACKAGE").partition(">")[0]
