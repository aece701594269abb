"""Every table in `router/in` renders to the files in `router/out`, byte for byte once indented.

The listener and the bootstrap depend on no endpoint: one of each stands for all tables, but for
those that let instances out. So do the limits, where no endpoint has any.
"""

import json
import pathlib

import pytest

from inference_provider.router import RouterTable, render

FOLDER = pathlib.Path(__file__).parent / "router"
NAMES = sorted(path.stem for path in (FOLDER / "in").glob("*.json"))
OF_ALL = ("bootstrap.json", "lds.json", "limits.json")
OWN = {"limits": ("limits.json",), "outbound": ("lds.json", "outbound.json")}
OF_ONE = ("cds.json", "ecds.json", "provider.json", "rds.json", "rtds.json")


def _rendered(name: str) -> dict[str, str]:
    """Return the files of one table by their golden path."""
    table = RouterTable.model_validate_json((FOLDER / "in" / f"{name}.json").read_text())
    found = render(table)
    texts = {path.rpartition("/")[2]: text for path, text in found.files.items()}
    texts["bootstrap.json"] = found.bootstrap
    return {
        key if key in OF_ALL and key not in OWN.get(name, ()) else f"{name}/{key}": json.dumps(
            json.loads(text), indent=1
        )
        + "\n"
        for key, text in texts.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_table_renders_to_its_golden_files(name: str, request: pytest.FixtureRequest):
    folder = FOLDER / "out"
    rendered = _rendered(name)
    if request.config.getoption("--update-golden"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for key, text in rendered.items():
            (folder / key).write_text(text)
    assert {key: (folder / key).read_text() for key in rendered} == rendered


def test_there_are_no_golden_files_without_a_table():
    found = {str(path.relative_to(FOLDER / "out")) for path in (FOLDER / "out").rglob("*.json")}
    assert found == {
        *OF_ALL,
        *(f"{name}/{key}" for name in NAMES for key in (*OF_ONE, *OWN.get(name, ()))),
    }
