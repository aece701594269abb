"""inferctl drift on what `pulumi stack export` prints."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.memory import state_of

from inference_provider.desired import resolve
from inference_provider.files import load_stack
from inference_provider.handlers.fields import inputs_of
from inference_provider.observed import Claim, Kind, ResourceId

SIGNATURE, SECRET = "4dabf18193072939515e22adb298388d", "1b47061264138c4ac30d75fd1eb44270"
TYPE = "pulumi-python:dynamic/inference:"
BLUE, GREEN = "Deployment/default/iris/blue", "Deployment/default/iris/green"


def entry(resource) -> dict:
    """Return a resource as a state has it after `pulumi up`."""
    place = {} if resource.id.kind == Kind.WORKSPACE else {"place": "memory"}
    return {
        "urn": f"urn:pulumi:dev::shop::{TYPE}{resource.id.kind}::{resource.id.name}",
        "custom": True,
        "id": resource.id.address,
        "type": f"{TYPE}{resource.id.kind}",
        "inputs": {
            **inputs_of(resource.spec), "__provider": "gASV", "stack": "demo", **place,
        },
        "stackTrace": [
            {"sourcePosition": "project:///../site-packages/pulumi_inference/base.py#118"},
            {"sourcePosition": "project:///shop/models.py#27"},
            {"sourcePosition": "project:///__main__.py#4"},
        ],
    }  # fmt: skip


class State:
    """The exported state of a program that declares what the stack file does."""

    def __init__(self, cli) -> None:
        self.cli = cli
        self.file = cli.file.parent / "state.json"
        self.value: dict[str, Any] = {
            "version": 3,
            "deployment": {
                "manifest": {},
                "resources": [
                    {"urn": "urn:pulumi:dev::shop::pulumi:pulumi:Stack::shop-dev",
                     "type": "pulumi:pulumi:Stack"},
                    *map(entry, resolve(load_stack(cli.file))),
                ],
            },
        }  # fmt: skip

    @property
    def resources(self) -> list[dict]:
        return self.value["deployment"]["resources"]

    def of(self, address: str) -> dict:
        return next(one for one in self.resources if one.get("id") == address)

    def drift(self, *words):
        self.file.write_text(json.dumps(self.value))
        return self.cli("drift", self.file, *words)


@pytest.fixture
def state(cli):
    assert cli("up").exit_code == 0
    return State(cli)


def test_a_state_of_what_runs_is_clean(state):
    result = state.drift()
    assert result.stdout == "demo: 0 drifted, 0 missing, 0 unmanaged, 6 clean, 0 unreadable\n"
    assert result.exit_code == 0


def test_what_differs_from_a_state_is_told_with_who_changed_it(state):
    state.cli("split", "iris", "blue=90", "green=10")
    result = state.drift()
    assert result.exit_code == 2
    assert "drifted: Traffic 'default/iris'" in result.stdout
    assert "traffic.green: declared 0 | recorded 10 | live 10" in result.stdout
    assert "(inferctl split) at 20" in result.stdout


def test_what_the_program_declares_no_more_is_unmanaged_and_what_it_reads_is_not_declared(state):
    state.resources.remove(state.of(GREEN))
    state.resources.append({**state.of("Endpoint/default/iris"), "external": True})
    state.resources.append({**state.of(BLUE), "delete": True})
    result = state.drift()
    assert result.stdout.splitlines()[0].startswith("demo: 0 drifted, 0 missing, 1 unmanaged, 5")
    assert "unmanaged: Deployment 'default/iris/green'" in result.stdout


def test_a_reference_to_the_latest_version_is_resolved(state):
    state.of(BLUE)["inputs"]["environment"] = "plain@latest"
    assert state.drift().exit_code == 0


@pytest.mark.parametrize(("shown", "drifted"), [("hunter2", 0), ("hunter3", 2)])
def test_a_secret_that_is_exported_in_clear_is_compared_and_never_shown(state, shown, drifted):
    variables = {SIGNATURE: SECRET, "plaintext": json.dumps({"PASSWORD": shown})}
    state.of(BLUE)["inputs"]["environment_variables"] = variables
    result = state.drift()
    assert result.exit_code == drifted
    assert "hunter" not in result.output


def test_an_encrypted_field_is_not_compared_and_that_is_told(state):
    inputs = state.of(BLUE)["inputs"]
    inputs["environment_variables"] = {SIGNATURE: SECRET, "ciphertext": "v1:abc"}
    inputs["instance_count"] = 3.0
    result = state.drift()
    assert result.exit_code == 2
    assert "instance_count: declared 3 | recorded 1 | live 1" in result.stdout
    assert "environment_variables:" not in result.stdout
    assert result.stdout.splitlines()[-1] == (
        "note: not compared, encrypted in the state: Deployment/default/iris/blue"
        " environment_variables; export with --show-secrets"
    )


def test_a_required_field_that_is_encrypted_keeps_no_state_from_a_review(cli):
    stored = (
        "{name: store, category: ApiKey, target: 'https://x.test', credentials: {key: abcdefgh}}"
    )
    cli.file.write_text(cli.STACK.replace("endpoints:", f"connections: [{stored}]\nendpoints:"))
    assert cli("up").exit_code == 0
    state, encrypted = State(cli), {SIGNATURE: SECRET, "ciphertext": "v1:abc"}
    state.of("Connection/default/store")["inputs"]["credentials"] = encrypted
    state.of("Endpoint/default/iris")["inputs"]["keys"] = encrypted
    state.of("Traffic/default/iris")["inputs"]["placeholders"] = encrypted
    result = state.drift()
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == (
        "note: not compared, encrypted in the state: Connection/default/store credentials,"
        " Endpoint/default/iris keys; export with --show-secrets"
    )


def test_owners_of_one_state_are_reviewed_each_with_its_own(state):
    """What one owner declares is not unmanaged by the other."""
    state.of(GREEN)["inputs"]["stack"] = "other"
    result = state.drift("--json")
    found = json.loads(result.stdout)
    assert found["stack"] == "demo, other"
    verdicts = {one["address"]: one["verdict"] for one in found["resources"]}
    assert {name for name, verdict in verdicts.items() if verdict != "clean"} == {GREEN}
    assert len(verdicts) == 6


@pytest.mark.parametrize("other", ["another", "zebra"])
def test_what_another_owner_of_the_state_declares_is_not_unmanaged(state, other):
    """The other's review says it is owned by `demo`; whichever of them comes first."""
    state.of(GREEN)["inputs"]["stack"] = other
    found = json.loads(state.drift("--json").stdout)["resources"]
    assert [one["verdict"] for one in found if one["address"] == GREEN] == ["drifted"]


