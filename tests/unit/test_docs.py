"""The documents say what the models say; `--update-golden` writes the tables anew."""

import re
from enum import Enum
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import pytest
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from inference_provider.files.schema import field_docs
from inference_provider.spec.base import COMPUTED
from inference_provider.spec.fields import field_roles, marked, models_in, models_under
from inference_provider.spec.kinds import LISTED

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "stack-file.md"
TABLE = re.compile(r"<!-- fields: (\w+) -->\n(.*?)<!-- end -->", re.DOTALL)


TOP = [model for row in LISTED.values() for model in row.models]
MODELS = {name: inner for model in TOP for name, inner in models_under(model).items()}


def wording(annotation: Any) -> str:  # noqa: PLR0911  one a form of annotation
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        return " or ".join(wording(part) for part in parts if part is not type(None))
    if origin is Literal:
        return ", ".join(f"`{part}`" for part in parts)
    if origin is dict:
        return f"map to {wording(parts[1])}"
    if origin is tuple:
        return f"list of {wording(parts[0])}"
    if hasattr(annotation, "__metadata__"):
        return wording(parts[0]) + limits(annotation.__metadata__)
    if annotation is SecretStr:
        return "text (secret)"
    if models_in(annotation):
        return f"[{annotation.__name__}](#{annotation.__name__.lower()})"
    names = {"Any": "anything", "str": "text", "int": "integer", "float": "number"}
    return {**names, "bool": "true or false"}[annotation.__name__]


def limits(metadata: Any) -> str:
    """Write `ge`, `le` and lengths; a pattern is what the text above the tables says."""
    pieces = []
    for item in [part for m in metadata for part in getattr(m, "metadata", [m])]:
        for name, sign in (("ge", "≥ "), ("le", "≤ ")):
            if (value := getattr(item, name, None)) is not None:
                pieces.append(f"{sign}{value}")
    return f", {', '.join(pieces)}" if pieces else ""


def default_of(info: FieldInfo) -> str:
    value = info.default
    if value is PydanticUndefined:
        return "**required**"
    if isinstance(value, BaseModel):
        return "its defaults"
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, bool):
        value = str(value).lower()
    if value and isinstance(value, tuple):
        return ", ".join(f"`{one}`" for one in value)
    return "none" if value in (None, "", (), {}) else f"`{value}`"


def table_of(name: str) -> str:
    model = MODELS[name]
    top = model in TOP
    roles = field_roles(model) if top else {}
    lines = ["| field | value | default | a change is | what it is |" if top else
             "| field | value | default | what it is |",
             "|---|---|---|---|---|" if top else "|---|---|---|---|"]  # fmt: skip
    for field, info in model.model_fields.items():
        if field in marked(model, COMPUTED):
            continue
        about = " ".join(field_docs(model).get(field, "").split()).replace("|", "\\|")
        value = wording(info.annotation) + limits(info.metadata)
        change = [roles[field].change.value] if top else []
        lines.append("| " + " | ".join([f"`{field}`", value, default_of(info), *change, about]))
        lines[-1] = lines[-1].rstrip() + " |"
    return "\n".join(lines) + "\n"


def test_every_field_stands_in_the_reference_as_its_model_has_it(request: pytest.FixtureRequest):
    text = DOCUMENT.read_text(encoding="utf-8")
    fresh = TABLE.sub(lambda m: f"<!-- fields: {m[1]} -->\n{table_of(m[1])}<!-- end -->", text)
    if request.config.getoption("--update-golden"):
        DOCUMENT.write_text(fresh, encoding="utf-8")
        text = fresh
    assert text == fresh, "stale; run `pytest tests/unit/test_docs.py --update-golden`"


def test_every_model_has_its_table():
    named = [match[1] for match in TABLE.finditer(DOCUMENT.read_text(encoding="utf-8"))]
    assert sorted(named) == sorted(MODELS)


def test_every_top_level_list_has_its_section():
    headings = re.findall(r"^### `(\w+)`", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    assert headings == list(LISTED)


@pytest.mark.parametrize(
    "document",
    [pytest.param(path, id=path.name) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"))],
)
def test_every_relative_link_leads_to_a_file(document: Path):
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


@pytest.mark.parametrize(
    "document",
    [pytest.param(path, id=path.name) for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"))],
)
def test_every_module_that_is_named_exists(document: Path):
    text = document.read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", text))
    places = (ROOT, ROOT / "provider" / "inference_provider", ROOT / "sdk")
    assert [n for n in sorted(named) if not any((p / n).exists() for p in places)] == []
