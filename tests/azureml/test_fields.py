"""docs/azureml.md says of every field what the code's table says."""

import re
from pathlib import Path

import pytest

from inference_provider.files.azureml.fields import KINDS, DocumentKind

DOCUMENT = Path(__file__).parents[2] / "docs/azureml.md"
TABLE = re.compile(r"<!-- fields: (\w+) -->\n.*?<!-- end -->", re.DOTALL)


def table_of(kind: DocumentKind) -> str:
    lines = ["| field | value | becomes |", "|---|---|---|"]
    for one in kind.fields:
        words = isinstance(one.values, tuple)
        values = ", ".join(f"`{word}`" for word in one.values) if words else one.values
        becomes = f"refused: {one.refused}" if one.refused else one.to
        lines.append(f"| `{one.path}` | {values} | {becomes} |")
    return "\n".join(lines) + "\n"


def test_every_field_stands_in_the_documentation(request: pytest.FixtureRequest):
    text = DOCUMENT.read_text(encoding="utf-8")
    fresh = TABLE.sub(
        lambda m: f"<!-- fields: {m[1]} -->\n{table_of(KINDS[m[1]])}<!-- end -->", text
    )
    if request.config.getoption("--update-golden"):
        DOCUMENT.write_text(fresh, encoding="utf-8")
        text = fresh
    assert text == fresh, "stale; run `pytest tests/azureml --update-golden`"
    assert [match[1] for match in TABLE.finditer(text)] == list(KINDS)


def test_every_field_is_either_mapped_or_refused():
    unsaid = [
        (name, one.path)
        for name, kind in KINDS.items()
        for one in kind.fields
        if bool(one.to) == bool(one.refused)
    ]
    assert unsaid == []
