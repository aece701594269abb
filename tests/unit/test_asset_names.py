"""Names of models and environments become folders, images, labels and variables."""

import pytest
from pydantic import ValidationError

from inference_provider.spec import EnvironmentSpec, ModelSpec

HOSTILE = (
    *("", ".", "..", "../iris", "a/../b", "/etc/passwd", "a\\b", "-rf", ".iris", "%2e%2e"),
    *("a b", "a\n", "a\0b", "a;id", "$(id)", "`id`", "a&b", "a'b", "{port}", "<b>", "a:b", "a@b"),
    *("iris\u202e", "\u0456ris", "a" * 256),
)


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("field", ["name", "version"])
@pytest.mark.parametrize("kind", [ModelSpec, EnvironmentSpec])
def test_no_name_means_something_to_a_path_or_a_shell(kind, field, name):
    given: dict[str, object] = {"name": "iris", "version": "1"}
    given |= {"path": "w.bin"} if kind is ModelSpec else {"dependencies": ["six"]}
    kind.model_validate(given)
    with pytest.raises(ValidationError):
        kind.model_validate({**given, field: name})
