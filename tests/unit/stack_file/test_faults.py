"""A stack file with faults -> every one, with its line, what is wrong and what to do."""

import pytest
from tests.stack_files import GOOD, faults

from inference_provider.errors import SpecError
from inference_provider.files import load_stack


def test_all_faults_come_at_once_each_with_its_line(folder):
    text = GOOD.replace("name: demo", "name: demo\nendpoint: []")
    text = text.replace("{blue: 100}", "{blue: 90}").replace("path: model", "path: nowhere")
    text = text.replace("code: src", "cod: src")
    assert faults(folder, text) == [
        "line 2: endpoint: unknown field 'endpoint'; did you mean 'endpoints'?",
        "line 6: models.0.path: no file or folder 'nowhere'; paths are relative to the stack file",
        "line 11: endpoints.0.traffic: the shares sum to 90; make them 100, or 0",
        "line 19: deployments.0.code_configuration.code: this field is missing; add it",
        "line 19: deployments.0.code_configuration.cod: unknown field 'cod'; did you mean 'code'?",
        "line 19: deployments.1.code_configuration.code: this field is missing; add it",
        "line 19: deployments.1.code_configuration.cod: unknown field 'cod'; did you mean 'code'?",
    ]


def test_rules_between_resources_are_checked_beside_other_faults(folder):
    text = GOOD.replace("sklearn:1", "torch:1") + "    instance_count: 51\n"
    assert faults(folder, text) == [
        "line 17: deployments.0.environment: no environment 'torch:1' in workspace 'lab';"
        " declare it under environments",
        "line 17: deployments.1.environment: no environment 'torch:1' in workspace 'lab';"
        " declare it under environments",
        "line 21: deployments.1.instance_count: above the limit of 50; lower it",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(
            "a: [1",
            "YAML: did not find expected ',' or ']'; fix the syntax at or just before this line",
            id="syntax",
        ),
        pytest.param(
            "\t- b",
            "YAML: found a tab character that violates indentation; indent with spaces",
            id="tab",
        ),
        pytest.param(
            "a: @b",
            "YAML: found character that cannot start any token; indent with spaces, not tabs; put a"
            " value that starts with @, % or ` in quotes",
            id="a sign that YAML keeps for itself",
        ),
        pytest.param(
            "name: again",
            "name: duplicate key, first on line 1; keep one of them",
            id="duplicate key",
        ),
        pytest.param(
            "endpoints: [{name: iris, tags: {since: 2024-13-45}}]",
            "endpoints.0.tags.since: YAML reads it as a date or a number, but it is not a valid"
            " one; put it in quotes",
            id="no date",
        ),
        pytest.param(
            "---\nname: two",
            "YAML: more than one document; keep one document per file",
            id="two documents",
        ),
        pytest.param(
            "models: [{name: iris, path: ''}]",
            "models.0.path: no file or folder ''; paths are relative to the stack file",
            id="empty path",
        ),
        pytest.param("models: iris", "models: not a list; start each item with `- `", id="list"),
        pytest.param(
            "endpoints: [{name: ab}]",
            "endpoints.0.name: shorter than 3 characters;"
            " use 3 to 32 letters, digits and single dashes, starting with a letter",
            id="short name",
        ),
        pytest.param(
            "endpoints: [{name: 1ab}]",
            "endpoints.0.name: not a valid name;"
            " use 3 to 32 letters, digits and single dashes, starting with a letter",
            id="leading digit",
        ),
        pytest.param(
            "models: [{name: iris, path: model, version: 1.10}]",
            "models.0.version: not text: YAML reads it as a number, a date, true or false;"
            " put it in quotes",
            id="number for text",
        ),
        pytest.param(
            "endpoints: [{name: iris, public_network_access: off}]",
            "endpoints.0.public_network_access: expected 'enabled' or 'disabled', got false;"
            " put it in quotes: without them YAML reads on, off, yes and no as true or false",
            id="yaml boolean",
        ),
        pytest.param(
            "endpoints: [{name: iris, kind: onlin}]",
            "endpoints.0.kind: not a known value; use 'online', 'batch' or 'serverless'",
            id="enum",
        ),
        pytest.param(
            "models: [{name: iris, path: model, content_hash: abc}]",
            "models.0.content_hash: content_hash is computed and cannot be set; remove it",
            id="content hash",
        ),
        pytest.param(
            "environments: [{name: env, requirements_file: none.txt}]",
            "environments.0.requirements_file: cannot read 'none.txt': No such file or"
            " directory; paths are relative to the stack file",
            id="requirements",
        ),
        pytest.param(
            "traffic: [{endpoint: nowhere}]",
            "traffic.0.endpoint: no endpoint 'nowhere' in workspace 'default';"
            " declare it under endpoints",
            id="cross rule",
        ),
        pytest.param(
            "endpoints: [{name: iris, description: '${env:NOT_THERE_1}'}]",
            "endpoints.0.description: environment variable NOT_THERE_1 is not set;"
            " set NOT_THERE_1, or write the value here",
            id="missing variable",
        ),
        pytest.param(
            "endpoints: [{name: iris, description: '${file:none}'}]",
            "endpoints.0.description: cannot read 'none': No such file or directory;"
            " name a text file, relative to the stack file",
            id="missing file",
        ),
        pytest.param(
            "endpoints: [{name: iris, description: '${HOME}'}]",
            "endpoints.0.description: '${HOME}' is not a placeholder;"
            " write ${env:NAME}, ${file:PATH} or ${vault:MOUNT/PATH#KEY}, or $${ for a plain ${",
            id="placeholder",
        ),
    ],
)
def test_a_fault_says_where_why_and_what_to_do(folder, line, expected):
    assert faults(folder, f"name: demo\n{line}\n")[-1].partition(": ")[2] == expected


