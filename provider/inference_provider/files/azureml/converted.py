"""What Azure ML YAML declares -> the text of a stack file."""

import re
from typing import Any

import yaml

from inference_provider.injection import ANY

_PLACEHOLDER = re.compile(rf"(?P<left>{ANY.pattern})|\$\{{")


def converted(value: dict[str, Any]) -> str:
    """Return the text; `${` is plain text in Azure ML YAML, and a placeholder in a stack file."""
    text: str = yaml.safe_dump(_plain(value), sort_keys=False, allow_unicode=True, width=100)
    return text


def _plain(value: Any) -> Any:
    """Return a copy, in which nothing is shared: YAML would write an alias."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, str):
        return _PLACEHOLDER.sub(lambda match: match.group() if match["left"] else "$${", value)
    return value
