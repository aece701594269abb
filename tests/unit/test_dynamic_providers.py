"""The dynamic providers over a memory target: what the engine gets back from each call."""

import os
import traceback
from types import SimpleNamespace

import pytest
from pulumi.output import UNKNOWN
from tests.memory import with_environment, with_workspace, write_record

from inference_provider.dynamic import base, host
from inference_provider.dynamic.deployment import DeploymentProvider
from inference_provider.dynamic.endpoint import EndpointProvider
from inference_provider.dynamic.environment import EnvironmentProvider
from inference_provider.dynamic.model import ModelProvider
from inference_provider.dynamic.role_assignment import RoleAssignmentProvider
from inference_provider.dynamic.traffic import TrafficProvider
from inference_provider.dynamic.workspace import WorkspaceProvider
from inference_provider.errors import (
    InferenceError,
    OwnedByAnother,
    TargetError,
    TargetUnreachable,
)
from inference_provider.files import load_stack
from inference_provider.observed import ObservedResource, Presence, ResourceId
from inference_provider.targets.memory import MemoryTarget
from inference_provider.targets.registry import open_target


class SilentTarget(MemoryTarget):
    """Answers UNKNOWN for everything."""

    def observe_one(self, resource):
        return ObservedResource(id=resource, presence=Presence.UNKNOWN, reason="no answer")


class LameTarget(MemoryTarget):
    """Says of everything that it does not run as recorded."""

    def observe_one(self, resource):
        there = super().observe_one(resource)
        return there.model_copy(update={"degraded": "the router does not run"})


@pytest.fixture
def target():
    memory = with_workspace(MemoryTarget())
    base.open_targets_with(lambda _place: memory)
    yield memory
    base.open_targets_with(open_target)


@pytest.fixture
def empty():
    memory = MemoryTarget()
    base.open_targets_with(lambda _place: memory)
    yield memory
    base.open_targets_with(open_target)


@pytest.fixture
def echo(target):
    """A target with an endpoint `echo` that is the program's own."""
    EndpointProvider().create(checked(EndpointProvider(), name="echo"))
    return target


def checked(provider, **fields):
    result = provider.check({}, {"stack": "s", "__provider": "x", **fields})
    assert [f"{f.property}: {f.reason}" for f in result.failures] == []
    return result.inputs


def failures(provider, **fields):
    result = provider.check({}, {"stack": "s", "__provider": "x", **fields})
    return [(f.property, f.reason) for f in result.failures]


def test_check_fills_defaults_and_makes_floats_integers(empty):
    inputs = checked(TrafficProvider(), endpoint="echo", traffic={"blue": 90.0, "green": 10.0})

    assert inputs == {
        "workspace": "default",
        "endpoint": "echo",
        "traffic": {"blue": 90, "green": 10},
        "mirror_traffic": {},
        "stack": "s",
    }
    assert type(inputs["traffic"]["blue"]) is int


def test_check_reports_every_fault_at_once(target):
    found = failures(EndpointProvider(), name="x", auth_mode="none", colour="red")

    # Without a property of its own: the engine would print that field's value, `{<nil>}` and all.
    assert [(path, reason.partition(":")[0]) for path, reason in found] == [
        ("", "name"),
        ("", "auth_mode"),
        ("", "colour"),
    ]


def test_check_lets_unknown_values_pass_and_checks_the_others(target):
    inputs = checked(TrafficProvider(), endpoint=UNKNOWN, traffic={"blue": 100.0})

    assert inputs["endpoint"] is UNKNOWN
    assert failures(TrafficProvider(), endpoint=UNKNOWN, traffic={"blue": 60}) == [
        ("", "traffic: the shares sum to 60; make them 100, or 0")
    ]


def test_check_refuses_by_capability_in_a_sentence(target):
    [(path, reason)] = failures(
        RoleAssignmentProvider(), name="reader", principal="ana", role="Reader"
    )

    assert path == ""
    assert reason == (
        "RoleAssignment 'default/reader' on target 'memory':"
        " RoleAssignment is not supported yet; leave it out"
    )


