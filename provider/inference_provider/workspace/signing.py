"""The keys with which an endpoint's tokens are signed, as they are kept. Pure.

Two of them count: the newer one signs, and tokens of the older one stay valid until the next
rotation or until they expire. Who signs with them is `tokens.py`, which needs more than a router
has.
"""

import json
import re
from typing import Any

from pydantic import SecretStr, field_validator

from inference_provider.observed import Frozen

_COORDINATE = re.compile(r"[A-Za-z0-9_-]{43}")


class SigningKey(Frozen):
    """One pair of keys, of the curve P-256 (ES256)."""

    id: str
    """The `kid` of tokens that it signs."""
    private: SecretStr
    """PKCS 8, PEM."""
    public: dict[str, str]
    """A JSON Web Key, RFC 7517."""

    @field_validator("public")
    @classmethod
    def _is_of_its_curve(cls, public: dict[str, str]) -> dict[str, str]:
        # Envoy refuses the keys of all endpoints where those of one are none
        kind = public.get("kty"), public.get("crv")
        ends = (_COORDINATE.fullmatch(public.get(name, "")) for name in ("x", "y"))
        if kind != ("EC", "P-256") or not all(ends):
            raise ValueError("expected a public key of the curve P-256")
        return public


class SigningKeys(Frozen):
    """The keys of one endpoint."""

    newer: SigningKey
    older: SigningKey | None = None

    def rotated(self, fresh: SigningKey) -> "SigningKeys":
        """Return the keys after a rotation."""
        return SigningKeys(newer=fresh, older=self.newer)

    @property
    def jwks(self) -> str:
        """The public keys, as a JSON Web Key Set."""
        return json.dumps({"keys": [one.public for one in self._all]})

    @property
    def document(self) -> str:
        """The JSON text that is kept, with private keys in clear text."""
        known = ("newer", self.newer), ("older", self.older)
        return json.dumps({name: _in_clear(one) for name, one in known if one})

    @property
    def _all(self) -> tuple[SigningKey, ...]:
        return (self.newer, self.older) if self.older else (self.newer,)


def _in_clear(key: SigningKey) -> dict[str, Any]:
    return {"id": key.id, "private": key.private.get_secret_value(), "public": key.public}
