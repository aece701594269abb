"""The drift report as SARIF 2.1.0, at the lines of what is declared."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from inference_provider import __version__

STACK = """\
name: demo
workspaces:
  - {name: default, target: memory}
environments:
  - name: plain
    command: [python, -m, http.server, "{port}"]
    inference_config:
      liveness_route: {path: /, port: 8080}
      readiness_route: {path: /, port: 8080}
      scoring_route: {path: /, port: 8080}
endpoints:
  - name: iris
    auth_mode: key
    traffic:
      blue: 100
deployments:
  - &blue
    endpoint: iris
    name: blue
    environment: plain:1
    request_settings:
      request_timeout_ms: 9000
  - <<: *blue
    name: green
"""
LATER = (datetime.now(UTC) + timedelta(days=9)).date().isoformat()


@pytest.fixture
def changed(cli):
    """Something of each class differs: applied as STACK says with other values."""
    cli.file.write_text(
        STACK.replace("blue: 100", "blue: 90\n      green: 10")
        .replace("auth_mode: key", "auth_mode: key\n    allowed_source_ranges: [10.0.0.0/8]")
        .replace("request_timeout_ms: 9000", "request_timeout_ms: 8000")
        + "  - <<: *blue\n    name: old\n"
    )
    result = cli("up")
    assert result.exit_code == 0, result.output
    cli.file.write_text(STACK.replace("- <<: *blue\n    name: green", "- <<: *blue\n    name: red"))
    return cli


def results(cli, *words) -> list[dict]:
    return json.loads(cli("drift", "--format", "sarif", *words).stdout)["runs"][0]["results"]


def told(one) -> tuple:
    (location,) = one["locations"]
    place = location["physicalLocation"]
    return (
        one["ruleId"],
        one["level"],
        place["artifactLocation"]["uri"],
        place["region"]["startLine"],
        location["logicalLocations"][0]["fullyQualifiedName"],
    )


def test_each_finding_has_its_rule_its_level_and_the_line_that_declares_it(changed):
    blue = "Deployment/default/iris/blue"
    assert [told(one) for one in results(changed)] == [
        ("drift/security", "error", "stack.yaml", 12,
         "Endpoint/default/iris allowed_source_ranges"),
        ("drift/capacity", "warning", "stack.yaml", 22,
         f"{blue} request_settings.request_timeout_ms"),
        ("drift/missing", "error", "stack.yaml", 23, "Deployment/default/iris/red"),
        ("drift/capacity", "warning", "stack.yaml", 15, "Traffic/default/iris traffic.blue"),
        ("drift/capacity", "warning", "stack.yaml", 14, "Traffic/default/iris traffic.green"),
        ("drift/unmanaged", "warning", "stack.yaml", 1, "Deployment/default/iris/green"),
        ("drift/unmanaged", "warning", "stack.yaml", 1, "Deployment/default/iris/old"),
    ]  # fmt: skip


def test_a_result_is_the_same_after_its_line_moved_and_its_value_changed(changed):
    before = {told(one)[4]: one["partialFingerprints"] for one in results(changed)}
    changed.file.write_text("# moved\n" + changed.file.read_text().replace("9000", "9500"))
    after = {told(one)[4]: one["partialFingerprints"] for one in results(changed)}
    assert after == before
    prints = [one["inferctlDrift/v1"] for one in before.values()]
    assert len(set(prints)) == len(prints) == 7
    known_by = "21468c94d87779ad7d3d53252b8cac03bf37580ce5b347bb90cf615f285de93c"
    assert before["Traffic/default/iris traffic.blue"] == {
        "inferctlDrift/v1": known_by,
        "primaryLocationLineHash": known_by,
    }


def test_the_whole_document_of_one_waived_finding(cli):
    cli("up")
    cli("split", "iris", "blue=0")
    (cli.file.parent / "drift-waivers.yaml").write_text(
        "waivers: [{address: Traffic/default/iris, field: traffic, owner: ana, reason: maintenance,"
        f" expires: {LATER}}}, {{address: Model/default/m:1, owner: ben, reason: x,"
        f" expires: {LATER}}}]\n"
    )
    cli("drift", "--history", "seen.json")
    result = cli("drift", "--format", "sarif", "--history", "seen.json")
    assert result.exit_code == 0
    document = json.loads(result.stdout)
    (run,) = document.pop("runs")
    assert document == {
        "$schema": "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/"
        "sarif-schema-2.1.0.json",
        "version": "2.1.0",
    }
    rules = run["tool"]["driver"].pop("rules")
    assert [rule["id"] for rule in rules] == [
        "drift/identity", "drift/security", "drift/capacity", "drift/cosmetic",
        "drift/not-running", "drift/missing", "drift/unmanaged", "drift/unreadable",
    ]  # fmt: skip
    (found,) = run.pop("results")
    message = found.pop("message")["text"]
    assert message.startswith(
        "Traffic 'default/iris' traffic.blue: declared 100 | recorded 0 | live 0"
        "  [capacity, live]; not yet applied; recorded by "
    )
    provenance = found.pop("provenance")
    assert provenance["firstDetectionTimeUtc"] <= provenance["lastDetectionTimeUtc"]
    assert provenance["lastDetectionTimeUtc"].endswith("Z")
    assert len(found.pop("partialFingerprints")["inferctlDrift/v1"]) == 64
    assert found == {
        "ruleId": "drift/capacity",
        "ruleIndex": 2,
        "level": "warning",
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": "stack.yaml"},
                    "region": {"startLine": 15},
                },
                "logicalLocations": [
                    {"fullyQualifiedName": "Traffic/default/iris traffic.blue", "kind": "resource"}
                ],
            }
        ],
        "suppressions": [
            {
                "kind": "external",
                "status": "accepted",
                "justification": f"waived by ana until {LATER}: maintenance",
            }
        ],
        "properties": {"timesSeen": 2},
    }
    assert run == {
        "tool": {"driver": {"name": "inferctl drift", "version": __version__}},
        "automationDetails": {"id": "inferctl-drift/demo/"},
        "invocations": [
            {
                "executionSuccessful": True,
                "exitCode": 0,
                "toolExecutionNotifications": [
                    {
                        "level": "note",
                        "message": {
                            "text": "the waiver of Model/default/m:1 by ben matches nothing,"
                            " there is no such resource in stack 'demo': remove it unless"
                            " another stack has one"
                        },
                    }
                ],
            }
        ],
        "properties": {
            "verdict": "demo: 0 drifted, 0 missing, 0 unmanaged, 5 clean, 0 unreadable, 1 waived"
        },
    }


def test_what_is_clean_has_no_results(cli):
    cli("up")
    assert results(cli) == []


def test_a_file_is_named_from_the_root_of_the_repository_as_a_uri(cli, monkeypatch):
    below, away = cli.file.parent / "a team" / "iris", cli.file.parent / "away"
    below.mkdir(parents=True)
    away.mkdir()
    cli.file.rename(below / "stack.yaml")
    monkeypatch.chdir(away)
    (first, *_) = results(cli, "../a team/iris/stack.yaml")
    assert told(first)[2] == "../a%20team/iris/stack.yaml"
    (cli.file.parent / ".git").mkdir()
    for folder, name in ((away, "../a team/iris/stack.yaml"), (below, "stack.yaml")):
        monkeypatch.chdir(folder)
        (first, *_) = results(cli, name)
        assert told(first)[2] == "a%20team/iris/stack.yaml"