def test_a_stack_file_beside_the_content_is_left_out_as_inferctl_does(
    target, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.bin").write_bytes(b"one")
    (tmp_path / "stack.yaml").write_text("name: dot\nmodels:\n  - {name: iris, path: .}\n")
    [model] = load_stack(tmp_path / "stack.yaml").models

    inputs = checked(ModelProvider(), name="iris", path=".", stack_file="stack.yaml")
    made = ModelProvider().create(inputs)
    (tmp_path / "stack.yaml").write_text("name: changed\n")
    read = ModelProvider().read(made.id, made.outs)

    assert inputs["content_hash"] == model.content_hash
    assert checked(ModelProvider(), name="iris", path=".", stack_file="stack.yaml") == inputs
    assert read.inputs == inputs


def test_without_a_stack_file_beside_it_nothing_is_said_of_one(target, tmp_path, monkeypatch):
    """The engine would show a new input as a change of every resource."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").write_bytes(b"one")
    assert "stack_file" not in checked(ModelProvider(), name="iris", path="m")


def test_a_missing_file_is_a_failure_of_its_field(target):
    assert failures(ModelProvider(), name="m", path="nowhere") == [
        ("", "path: no file or folder 'nowhere'; paths are relative to the program's folder")
    ]


@pytest.mark.parametrize(
    ("provider", "written", "said"),
    [
        pytest.param(
            EndpointProvider(),
            {"description": 5},
            "description: not text; write a string",
            id="text",
        ),
        pytest.param(
            EndpointProvider(), {"tags": "a"}, "tags: not a mapping; write a dictionary", id="tags"
        ),
        pytest.param(
            WorkspaceProvider(),
            {"quota": "a"},
            "quota: not a mapping; write a dictionary",
            id="nested",
        ),
        pytest.param(
            EnvironmentProvider(),
            {"dependencies": "numpy"},
            "dependencies: not a list; write a list",
            id="list",
        ),
        pytest.param(
            EnvironmentProvider(),
            {"python_version": 3.12},
            "python_version: not text; write a string",
            id="a version",
        ),
        pytest.param(
            EndpointProvider(),
            {"auth_mode": True},
            "auth_mode: expected 'key', 'aml_token' or 'aad_token', got true;"
            " write one of them as a string",
            id="choice",
        ),
        pytest.param(
            DeploymentProvider(),
            {"endpoint": "iris", "environment": "p:1", "app_insights_enabled": "maybe"},
            "app_insights_enabled: not a boolean; write True or False",
            id="boolean",
        ),
    ],
)
def test_a_fault_in_a_program_is_told_in_python_and_not_in_yaml(target, provider, written, said):
    assert failures(provider, name="iris", **written) == [("", said)]


def test_a_preview_knows_the_pinned_reference_and_sees_a_changed_file(
    target, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m").write_bytes(b"one")
    before = checked(ModelProvider(), name="m", path=str(tmp_path / "m"))
    (tmp_path / "m").write_bytes(b"two")
    after = checked(ModelProvider(), name="m", path="m")

    assert before["path"] == "m"
    assert before["reference"] == f"m:1@sha256:{before['content_hash']}"
    assert before["content_hash"] != after["content_hash"]


PLAIN = {"environment": "plain:1@sha256:" + "0" * 64}


THERE = {"place": "memory"}
"""What the SDK fills in from the workspace."""


def test_a_workspace_left_out_is_refused_where_the_program_declares_another(empty):
    checked(WorkspaceProvider(), name="edge", target="memory")

    assert failures(EndpointProvider(), **THERE, name="echo") == [
        (
            "",
            "workspace: Workspace 'default' is not there; this program declares 'edge'; "
            "write workspace='edge'",
        )
    ]
    checked(EndpointProvider(), **THERE, name="echo", workspace="edge")
    checked(EndpointProvider(), **THERE, name="echo", workspace=UNKNOWN)


def test_a_workspace_of_another_program_needs_no_declaration(target):
    WorkspaceProvider().create(checked(WorkspaceProvider(), name="theirs", target="memory"))
    base.open_targets_with(lambda _place: target)  # another program
    checked(WorkspaceProvider(), name="mine", target="memory")

    checked(EndpointProvider(), **THERE, name="echo", workspace="theirs")


def test_a_weight_on_a_deployment_that_nobody_makes_is_refused(target):
    checked(WorkspaceProvider(), name="default", target="memory")
    checked(EndpointProvider(), **THERE, name="echo")
    checked(DeploymentProvider(), **THERE, name="blue", endpoint="echo", **PLAIN)

    split = {"blue": 90, "gren": 10, "gone": 0}
    assert failures(TrafficProvider(), **THERE, endpoint="echo", traffic=split) == [
        (
            "",
            "traffic.gren: Deployment 'default/echo/gren' is not there; "
            "declare it in the program, above this, or correct the name",
        )
    ]
    checked(TrafficProvider(), **THERE, endpoint="echo", traffic={"blue": 100, "gone": 0})
    assert failures(TrafficProvider(), **THERE, endpoint="echo", mirror_traffic={"gren": 10}) != []


def test_an_endpoint_that_nobody_makes_is_refused(target):
    checked(WorkspaceProvider(), name="default", target="memory")

    assert failures(DeploymentProvider(), **THERE, name="blue", endpoint="echo", **PLAIN) == [
        (
            "",
            "endpoint: Endpoint 'default/echo' is not there; "
            "declare it in the program, above this, or correct the name",
        )
    ]
    checked(DeploymentProvider(), **THERE, name="blue", endpoint=UNKNOWN, **PLAIN)


def test_diff_leaves_changes_to_the_engine_and_names_replacing_fields(target):
    olds = checked(EndpointProvider(), name="echo")
    other_kind = {**olds, "kind": "batch"}
    other_name = {**olds, "name": "other"}
    provider, address = EndpointProvider(), "Endpoint/default/echo"

    same = provider.diff(address, olds, olds)
    assert (same.changes, same.replaces, same.delete_before_replace) == (False, [], False)
    kind = provider.diff(address, olds, other_kind)
    assert (kind.replaces, kind.delete_before_replace) == (["kind"], True)
    name = provider.diff(address, olds, other_name)
    assert (name.replaces, name.delete_before_replace) == (["name"], False)


def test_the_life_of_an_endpoint(target):
    provider = EndpointProvider()
    inputs = checked(provider, name="echo")
    made = provider.create(inputs)
    again = provider.create(inputs)

    assert made.id == "Endpoint/default/echo"
    assert again.outs["primary_key"] == made.outs["primary_key"]
    read = provider.read(made.id, again.outs)
    assert read.inputs == inputs
    assert read.outs == again.outs
    provider.delete(made.id, again.outs)
    gone = provider.read(made.id, again.outs)
    assert (gone.id, gone.outs) == ("", {})


def test_what_another_stack_owns_is_not_taken(target):
    inputs = checked(EndpointProvider(), name="echo")
    EndpointProvider().create(inputs)

    with pytest.raises(OwnedByAnother, match="belongs to stack 's', not to 'other'"):
        EndpointProvider().create({**inputs, "stack": "other"})


def test_what_did_not_answer_is_never_read_as_gone():
    base.open_targets_with(lambda _place: SilentTarget())
    try:
        with pytest.raises(TargetUnreachable, match="no answer; try again, or let `pulumi up"):
            WorkspaceProvider().read("Workspace/default/default", {})
    finally:
        base.open_targets_with(open_target)


def test_drift_of_a_secret_shows_its_name_and_not_its_value(echo, tmp_path, monkeypatch):
    with_environment(echo, "0" * 64)
    monkeypatch.chdir(tmp_path)
    provider = DeploymentProvider()
    pin = "plain:1@sha256:" + "0" * 64
    fields = {"endpoint": "echo", "name": "blue", "environment": pin}
    mine = checked(provider, **fields, environment_variables={"A": "one", "B": "two"})
    theirs = checked(provider, **fields, environment_variables={"A": "one", "B": "three"})
    made = provider.create(mine)
    provider.update(made.id, made.outs, theirs)

    live = provider.read(made.id, made.outs).inputs["environment_variables"]
    assert live["A"] == "one"
    assert live["B"].startswith("secret:sha256:")


def environment(token, **more):
    return {
        "name": "plain",
        "dependencies": [f"six @ http://build:{token}@feed.test/six.whl", "attrs==25.1"],
        "tags": {"token": token},
        "placeholders": [token],
        **more,
    }


def test_what_a_placeholder_stood_for_is_recorded_as_inferctl_does_and_read_as_no_drift(target):
    provider = EnvironmentProvider()
    inputs = checked(provider, **environment("tok-4711"))
    assert inputs["placeholders"] == ["tok-4711"]
    made = provider.create(inputs)

    record = target.observe(["default"]).resources[made.id].record
    assert record.properties["tags"] == {"token": "secret:sha256:3e2881f747a991ec"}
    assert "tok-4711" not in record.model_dump_json()
    read = provider.read(made.id, made.outs)
    assert read.inputs == inputs
    rotated = checked(provider, **environment("tok-0815"))
    provider.update(made.id, made.outs, rotated)
    live = provider.read(made.id, made.outs).inputs
    assert live["tags"]["token"].startswith("secret:sha256:")
    assert live["dependencies"][1] == "attrs==25.1"
    assert "tok-0815" not in str(live)


def test_a_record_of_an_older_release_is_read_as_no_drift_and_shows_no_userinfo(target):
    provider = EnvironmentProvider()
    inputs = checked(provider, **environment("tok-4711"))
    made = provider.create(inputs)
    record = target.observe_one(ResourceId.parse(made.id)).record
    fields = {**record.properties, **{k: inputs[k] for k in ("dependencies", "tags")}}
    write_record(target, record.model_copy(update={"properties": fields}))

    assert provider.read(made.id, made.outs).inputs == inputs
    by_id = provider.read(made.id, {}).inputs
    assert "six @ http://secret:sha256:" in by_id["dependencies"][0]


def test_an_error_of_a_change_shows_no_placeholders_value_in_any_line():
    class Loud(MemoryTarget):
        def apply(self, desired, actor, progress=None):
            said = f"\n  no index at {desired.spec.dependencies[0]}\n  {desired.spec.tags}"
            raise TargetError("build environment", str(desired.id), said)

    base.open_targets_with(lambda _place: Loud())
    try:
        provider = EnvironmentProvider()
        inputs = checked(provider, **environment("tok-4711"))
        with pytest.raises(InferenceError) as caught:
            provider.create(inputs)
    finally:
        base.open_targets_with(open_target)
    assert "http://[secret]@feed.test" in str(caught.value)
    assert "tok-4711" not in "".join(traceback.format_exception(caught.value))


def test_an_error_of_several_lines_ends_in_its_summary():
    with pytest.raises(InferenceError) as caught, host.readable_errors():
        raise InferenceError("create Deployment 'x': did not start\n  last log line")

    assert str(caught.value).splitlines()[-1] == "create Deployment 'x': did not start"


def test_what_does_not_run_as_recorded_is_an_input_until_the_next_update():
    lame = with_workspace(LameTarget())
    base.open_targets_with(lambda _place: lame)
    try:
        provider = EndpointProvider()
        inputs = checked(provider, name="echo")
        made = provider.create(inputs)
        read = provider.read(made.id, made.outs)
        assert read.inputs == {**inputs, "degraded": "the router does not run"}
        assert "degraded" not in provider.update(made.id, read.outs, inputs).outs
    finally:
        base.open_targets_with(open_target)


def test_of_a_hundred_faults_50_are_check_failures_and_the_rest_counted(target):
    variables = {f"A={i}": "x" for i in range(100)}
    found = failures(
        DeploymentProvider(),
        endpoint="echo",
        name="blue",
        environment="env:1",
        environment_variables=variables,
    )
    assert len(found) == 51
    assert found[-1] == ("", "and 50 more")


def test_check_judges_a_script_by_the_python_of_an_environment_that_is_there(
    echo, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "score.py").write_text("def init(:\n")
    code = {"code": "src", "scoring_script": "score.py"}
    found = {}
    for version in (None, "3.99"):
        fields = {"python_version": version} if version else {}
        environment = checked(EnvironmentProvider(), name="env", **fields)
        deployment = {"endpoint": "echo", "name": "blue", "code_configuration": code}
        deployment["environment"] = environment["reference"]
        before = failures(DeploymentProvider(), **deployment)
        EnvironmentProvider().create(environment)
        found[version] = (before, failures(DeploymentProvider(), **deployment))
    assert found[None][0] == []  # nobody knows its Python yet
    assert "line 1 is not valid Python" in found[None][1][0][1]
    assert found["3.99"] == ([], [])


def test_check_names_the_field_that_the_target_cannot_keep(target):
    [(path, reason)] = failures(EndpointProvider(), name="echo", kind="batch")
    assert path == ""
    assert reason == (
        "kind: Endpoint 'default/echo' on target 'memory': batch endpoints are not supported yet;"
        " use online"
    )


def test_a_preview_looks_at_files_although_other_fields_wait(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = failures(
        DeploymentProvider(),
        endpoint="echo",
        name="blue",
        environment=UNKNOWN,
        code_configuration={"code": "nowhere"},
    )
    assert found == [
        (
            "",
            "code_configuration.code: no folder 'nowhere'; "
            "paths are relative to the program's folder",
        )
    ]


def test_check_knows_the_program_of_an_environment_that_is_there(target):
    route = {"path": "/", "port": 1}
    routes = {f"{name}_route": route for name in ("liveness", "readiness", "scoring")}
    fields = {"command": ["no-such-program"], "inference_config": routes}
    environment = checked(EnvironmentProvider(), name="env", **fields)
    EnvironmentProvider().create(environment)
    deployment = {"endpoint": "echo", "name": "blue", "environment": environment["reference"]}
    [(path, reason)] = failures(DeploymentProvider(), **deployment)
    assert path == ""
    assert reason.startswith(
        "environment: its command starts 'no-such-program', which is not on PATH"
    )


@pytest.mark.parametrize(("program", "secret"), [("server", "server"), ("{0}/server", "{0}")])
def test_a_program_that_a_placeholder_names_is_sealed_in_the_record_and_not_judged(
    echo, tmp_path, monkeypatch, program, secret
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "server").touch(mode=0o755)
    route = {"path": "/", "port": 1}
    routes = {f"{name}_route": route for name in ("liveness", "readiness", "scoring")}
    fields = {
        "command": [program.format(tmp_path)], "inference_config": routes,
        "placeholders": [secret.format(tmp_path)],
    }  # fmt: skip
    environment = checked(EnvironmentProvider(), name="env", **fields)
    EnvironmentProvider().create(environment)
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "data.txt").touch()
    deployment = {
        "endpoint": "echo", "name": "blue", "environment": environment["reference"],
        "code_configuration": {"code": "code"},
    }  # fmt: skip
    assert failures(DeploymentProvider(), **deployment) == []


def test_check_of_an_environment_alone_refuses_a_program_that_no_machine_of_ours_has(target):
    route = {"path": "/", "port": 1}
    routes = {f"{name}_route": route for name in ("liveness", "readiness", "scoring")}
    fields = {"command": ["/no/such/program"], "inference_config": routes}
    assert failures(EnvironmentProvider(), name="env", **fields) == [
        (
            "",
            "command.0: no program '/no/such/program' on this machine; install it, or name another",
        )
    ]


def test_check_refuses_a_variable_that_is_too_long_and_a_null_byte_in_a_command(target):
    large = {"A": "x" * 131_072}
    [(_, reason)] = failures(
        DeploymentProvider(), endpoint="echo", name="blue", environment=UNKNOWN,
        environment_variables=large,
    )  # fmt: skip
    assert reason.startswith("environment_variables: ")
    [(_, reason), *_] = failures(EnvironmentProvider(), name="env", command=["a\0b"])
    assert reason.startswith("command.0: ")
    assert "contains a null byte; remove it" in reason


def older(bag, *fields):
    """A bag as a release wrote it that did not know some fields yet."""
    return {name: item for name, item in bag.items() if name not in fields}


def test_a_default_that_a_newer_release_adds_is_no_difference(echo):
    """An `up` after an upgrade changes nothing, neither at the top nor inside a field."""
    provider = DeploymentProvider()
    news = checked(provider, endpoint="echo", name="blue", **PLAIN)
    settings = older(news["request_settings"], "retry_on_503")
    olds = {**older(news, "start_timeout_s"), "request_settings": settings}

    assert provider.diff("Deployment/default/echo/blue", olds, news).changes is False
    other = {**news, "start_timeout_s": 7}
    assert provider.diff("Deployment/default/echo/blue", olds, other).changes is None


def test_a_refresh_after_an_upgrade_shows_no_default_of_the_newer_release(echo):
    with_environment(echo, "0" * 64)
    provider = DeploymentProvider()
    news = checked(provider, endpoint="echo", name="blue", **PLAIN)
    made = provider.create(news)
    settings = older(news["request_settings"], "retry_on_503")
    outs = {**older(made.outs, "start_timeout_s"), "request_settings": settings}

    read = provider.read(made.id, outs)

    assert "start_timeout_s" not in read.inputs
    olds = {**older(news, "start_timeout_s"), "request_settings": settings}
    assert provider.diff(made.id, read.outs, olds).changes is False  # as a refresh asks


def test_drift_of_a_field_that_a_state_has_no_value_for_is_read(echo):
    with_environment(echo, "0" * 64)
    deployment = DeploymentProvider()
    news = checked(deployment, endpoint="echo", name="blue", **PLAIN)
    made = deployment.create(news)
    deployment.update(made.id, made.outs, {**news, "start_timeout_s": 7})
    read = deployment.read(made.id, older(made.outs, "start_timeout_s"))
    assert read.inputs["start_timeout_s"] == 7
    olds = older(news, "start_timeout_s")
    assert deployment.diff(made.id, read.outs, olds).changes is None

    environment = EnvironmentProvider()
    none = checked(environment, name="env")
    made = environment.create(none)
    assert "python_version" not in made.outs
    environment.update(made.id, made.outs, checked(environment, name="env", python_version="3.12"))
    assert environment.read(made.id, made.outs).inputs["python_version"] == "3.12"


def test_the_same_content_in_another_folder_is_no_difference(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.bin", "b.bin"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "w").write_bytes(b"one")
    provider = ModelProvider()
    olds = checked(provider, name="m", path="a.bin")
    moved = {**olds, "path": "b.bin"}

    assert provider.diff("Model/default/m:1", olds, moved).changes is False


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"stack": "other"}, id="owner"),
        pytest.param({"placeholders": ["tok-4711"]}, id="placeholders"),
        pytest.param({"tags": {"path": "b"}}, id="a tag that is called as a path is"),
    ],
)
def test_what_differs_is_left_for_the_engine_to_name(target, changed):
    provider = EndpointProvider()
    olds = checked(provider, name="echo", tags={"path": "a"})
    assert provider.diff("Endpoint/default/echo", olds, {**olds, **changed}).changes is None


def test_drift_of_a_tag_and_of_a_route_that_are_called_as_a_path_is_read(target):
    provider = EnvironmentProvider()
    route = {"path": "/", "port": 1}
    routes = {f"{name}_route": route for name in ("liveness", "readiness", "scoring")}
    fields = {"name": "env", "command": ["python"], "inference_config": routes}
    mine = checked(provider, **fields, tags={"path": "a"})
    moved = {**routes, "scoring_route": {"path": "/score", "port": 1}}
    made = provider.create(mine)
    theirs = checked(provider, **{**fields, "inference_config": moved}, tags={"path": "b"})
    provider.update(made.id, made.outs, theirs)

    read = provider.read(made.id, made.outs).inputs
    assert read["tags"] == {"path": "b"}
    assert read["inference_config"]["scoring_route"]["path"] == "/score"


class Places:
    """A memory target with a workspace in it, for each place that is asked for."""

    def __init__(self):
        self.opened = {}

    def __call__(self, place):
        return self.opened.setdefault(str(place), with_workspace(MemoryTarget()))


GPU = {"kind": "docker", "host": "ssh://gpu-1"}


@pytest.fixture
def places():
    found = Places()
    base.open_targets_with(found)
    yield found
    base.open_targets_with(open_target)


def test_a_resource_lives_and_dies_where_its_state_says_the_workspace_is(places):
    provider = EndpointProvider()
    made = provider.create(checked(provider, name="echo", place=GPU))
    assert made.id == "Endpoint/default/echo"
    assert made.outs["place"] == GPU

    there = places.opened["docker ssh://gpu-1"]
    assert provider.read(made.id, made.outs).inputs["place"] == GPU
    assert provider.update(made.id, made.outs, made.outs).outs["place"] == GPU
    assert made.id in there.observe(["default"]).resources
    provider.delete(made.id, made.outs)
    assert made.id not in there.observe(["default"]).resources
    assert list(places.opened) == ["docker ssh://gpu-1"]


def test_a_state_of_an_older_release_has_no_place_and_is_local(places):
    provider = EndpointProvider()
    inputs = checked(provider, name="echo")
    made = provider.create(inputs)
    provider.read(made.id, made.outs)

    assert "place" not in {**inputs, **made.outs}
    assert list(places.opened) == ["local"]


def test_a_workspace_is_where_its_own_target_says(places):
    provider = WorkspaceProvider()
    inputs = checked(provider, name="mine", target="memory")
    made = provider.create(inputs)
    provider.delete(made.id, made.outs)

    assert "place" not in inputs
    assert list(places.opened) == ["memory"]


def test_another_place_needs_a_new_resource_which_stands_beside_the_old(places):
    provider, address = EndpointProvider(), "Endpoint/default/echo"
    olds = checked(provider, name="echo")
    news = checked(provider, name="echo", place=GPU)

    moved = provider.diff(address, olds, news)
    assert (moved.changes, moved.replaces) == (None, ["place"])
    assert moved.delete_before_replace is False
    waits = provider.diff(address, olds, {**news, "place": UNKNOWN})
    assert waits.replaces == []

    space, address = WorkspaceProvider(), "Workspace/default/default"
    at = [space.check({}, {"stack": "s", "target": t}).inputs for t in ("local", GPU)]
    moved = space.diff(address, *at)
    assert moved.replaces == ["target"]
    assert moved.delete_before_replace is False


def test_one_address_in_two_places_is_two_resources(places):
    urn = "urn:pulumi:dev::shop::Endpoint::{}"

    def Check(name, place):  # the name of the SDK's method
        request = SimpleNamespace(urn=urn.format(name))  # noqa: F841 - read from the frame
        found = EndpointProvider().check({}, {"stack": "s", "name": "echo", "place": place})
        return [failure.reason for failure in found.failures]

    assert Check("here", "memory") == []
    assert Check("there", GPU) == []
    assert Check("again", GPU) == [
        "Endpoint 'default/echo' is declared twice, by 'there' and by 'again'; remove one of them"
    ]


def test_a_place_of_a_newer_release_is_an_error_and_no_traceback(places):
    with pytest.raises(TargetError, match="a place that this release does not know"):
        EndpointProvider().read("Endpoint/default/echo", {"name": "echo", "place": "moon"})


def test_a_place_that_a_preview_does_not_know_is_not_asked(places):
    inputs = checked(EndpointProvider(), name="echo", place=UNKNOWN)

    assert inputs["place"] is UNKNOWN
    assert inputs["auth_mode"] == "key"
    assert places.opened == {}


def test_a_target_that_is_not_supported_is_refused_at_preview():
    base.open_targets_with(open_target)
    said = [("", "target 'docker' is not supported yet; use 'local'")]
    assert failures(WorkspaceProvider(), target="docker") == said
    assert failures(EndpointProvider(), name="echo", place=GPU) == said