def test_a_state_of_two_places_that_share_an_address_is_refused_and_names_both(state):
    """One of the two verdicts would hide the other."""
    state.cli("split", "iris", "blue=90", "green=10")
    host = {"kind": "docker", "host": "tcp://10.0.0.7:2376"}
    for one in [one for one in state.resources if "inputs" in one]:
        key = "target" if one["type"].endswith("Workspace") else "place"
        state.resources.append({**one, "inputs": {**one["inputs"], key: host}})
    result = state.drift()
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[1:] == [
        "  workspace 'default' is on memory and on docker tcp://10.0.0.7:2376, and both have"
        " Workspace 'default'; a review knows each thing by its address; give one of the two"
        " workspaces another name, or declare it by another project"
    ]


def test_operations_that_were_cut_off_are_a_note(state):
    state.value["deployment"]["pending_operations"] = [{"type": "creating", "resource": {}}]
    result = state.drift()
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == (
        "note: the state has 1 pending operations of an update that was cut off, and may lack what"
        " they did; run `pulumi up --refresh`, then export again"
    )


def test_an_owners_label_stays_on_its_line_in_every_format(state):
    for one in state.resources[1:]:
        one["inputs"]["stack"] = "de\nmo\x01"
    assert state.drift().stdout.startswith("de\\nmo\\x01: 5 drifted")
    ElementTree.fromstring(state.drift("--format", "junit").stdout)
    assert state.drift("--format", "markdown").stdout.startswith("# Drift of `de\\nmo\\x01`\n")
    (run,) = json.loads(state.drift("--format", "sarif").stdout)["runs"]
    assert run["automationDetails"] == {"id": "inferctl-drift/de\\nmo\\x01/"}