@pytest.mark.parametrize("value", ["!!timestamp x", "!!bool x", "!!int x", "${file:\\0x}"])
def test_a_value_of_a_wrong_tag_or_path_is_a_fault_with_its_line(folder, value):
    [fault] = faults(
        folder,
        GOOD.replace(
            "name: lab",
            f'name: lab\n    description: "{value}"'
            if "$" in value
            else f"name: lab\n    description: {value}",
        ),
    )
    assert fault.startswith("line 4: workspaces.0.description: ")


def test_a_file_nested_too_deeply_is_a_fault(folder):
    text = "name: x\nendpoints: " + "[" * 3000 + "]" * 3000
    assert faults(folder, text) == [
        "line 2: YAML: nested too deeply: more than 100 levels; use fewer levels"
    ]


def test_an_alias_inside_itself_is_a_fault(folder):
    [fault] = faults(folder, "name: demo\nmodels: &a [*a]\n")
    assert "an alias refers to itself" in fault


def test_a_python_tag_is_never_constructed(folder):
    [fault] = faults(folder, "name: !!python/object/apply:os.getcwd []\n")
    assert fault.startswith("line 1: name: not text") or "could not determine" in fault


def test_a_missing_stack_file_is_a_fault(tmp_path):
    with pytest.raises(SpecError, match="No such file or directory; name a stack file"):
        load_stack(tmp_path / "stack.yaml")


def test_an_empty_file_is_a_fault(folder):
    assert faults(folder, "") == ["stack: the file is not a mapping; start with `name: <stack>`"]


def test_traffic_written_twice_names_the_endpoint(folder):
    text = GOOD + "traffic:\n  - {endpoint: iris-ep, traffic: {green: 100}}\n"
    assert faults(folder, text) == [
        "line 10: endpoints.0.traffic: 'lab/iris-ep' is already declared, as traffic.0;"
        " rename one of them",
    ]


def test_a_mirror_with_live_traffic_names_the_endpoint(folder):
    text = "name: s\nendpoints: [{name: iris, traffic: {blue: 100}, mirror_traffic: {blue: 5}}]\n"
    assert faults(folder, text) == [
        "line 2: endpoints.0: 'blue' has both live and mirrored traffic; remove one of them (the"
        " mirror is in mirror_traffic)",
    ]


def test_an_item_that_names_none_of_several_workspaces_is_told_their_names(folder):
    text = "name: s\nworkspaces: [{name: lab}, {name: prod}]\nendpoints: [{name: iris}]\n"
    assert faults(folder, text) == [
        "line 3: endpoints.0.workspace: this field is missing; write one of: lab, prod",
    ]


def test_bad_name_of_the_only_workspace_is_one_fault_and_not_one_an_item(folder):
    assert faults(folder, GOOD.replace("name: lab", "name: Bad_Name!")) == [
        "line 3: workspaces.0.name: not a valid name;"
        " use 3 to 32 letters, digits and single dashes, starting with a letter"
    ]


def test_bad_workspace_that_an_item_names_itself_is_a_fault_of_the_item(folder):
    text = GOOD.replace("{name: iris, path: model}", "{name: iris, path: model, workspace: a_b}")
    assert [fault.split(": ")[1] for fault in faults(folder, text)] == ["models.0.workspace"]


