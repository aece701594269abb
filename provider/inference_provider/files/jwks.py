"""A file of public keys, a JSON Web Key Set -> the keys that can check tokens.

Private keys and shared secrets are refused: what is read is recorded, and shown to whoever asks.
"""

import base64
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from inference_provider.errors import Fault
from inference_provider.files.reading import RELATIVE, Unreadable, inside, read_text
from inference_provider.spec.identity_provider import IdentityProvider

_LIMIT_MIB = 1
_MOST_KEYS = 100
_LEAST_RSA_BITS = 2048
_PUBLIC: Mapping[str, tuple[str, ...]] = {
    "RSA": ("n", "e"),
    "EC": ("crv", "x", "y"),
    "OKP": ("crv", "x"),
}
"""Members of a public key that are kept, by its type; RFC 7518 and RFC 8037."""
_CURVES = {"EC": ("P-256", "P-384", "P-521"), "OKP": ("Ed25519",)}
_COORDINATE_BYTES = {"P-256": 32, "P-384": 48, "P-521": 66, "Ed25519": 32}
_ALGORITHMS = {
    *(f"{kind}{bits}" for kind in ("RS", "PS", "ES") for bits in (256, 384, 512)),
    "EdDSA",
}
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_FIELD = "identity_provider.jwks_file"
_SHAPE = 'expected a JSON Web Key Set: {"keys": […]}'
_GET_ONE = "save what the provider's jwks_uri answers"


def jwks_faults(provider: IdentityProvider, folder: Path) -> Iterator[Fault]:
    """Yield what is wrong with the file of keys that a provider names, if it names one."""
    if provider.jwks_file is None:
        return
    try:
        keys = _keys(folder, provider.jwks_file)
    except Unreadable as exc:
        yield exc.fault(_FIELD, RELATIVE)
        return
    for i, key in enumerate(keys):
        if fault := _fault(key):
            yield Fault(_FIELD, f"{_named(key, i)} {fault[0]}", fault[1])
    if not any(map(_signs, keys)):
        yield Fault(_FIELD, "no key in it signs tokens: nobody would be let in", _GET_ONE)


def with_keys(provider: IdentityProvider, folder: Path) -> IdentityProvider:
    """Return the provider with the keys that its file holds.

    Raises:
        Unreadable: There is no such file.
    """
    if provider.jwks_file is None:
        return provider
    keys = _keys(folder, provider.jwks_file)
    public: dict[str, str] = {}
    for i, key in enumerate(keys):
        if _signs(key):
            name = str(key.get("kid", ""))
            named = name if name and name not in public else f"{name}#{i + 1}"
            public[named] = json.dumps(_public(key), sort_keys=True)
    return provider.model_copy(update={"jwks": public})


def has_key(text: str) -> bool:
    """Whether a text is a JSON Web Key Set with a public key that checks tokens."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return False
    keys = found.get("keys") if isinstance(found, dict) else None
    return isinstance(keys, list) and any(_signs(key) and _is_whole(key) for key in keys)


def _is_whole(key: Mapping[str, Any]) -> bool:
    """Whether a public key has its members; without a library that a router's image lacks."""
    kind, curve = key.get("kty"), key.get("crv")
    if kind not in ("RSA", "EC", "OKP"):
        return False
    wanted = _COORDINATE_BYTES.get(curve) if isinstance(curve, str) else None
    members = [_bytes_of(key.get(name)) for name in _PUBLIC[kind] if name != "crv"]
    if kind == "RSA":
        return all(members)
    return curve in _CURVES[kind] and all(len(one) == wanted for one in members)


def _bytes_of(member: Any) -> bytes:
    if not isinstance(member, str):
        return b""
    try:
        return base64.b64decode(member + "=" * (-len(member) % 4), altchars=b"-_", validate=True)
    except ValueError:
        return b""


def _keys(folder: Path, name: str) -> list[Any]:
    text = read_text(inside(folder, name), name, _LIMIT_MIB)
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise Unreadable(f"'{name}' is not JSON", _GET_ONE) from None
    keys = found.get("keys") if isinstance(found, dict) else None
    if not isinstance(keys, list):
        raise Unreadable(f"'{name}' holds no keys; {_SHAPE}", _GET_ONE)
    if len(keys) > _MOST_KEYS:
        raise Unreadable(f"'{name}' holds {len(keys)} keys, the limit is {_MOST_KEYS}", _GET_ONE)
    return keys


def _signs(key: Any) -> bool:
    """Whether a key is there to check signatures; some providers list one to encrypt too."""
    if not isinstance(key, dict) or key.get("use", "sig") != "sig":
        return False
    algorithm = key.get("alg", "RS256")
    return not isinstance(algorithm, str) or algorithm in _ALGORITHMS


def _public(key: Mapping[str, Any]) -> dict[str, Any]:
    kept = (*_PUBLIC[key["kty"]], "kty", "kid", "alg", "use")
    return {name: key[name] for name in kept if name in key}


def _named(key: Any, i: int) -> str:
    kid = key.get("kid") if isinstance(key, dict) else None
    return f"key {kid!r}" if isinstance(kid, str) and kid.isprintable() else f"key {i + 1}"


def _fault(key: Any) -> tuple[str, str] | None:
    """Return what is wrong with one key, and what to do."""
    if not isinstance(key, dict):
        return "is not a JSON object", _GET_ONE
    if key.get("kty") == "oct":
        return "is a shared secret: who checks tokens with it can make them", "use a public key"
    if private := sorted(_PRIVATE & key.keys()):
        return f"has its private part ({', '.join(private)})", "keep only public keys in it"
    return _type_fault(key) if _signs(key) else None


def _type_fault(key: Mapping[str, Any]) -> tuple[str, str] | None:
    kind = key.get("kty")
    if not all(isinstance(key.get(name, ""), str) for name in ("kid", "alg")):
        return "has a kid or alg that is not a string", _GET_ONE
    if not isinstance(kind, str) or kind not in _PUBLIC:
        return f"is of type {kind!r}; expected {', '.join(_PUBLIC)}", _GET_ONE
    if kind in _CURVES and key.get("crv") not in _CURVES[kind]:
        expected = " or ".join(_CURVES[kind])
        return f"is of the curve {key.get('crv')!r}; expected {expected}", "use another key"
    return _loading_fault(key)


def _loading_fault(key: Mapping[str, Any]) -> tuple[str, str] | None:
    from jwt import PyJWK, PyJWTError  # noqa: PLC0415 - 40 ms, of commands that read no keys too

    try:
        bits = getattr(PyJWK(_public(key)).key, "key_size", _LEAST_RSA_BITS)
    except (PyJWTError, ValueError, TypeError, AttributeError):
        return "is no valid key", _GET_ONE
    if key["kty"] == "RSA" and bits < _LEAST_RSA_BITS:
        return f"has {bits} bits; expected {_LEAST_RSA_BITS} or more", "use a longer key"
    return None
