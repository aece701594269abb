"""Every pair of tables in `steps/in` gives the steps in `steps/out`.

An input holds `old` (may be null) and `new`; and where it matters `in_flight` (requests by
cluster), `now_s`, and `other_form`. An output holds what drains, with its last second, and the
steps in their order.
"""

import json
import pathlib
from typing import Any

import pytest

from inference_provider.router.steps import steps, with_draining
from inference_provider.router.table import RouterTable

FOLDER = pathlib.Path(__file__).parent / "steps"
NAMES = sorted(path.stem for path in (FOLDER / "in").glob("*.json"))


def _decided(case: dict[str, Any]) -> dict[str, Any]:
    old = RouterTable.model_validate(case["old"]) if case["old"] else None
    asked = RouterTable.model_validate(case["new"])
    new = with_draining(asked, old, case.get("in_flight", {}), case.get("now_s", 0))
    found = steps(old, new, other_form=case.get("other_form", False))
    return {
        "draining": {one.cluster: one.until_s for one in new.draining},
        "steps": [one.model_dump(mode="json") for one in found],
    }


@pytest.mark.parametrize("name", NAMES)
def test_two_tables_give_their_golden_steps(name: str, request: pytest.FixtureRequest):
    case = json.loads((FOLDER / "in" / f"{name}.json").read_text())
    text = json.dumps(_decided(case), indent=1) + "\n"
    path = FOLDER / "out" / f"{name}.json"
    if request.config.getoption("--update-golden"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.read_text() == text


def test_there_are_no_golden_steps_without_two_tables():
    found = {path.stem for path in (FOLDER / "out").glob("*")}
    assert found == set(NAMES)