def test_wrong_ulimits_and_shared_memory_are_told_with_what_may_be_written(folder):
    limits = "{nofiles: 1, nofile: {soft: 9, hard: 5}, cpu: {soft: -1, hard: 5}, core: many}"
    text = GOOD + f"    resources: {{shm_size: 4 GB, ulimits: {limits}}}\n"
    names = "'core', 'cpu', 'data', 'fsize', 'locks', 'memlock', 'msgqueue', 'nice', 'nofile'"
    at = "line 21: deployments.1.resources"
    assert faults(folder, text) == [
        f"{at}.shm_size: not an amount of memory; write '512Mi' or '4Gi'",
        f"{at}.ulimits.nofiles: not a known value; use {names},"
        " 'nproc', 'rss', 'rtprio', 'rttime', 'sigpending' or 'stack'",
        f"{at}.ulimits.nofile: soft is 9, above hard 5; raise hard, or lower soft",
        f"{at}.ulimits.cpu: soft is unlimited, above hard 5; raise hard, or lower soft",
        f"{at}.ulimits.core.soft: not a whole number; write digits only",
        f"{at}.ulimits.core.hard: not a whole number; write digits only",
    ]


@pytest.mark.parametrize("written", ["0", "'0'", "0g", "0.0", "-1g", "-1"])
def test_no_shared_memory_is_told_what_leaving_it_out_gives(folder, written):
    text = GOOD + f"    resources: {{shm_size: {written}}}\n"
    assert faults(folder, text) == [
        "line 21: deployments.1.resources.shm_size: expected more than 0; leave it out for 2 GiB"
    ]


def test_an_amount_that_yaml_reads_as_a_number_is_told_to_be_put_in_quotes(folder):
    text = GOOD + "    resources: {shm_size: 1024, limits: {cpu: 2, memory: 0}}\n"
    at, reads = (
        "line 21: deployments.1.resources",
        "YAML reads it as a number, a date, true or false",
    )
    assert faults(folder, text) == [
        f"{at}.limits.cpu: not text: {reads}; put it in quotes",
        f"{at}.limits.memory: expected more than 0; leave it out for no limit",
        f"{at}.shm_size: not text: {reads}; put it in quotes",
    ]


@pytest.mark.parametrize(
    ("written", "place"),
    [
        ("keys: {primary: '${env:NOT_THERE_1}'}", "keys.primary"),
        ("key_rotations: {primary: '${env:NOT_THERE_1}'}", "key_rotations.primary"),
        ("auth_mode: '${env:NOT_THERE_1}'", "auth_mode"),
    ],
)
def test_a_value_that_cannot_be_read_has_no_other_fault(folder, written, place):
    text = GOOD.replace("  - name: iris-ep\n", f"  - name: iris-ep\n    {written}\n")
    assert faults(folder, text) == [
        f"line 10: endpoints.0.{place}: environment variable NOT_THERE_1 is not set;"
        " set NOT_THERE_1, or write the value here"
    ]


@pytest.mark.parametrize(
    ("workspace", "rest", "expected"),
    [
        pytest.param(
            "identity_provider: {issuer: nowhere}",
            "endpoints: [{name: iris, auth_mode: aad_token}]",
            ["identity_provider"],
            id="a provider",
        ),
        pytest.param(
            "identity_providr: {}",
            "endpoints: [{name: iris, auth_mode: aad_token}]",
            ["identity_providr"],
            id="a misspelled provider",
        ),
        pytest.param(
            "secret_store: {kind: env}",
            "connections: [{name: hub, stored_credentials: {key: OPENAI_KEY}}]",
            ["secret_store.kind"],
            id="a secret store",
        ),
        pytest.param(
            "roles: {Scorer: {}}",
            "role_assignments: [{name: ann, principal: ann, principal_type: user, role: Scorer}]",
            ["roles.Scorer.actions"],
            id="a role",
        ),
        pytest.param(
            "instance_types: {small: {cpu: many}}",
            "environments: [{name: one, image: one}]\n"
            "endpoints: [{name: iris}]\n"
            "deployments: [{endpoint: iris, name: blue, environment: one:1, instance_type: small}]",
            ["instance_types.small.cpu"],
            id="an instance type",
        ),
    ],
)
def test_what_follows_from_a_faulty_block_of_the_workspace_is_no_fault(
    folder, workspace, rest, expected
):
    text = f"name: demo\nworkspaces:\n  - name: lab\n    {workspace}\n{rest}\n"
    found = faults(folder, text)
    assert found
    assert all(one.startswith(f"line 4: workspaces.0.{expected[0]}") for one in found)


def test_what_follows_from_a_faulty_environment_connection_or_kind_is_no_fault(folder):
    text = """\
name: demo
connections: [{name: hub, category: ApiKey, targt: x, credentials: {key: '1234'}}]
environments: [{name: one, commnd: [serve]}]
endpoints: [{name: iris}, {name: rose, kind: btch}]
deployments:
  - {endpoint: iris, name: blue, environment: one:1,
     environment_variables: {A: '${{azureml://connections/hub/target}}'}}
  - {endpoint: rose, name: blue, environment: one:1, kind: batch}
"""
    assert [one.partition(": ")[2].partition(":")[0] for one in faults(folder, text)] == [
        "connections.0.targt",
        "environments.0.commnd",
        "endpoints.1.kind",
    ]
