"""What a connection gives who reaches a bucket: variables of the store's own library. Pure.

Source of their names: botocore, adlfs and google-auth, which read them.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from inference_provider.injection import Contents

_CUSTOM = "CustomKeys"
_S3, _AZURE = ("S3",), ("AzureBlob", "ADLSGen2")
_FITTING: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("s3", "s3a"), _S3),
    **dict.fromkeys(("abfs", "abfss", "az"), _AZURE),
}
"""Categories of connections by the protocol of a URL; `CustomKeys` fits each."""
_S3_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
_NAMED = "AZURE_STORAGE_ACCOUNT_NAME"
_PRINCIPAL = tuple(f"AZURE_STORAGE_{one}" for one in ("CLIENT_ID", "CLIENT_SECRET", "TENANT_ID"))
_AZURE_WAYS = (
    ("AZURE_STORAGE_CONNECTION_STRING",),
    (_NAMED, "AZURE_STORAGE_ACCOUNT_KEY"),
    (_NAMED, "AZURE_STORAGE_SAS_TOKEN"),
    (_NAMED, *_PRINCIPAL),
)
_WAYS: Mapping[str, tuple[tuple[str, ...], ...]] = {
    **dict.fromkeys(("s3", "s3a"), (_S3_KEYS,)),
    **dict.fromkeys(("gs", "gcs"), (("GOOGLE_APPLICATION_CREDENTIALS",),)),
    **dict.fromkeys(("abfs", "abfss", "az"), _AZURE_WAYS),
}
"""Variables of which `CustomKeys` must have one row, unless it has options of fsspec."""
_OPTIONS = "FSSPEC_"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAMES: Mapping[str, str] = {
    "accessKeyId": _S3_KEYS[0],
    "secretAccessKey": _S3_KEYS[1],
    "key": "AZURE_STORAGE_ACCOUNT_KEY",
    "sas": "AZURE_STORAGE_SAS_TOKEN",
    **dict(zip(("clientId", "clientSecret", "tenantId"), _PRINCIPAL, strict=True)),
}
"""Variable of each credential of those categories."""
_ACCOUNT_HOST = re.compile(r"[a-z0-9]{3,24}\.(blob|dfs)\.core\.windows\.net")


def variables_of(contents: Contents) -> dict[str, str]:
    """Return the variables that a connection gives; one that fits no bucket may give anything."""
    category, credentials = contents["category"], contents["credentials"]
    metadata: Mapping[str, str] = contents["metadata"]
    if category == _CUSTOM:
        told = {name: value for name, value in metadata.items() if _VARIABLE.fullmatch(name)}
        return {**told, **credentials}
    found = {_NAMES[name]: value for name, value in credentials.items() if name in _NAMES}
    if category in _AZURE:
        return {_NAMED: _account(contents), **found}
    more = {"AWS_ENDPOINT_URL": contents["target"], "AWS_DEFAULT_REGION": _told(metadata, "region")}
    return {**{name: value for name, value in more.items() if value}, **found}


def bucket_fault(url: str, contents: Contents) -> tuple[str, str] | None:
    """Say why what a connection holds does not let anybody into a bucket, and what to do.

    Args:
        url: Of the bucket.
        contents: What the connection holds; values of credentials do not count.
    """
    protocol, category = url.partition("://")[0], contents["category"]
    fitting = (*_FITTING.get(protocol, ()), _CUSTOM)
    if category not in fitting:
        reason = f"connection '{contents['name']}' is of category {category}"
        return reason, f"{protocol}:// takes one of {' or '.join(fitting)}"
    fault = _custom_fault(protocol, contents) if category == _CUSTOM else _target_fault(contents)
    return (f"connection '{contents['name']}' {fault[0]}", fault[1]) if fault else None


def _custom_fault(protocol: str, contents: Contents) -> tuple[str, str] | None:
    names = [*contents["credentials"]]
    for name in names:
        if not _VARIABLE.fullmatch(name):
            reason = f"has a credential '{name}', which no variable can be named"
            return reason, "rename it"
    there = variables_of(contents)
    ways = _WAYS.get(protocol, ((),))
    has_options = any(name.startswith(_OPTIONS) for name in there)
    nearest = max(ways, key=lambda way: (there.keys() >= {*way}, len(there.keys() & {*way})))
    lacking = [one for one in nearest if one not in there]
    remedy = "a credential of CustomKeys is named as the variable that it is"
    if len(lacking) == 1 and not has_options:
        return f"has no credential {lacking[0]}", f"add it; {remedy}"
    if lacking and not has_options:
        return f"has no credentials {', '.join(lacking)}", f"add them; {remedy}"
    return None if names else ("has no credentials", f"add them; {remedy}")


def _target_fault(contents: Contents) -> tuple[str, str] | None:
    target = contents["target"]
    if contents["category"] in _AZURE:
        if not target and _account(contents):
            return None
        if _ACCOUNT_HOST.fullmatch(_host(target)):
            return None
        remedy = "write target: https://ACCOUNT.blob.core.windows.net"
        if not target:
            return "names no storage account", remedy
        other = f"for another host use {_CUSTOM} with {_AZURE_WAYS[0][0]}"
        return f"has target '{target}'", f"{remedy}; {other}"
    if target and not (target.startswith(("https://", "http://")) and _host(target)):
        remedy = "write the URL of the service, https://…, and nothing for AWS"
        return f"has target '{target}', which is not a URL", remedy
    return None


def _account(contents: Contents) -> str:
    """Return the storage account, which the host of its URL begins with."""
    return _host(contents["target"]).partition(".")[0] or _told(contents["metadata"], "accountname")


def _host(url: str) -> str:
    """Return the host of a URL; empty where it has none, or is no URL."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:  # a bracket without its other
        return ""


def _told(metadata: Mapping[str, str], asked: str) -> str:
    """Return what metadata say, by a name in small letters without `_`."""
    found = {name.lower().replace("_", ""): value for name, value in metadata.items()}
    return found.get(asked, "")
