"""stack.yaml in, spec or every fault with its line out."""

from pathlib import Path

import pytest

from inference_provider.errors import SpecError
from inference_provider.files import load_stack

GOOD = """\
name: demo
workspaces:
  - name: lab
models:
  - {name: iris, path: model}
environments:
  - {name: sklearn, dependencies: [six]}
endpoints:
  - name: iris-ep
    traffic: {blue: 100}
    mirror_traffic: {green: 10}
deployments:
  - &blue
    endpoint: iris-ep
    name: blue
    model: iris@latest
    environment: sklearn:1
    code_configuration: {code: src, scoring_script: score.py}
  - <<: *blue
    name: green
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "w.bin").write_bytes(b"1")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "score.py").write_text("def init(): ...\ndef run(data): return data\n")
    return tmp_path


def load(folder: Path, text: str):
    (folder / "stack.yaml").write_text(text)
    return load_stack(folder / "stack.yaml")


def faults(folder: Path, text: str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(folder, text)
    return [str(fault) for fault in caught.value.faults]


def test_traffic_on_an_endpoint_becomes_a_resource_of_its_own(folder):
    [traffic] = load(folder, GOOD).traffic
    assert traffic.model_dump() == {
        "workspace": "lab",
        "endpoint": "iris-ep",
        "traffic": {"blue": 100},
        "mirror_traffic": {"green": 10},
    }


def test_the_only_workspace_is_everybodys(folder):
    stack = load(folder, GOOD)
    everything = (*stack.models, *stack.environments, *stack.endpoints, *stack.deployments)
    assert {spec.workspace for spec in everything} == {"lab"}


def test_without_workspaces_there_is_one_called_default(folder):
    stack = load(folder, "name: demo\nendpoints:\n  - name: iris-ep\n")
    assert [workspace.name for workspace in stack.workspaces] == ["default"]
    assert stack.endpoints[0].workspace == "default"


def test_content_hashes_are_filled_in(folder):
    stack = load(folder, GOOD)
    hashes = [stack.models[0].content_hash, stack.environments[0].content_hash]
    hashes += [d.code_configuration.content_hash for d in stack.deployments]
    assert [len(found) for found in hashes] == [64, 64, 64, 64]


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
            " write ${env:NAME} or ${file:PATH}, or $${ for a plain ${",
            id="placeholder",
        ),
    ],
)
def test_a_fault_says_where_why_and_what_to_do(folder, line, expected):
    assert faults(folder, f"name: demo\n{line}\n")[-1].partition(": ")[2] == expected


@pytest.mark.parametrize("value", ["*hunter2", "!hunter2", "!a!hunter2", "!!bool hunter2"])
def test_a_password_that_yaml_takes_for_syntax_is_not_shown(folder, value):
    text = GOOD.replace("    name: blue\n", f"    name: blue\n    description: {value}\n", 1)
    [fault, *_] = faults(folder, text)
    assert "in quotes" in fault
    assert "hunter2" not in fault


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


@pytest.mark.parametrize("path", ["x" * 300, "a\\0b"])
def test_a_path_that_cannot_be_is_a_fault(folder, path):
    [fault, *_] = faults(folder, GOOD.replace("path: model", f'path: "{path}"'))
    assert fault.startswith("line 5: models.0.path: ")


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


def test_placeholders_are_filled_in(folder, monkeypatch):
    monkeypatch.setenv("STACK_TEST_VALUE", "from the environment")
    (folder / "note").write_text("from a file\n")
    variables = "{A: '${env:STACK_TEST_VALUE}', B: '<${file:note}>', C: '$${env:X}'}"
    stack = load(folder, GOOD + f"    environment_variables: {variables}\n")
    found = stack.deployments[1].environment_variables
    assert {name: value.get_secret_value() for name, value in found.items()} == {
        "A": "from the environment",
        "B": "<from a file>",
        "C": "${env:X}",
    }


def test_a_value_from_outside_is_never_shown_in_a_fault(folder, monkeypatch):
    monkeypatch.setenv("STACK_TEST_VALUE", "hunter2-hunter2")
    text = GOOD.replace("sklearn:1", "'${env:STACK_TEST_VALUE}:1'")
    found = faults(folder, text)
    assert "hunter2" not in "".join(found)
    assert "no environment '${env:STACK_TEST_VALUE}:1' in workspace 'lab'" in found[0]


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param(
            "def init(:\n", "'score.py' line 1 is not valid Python: invalid syntax", id="syntax"
        ),
        pytest.param("def init(): ...\n", "'score.py' defines no run()", id="no run"),
        pytest.param("x = 1\n", "'score.py' defines no init() and no run()", id="neither"),
        pytest.param(
            "class A:\n    def init(self): ...\n    def run(self): ...\n",
            "'score.py' defines no init() and no run()",
            id="methods only",
        ),
    ],
)
def test_a_scoring_script_that_cannot_work_is_a_fault(folder, script, reason):
    (folder / "src" / "score.py").write_text(script)
    found = faults(folder, GOOD)
    assert len(found) == 2
    assert f"deployments.0.code_configuration.scoring_script: {reason}" in found[0]


@pytest.mark.parametrize(
    "script",
    [
        "from lib import init, run\n",
        "from lib import *\n",
        "init = run = print\n",
        "try:\n    from fast import run\nexcept ImportError:\n    run = print\ndef init(): ...\n",
        "def init(): ...\nasync def run(data): ...\n",
    ],
)
def test_init_and_run_may_be_bound_in_any_way(folder, script):
    (folder / "src" / "score.py").write_text(script)
    assert load(folder, GOOD).name == "demo"


def test_missing_code_folder_and_script_are_faults(folder):
    missing = GOOD.replace("code: src", "code: gone")
    assert "code_configuration.code: no folder 'gone'" in faults(folder, missing)[0]
    missing = GOOD.replace("score.py", "gone.py")
    assert "no file 'gone.py' in 'src'" in faults(folder, missing)[0]
    missing = GOOD.replace("score.py", "../out.py")
    assert "'../out.py' is outside 'src'" in faults(folder, missing)[0]


def test_a_script_that_is_a_link_is_inside_where_it_is_written(folder):
    (folder / "score.py").write_text("def init(): ...\ndef run(data): return data\n")
    (folder / "src" / "score.py").unlink()
    (folder / "src" / "score.py").symlink_to("../score.py")
    assert load(folder, GOOD).name == "demo"


def test_a_link_that_leads_nowhere_is_a_fault_with_its_line_and_name(folder):
    (folder / "best").symlink_to("run_042")
    linked = GOOD.replace("path: model", "path: best")
    assert faults(folder, linked) == [
        "line 5: models.0.path: the link 'best' leads to 'run_042', which is not there;"
        " restore that file or folder, or remove the link"
    ]
    (folder / "model" / "x.bin").symlink_to("../blobs/1")
    assert faults(folder, GOOD) == [
        "line 5: models.0.path: the link 'x.bin' leads to '../blobs/1', which is not there;"
        " restore that file or folder, or remove the link"
    ]


def test_an_option_in_requirements_is_refused_without_its_value(folder):
    (folder / "r.txt").write_text("--index-url=https://me:hunter2@example.org\nsix\n")
    text = "name: demo\nenvironments:\n  - {name: env, requirements_file: r.txt}\n"
    [fault] = faults(folder, text)
    assert "the option '--index-url' is not supported" in fault
    assert "hunter2" not in fault


def test_bad_name_of_the_only_workspace_is_one_fault_and_not_one_an_item(folder):
    assert faults(folder, GOOD.replace("name: lab", "name: Bad_Name!")) == [
        "line 3: workspaces.0.name: not a valid name;"
        " use 3 to 32 letters, digits and single dashes, starting with a letter"
    ]


def test_bad_workspace_that_an_item_names_itself_is_a_fault_of_the_item(folder):
    text = GOOD.replace("{name: iris, path: model}", "{name: iris, path: model, workspace: a_b}")
    assert [fault.split(": ")[1] for fault in faults(folder, text)] == ["models.0.workspace"]
