"""A drift review of real servers: what a person changed is told, then adopted or fixed."""

import json
import subprocess

import pytest

from tests.local.test_cli import Shell, inferctl

__all__ = ["inferctl"]
pytestmark = pytest.mark.local


def findings(shell: Shell) -> list[tuple[str, str, str]]:
    """Return address, field and who of each finding; the field is empty for a resource."""
    resources = json.loads(shell("drift", "--json", code=2))["resources"]
    return [
        (one["address"], field["path"] if field else "", (field or one)["actor"])
        for one in resources
        if one["verdict"] != "clean"
        for field in one["fields"] or [None]
    ]


def test_what_a_person_changed_is_told_once_then_adopted_or_fixed_while_it_serves(inferctl):
    inferctl("up")
    file = inferctl.folder / "stack.yaml"
    declared = file.read_text()
    file.write_text(
        declared.replace("[{name: iris}]", "[{name: iris, tags: {team: ml}}, {name: rose}]")
        .replace("code: blue}}", "code: blue}, instance_count: 2}")
        .replace("{blue: 100, green: 0}", "{blue: 100}")
    )
    inferctl("up")
    inferctl("split", "iris", "blue=60", "green=40")
    file.write_text(declared)

    found = [(address, field, who.split("(")[-1]) for address, field, who in findings(inferctl)]
    assert found == [
        ("Endpoint/lab/iris", "tags.team", "inferctl up)"),
        ("Deployment/lab/iris/blue", "instance_count", "inferctl up)"),
        ("Traffic/lab/iris", "traffic.blue", "inferctl split)"),
        ("Traffic/lab/iris", "traffic.green", "inferctl split)"),
        ("Endpoint/lab/rose", "", "inferctl up)"),
    ]

    patch, told = inferctl.both("drift", "--adopt", "Traffic/lab/iris")
    assert told == ""
    subprocess.run(
        ["git", "apply", "-"], input=patch, text=True, cwd=inferctl.folder, check=True, timeout=60
    )
    chosen = ("Endpoint/lab/iris", "Deployment/lab/iris/blue", "Endpoint/lab/rose")
    fixed = inferctl("drift", "-y", *(f"--fix={one}" for one in chosen))
    assert fixed == "clitest: 0 drifted, 0 missing, 0 unmanaged, 6 clean, 0 unreadable\n"
    assert inferctl("plan") == "no changes; 6 unchanged\n"
    pinned = inferctl("score", "iris", "--deployment", "green", said="{}")
    assert json.loads(pinned)["answer"] == "green"