def test_a_stack_file_may_be_json_too(state):
    file = state.cli.file.parent / "stack.json"
    file.write_text(json.dumps({"name": "demo", "workspaces": [{"name": "default"}]}))
    assert "5 unmanaged" in state.cli("drift", file).stdout


def newer_form(value):
    value["version"] = 5


def newer_kind(value):
    value["deployment"]["resources"][1]["id"] = "Fleet/default/all"


def newer_field(value):
    value["deployment"]["resources"][1]["inputs"]["colour"] = "red"


def encrypted_label(value):
    label = {SIGNATURE: SECRET, "ciphertext": "v1:abc"}
    value["deployment"]["resources"][1]["inputs"]["stack"] = label


def none_of_ours(value):
    del value["deployment"]["resources"][1:]


def empty(value):
    value["deployment"]["resources"] = None


def checkpoint(value):
    value["checkpoint"] = value.pop("deployment")


def hidden_name(value):
    value["deployment"]["resources"][1]["inputs"]["name"] = {SIGNATURE: SECRET, "ciphertext": "v"}


def other_name(value):
    value["deployment"]["resources"][1]["inputs"]["name"] = "other"


def broken_secret(value):
    value["deployment"]["resources"][1]["inputs"]["tags"] = {SIGNATURE: SECRET, "plaintext": "{"}


def number_for_secret(value):
    value["deployment"]["resources"][1]["inputs"]["tags"] = {SIGNATURE: SECRET, "plaintext": 5}


def list_for_inputs(value):
    value["deployment"]["resources"][1]["inputs"] = ["a"]


def list_for_outputs(value):
    value["deployment"]["resources"][1]["outputs"] = ["a"]


def list_for_a_frame(value):
    value["deployment"]["resources"][1]["stackTrace"] = [["a"]]


def number_for_resources(value):
    value["deployment"]["resources"] = 5


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (hidden_name, "Workspace 'default' has a name that is encrypted; export with --show-secr"),
        (other_name, "Workspace 'default' has the inputs of 'other/other'; export the stack again"),
        (broken_secret, "it is no export of a Pulumi stack"),
        (number_for_secret, "it is no export of a Pulumi stack"),
        (list_for_inputs, "it is no export of a Pulumi stack"),
        (list_for_outputs, "it is no export of a Pulumi stack"),
        (list_for_a_frame, "it is no export of a Pulumi stack"),
        (number_for_resources, "it is no export of a Pulumi stack"),
        (newer_form, "it is of version 5, and this release reads 3; use a newer release"),
        (newer_kind, "'Fleet/default/all' is of a kind that this release does not know; review"),
        (newer_field, "Workspace 'default' has fields that this release does not know: colour;"),
        (encrypted_label, "has an owner's label that is encrypted; export with --show-secrets"),
        (none_of_ours, "the state has no resource of this provider; export the stack whose"),
        (empty, "the state has no resource of this provider"),
        (checkpoint, "it is no export of a Pulumi stack; `pulumi stack export > state.json`"),
    ],
)
def test_a_state_that_cannot_be_reviewed_is_one_sentence(state, change, said):
    change(state.value)
    result = state.drift()
    assert (result.exit_code, result.stdout) == (1, "")
    header, sentence = result.stderr.splitlines()
    assert header.endswith("state.json has 1 fault:")
    assert said in sentence


