"""The two keys of an endpoint, and the document in which they are kept."""

import json

from pydantic import SecretStr

from inference_provider.observed import Frozen

Keys = tuple[SecretStr, SecretStr]
"""Primary and secondary."""


class _Kept(Frozen):
    primary: SecretStr
    secondary: SecretStr


def keys_document(keys: Keys) -> str:
    """Return the document of both keys, in clear text."""
    primary, secondary = (key.get_secret_value() for key in keys)
    return json.dumps({"primary": primary, "secondary": secondary})


def keys_in(document: bytes) -> Keys:
    """Return the keys of a document. Raises ValueError: It does not hold both."""
    found = _Kept.model_validate_json(document)
    return found.primary, found.secondary