@pytest.mark.parametrize(
    ("content", "said"), [("{", "it is not JSON: "), ("[1]", "it is no export")]
)
def test_a_file_that_is_no_state_is_one_sentence(cli, content, said):
    file = cli.file.parent / "state.json"
    file.write_text(content)
    result = cli("drift", file)
    assert (result.exit_code, len(result.stderr.splitlines())) == (1, 2)
    assert said in result.stderr


def test_a_state_of_another_project_is_one_sentence(state):
    pulumi = state.file.parent / "Pulumi.yaml"
    pulumi.write_text("name: shop\nruntime: python\n")
    assert state.drift().exit_code == 0
    pulumi.write_text("name: store\nruntime: python\n")
    result = state.drift()
    assert result.exit_code == 1
    assert "the state is of project 'shop', and " in result.stderr
    assert "Pulumi.yaml is of 'store'" in result.stderr


@pytest.mark.parametrize(("known", "code"), [("b" * 16, 1), ("a" * 16, 0), ("", 0)])
def test_a_state_of_what_another_state_holds_is_one_sentence(state, known, code):
    """Two projects may use one label: the state then says nothing of what the other declares."""
    records = state_of(state.cli.target)
    record = records.record(ResourceId.parse("Endpoint/default/iris"))
    claim = Claim(
        holder="Pulumi stack 'prod' of project 'store'", entry="urn:x", incarnation="a" * 16
    )
    records.put_record(record.model_copy(update={"claim": claim}))
    if known:
        state.of("Endpoint/default/iris")["outputs"] = {"incarnation": known}
    result = state.drift()
    assert result.exit_code == code, result.output
    if code:
        assert result.stderr.splitlines()[1:] == [
            "  Endpoint 'default/iris' is held by Pulumi stack 'prod' of project 'store', and not"
            " by what is in this state; export the stack that holds it, or this one again"
        ]


def test_waivers_lie_beside_the_state(state):
    state.cli("split", "iris", "blue=90", "green=10")
    (state.file.parent / "drift-waivers.yaml").write_text(
        "waivers: [{address: Traffic/default/iris, field: traffic, owner: ana, reason: canary,"
        f" expires: {datetime.now(UTC).date() + timedelta(days=9)}}}]\n"
    )
    assert state.drift().exit_code == 0


def test_a_program_is_not_fixed_by_inferctl(state):
    result = state.drift("--fix", BLUE)
    assert result.exit_code == 1
    assert "--fix: a state is of a program, which `inferctl` cannot run; change" in result.stderr


def test_a_finding_of_a_program_is_at_the_line_of_the_program(state):
    state.cli("split", "iris", "blue=90", "green=10")
    document = json.loads(state.drift("--format", "sarif").stdout)
    (place, _) = (one["locations"][0]["physicalLocation"] for one in document["runs"][0]["results"])
    assert place["artifactLocation"] == {"uri": "shop/models.py"}
    assert place["region"] == {"startLine": 27}


def test_a_line_of_a_program_is_named_from_the_root_of_the_repository(state):
    folder = state.file.parent / "infra"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text("name: shop\nruntime: python\n")
    (state.file.parent / ".git").mkdir()
    state.file = folder / "state.json"
    state.cli("split", "iris", "blue=90", "green=10")
    document = json.loads(state.drift("--format", "sarif").stdout)
    (place, _) = (one["locations"][0]["physicalLocation"] for one in document["runs"][0]["results"])
    assert place["artifactLocation"] == {"uri": "infra/shop/models.py"}


def test_a_history_of_a_program_outlives_a_new_owners_label(state):
    state.drift("--history", "seen.json")
    state.of(GREEN)["inputs"]["stack"] = "other"
    assert state.drift("--history", "seen.json").exit_code == 2
    assert json.loads((state.cli.file.parent / "seen.json").read_text())["stack"] == "shop/dev"
