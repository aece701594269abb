"""The SDK's own plugin process, driven over gRPC as the engine drives it."""

import importlib
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.json_format import MessageToDict
from google.protobuf.struct_pb2 import Struct
from pulumi.dynamic.dynamic import serialize_provider
from pulumi.runtime import rpc
from pulumi.runtime.proto import provider_pb2 as messages
from pulumi.runtime.proto.engine_pb2_grpc import EngineServicer, add_EngineServicer_to_server
from pulumi.runtime.proto.provider_pb2_grpc import ResourceProviderStub

PIN = "plain:1@sha256:" + "0" * 64
SERVED: dict[str, dict[str, Any]] = {
    "workspace": {"name": "spare", "target": "memory", "router_port": 0.0},
    "connection": {"name": "openai", "credentials": {"key": "hush"}},
    "model": {"name": "m", "path": "m.bin"},
    "environment": {"name": "sklearn", "dependencies": ["numpy==2.3.4"]},
    "identity": {"name": "reader"},
    "endpoint": {"name": "echo"},
    "role_assignment": {
        "name": "reads",
        "principal": "ana",
        "principal_type": "user",
        "role": "Reader",
    },
    "deployment": {
        "endpoint": "front",
        "name": "blue",
        "environment": PIN,
        "instance_count": 2.0,
        "environment_variables": {"KEY": "hush"},
    },
    "traffic": {"endpoint": "front", "traffic": {"red": 100.0}},
    "autoscale_rule": {
        "endpoint": "front",
        "deployment": "red",
        "max_instances": 3.0,
        "targets": [{"metric": "CpuUtilizationPercentage", "target": 70.0}],
        "scale_in": {"stabilization_s": 600.0},
    },
}
REFUSED: dict[str, dict[str, Any]] = {
    "deployment": {**SERVED["deployment"], "nodes_per_instance": 2.0},
}
CHANGED: dict[str, dict[str, Any]] = {
    "role_assignment": {},  # any change of one replaces it
    "connection": {"target": "https://openai.test"},
    "traffic": {"traffic": {"red": 0.0}},
    "autoscale_rule": {"enabled": False},
}
SECRET = {
    "4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270",
    "value": {"KEY": "hush"},
}


class Engine(EngineServicer):
    """Keeps what it is told to log."""

    def __init__(self):
        self.logged = []

    def Log(self, request, context):
        self.logged.append(request)
        return Empty()


@contextmanager
def plugin(folder, *engine, **variables):
    """Start the plugin as the engine does: its own address is the argument."""
    command = [sys.executable, "-u", str(Path(__file__).with_name("memory_plugin.py")), *engine]
    env = {**os.environ, **variables}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=folder, env=env, text=True)
    assert process.stdout is not None
    try:
        with grpc.insecure_channel(f"127.0.0.1:{process.stdout.readline().strip()}") as channel:
            stub = ResourceProviderStub(channel)
            stub.Configure(messages.ConfigureRequest(args=Struct()), timeout=30)
            yield stub
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    folder = tmp_path_factory.mktemp("program")
    (folder / "m.bin").write_bytes(b"weights")
    with plugin(folder) as stub:
        yield stub


@pytest.fixture
def engine():
    """An engine's log, and the address it listens on."""
    server = grpc.server(ThreadPoolExecutor(max_workers=1))
    engine = Engine()
    add_EngineServicer_to_server(engine, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield engine, f"127.0.0.1:{port}"
    server.stop(0).wait()


def bag(kind, fields):
    module = importlib.import_module(f"inference_provider.dynamic.{kind}")
    name = kind.title().replace("_", "") + "Provider"
    struct = Struct()
    provider = serialize_provider(getattr(module, name)())
    struct.update({"stack": "s", **fields, "__provider": provider})
    return struct


def check(stub, kind, fields):
    return stub.Check(messages.CheckRequest(news=bag(kind, fields)), timeout=30)


@pytest.mark.parametrize("kind", SERVED)
def test_the_life_of_a_resource_over_grpc(stub, kind):
    checked = check(stub, kind, SERVED[kind])
    assert list(checked.failures) == []
    made = stub.Create(messages.CreateRequest(properties=checked.inputs), timeout=30)
    diff = stub.Diff(
        messages.DiffRequest(id=made.id, olds=made.properties, news=checked.inputs), timeout=30
    )
    assert (diff.changes, list(diff.replaces)) == (messages.DiffResponse.DIFF_NONE, [])
    read = stub.Read(messages.ReadRequest(id=made.id, properties=made.properties), timeout=30)
    assert MessageToDict(read.inputs) == MessageToDict(checked.inputs)
    assert MessageToDict(read.properties) == MessageToDict(made.properties)

    change = CHANGED.get(kind, {"tags": {"team": "a"}})
    changed = check(stub, kind, {**SERVED[kind], **change})
    updated = stub.Update(
        messages.UpdateRequest(id=made.id, olds=made.properties, news=changed.inputs), timeout=30
    )
    stub.Delete(messages.DeleteRequest(id=made.id, properties=updated.properties), timeout=30)
    gone = stub.Read(messages.ReadRequest(id=made.id, properties=updated.properties), timeout=30)
    assert gone.id == ""


@pytest.mark.parametrize("kind", REFUSED)
def test_what_the_target_cannot_do_is_refused_in_check(stub, kind):
    [failure] = check(stub, kind, REFUSED[kind]).failures

    assert "on target 'memory'" in failure.reason
    assert "hush" not in failure.reason


@pytest.mark.parametrize("kind", SERVED)
def test_a_preview_with_every_value_unknown_passes(stub, kind):
    fields = dict.fromkeys(SERVED[kind], rpc.UNKNOWN)
    checked = check(stub, kind, fields)

    assert list(checked.failures) == []
    assert {checked.inputs[name] for name in fields} == {rpc.UNKNOWN}


def test_a_wrapped_secret_is_checked_like_its_value(stub):
    fields = {**SERVED["deployment"], "environment_variables": SECRET}
    checked = check(stub, "deployment", fields)

    assert list(checked.failures) == []
    assert MessageToDict(checked.inputs)["environment_variables"] == {"KEY": "hush"}


def test_a_fault_in_a_secret_never_shows_it(stub):
    fields = {**SERVED["deployment"], "environment_variables": {"KEY": ["hush"]}}
    [failure] = check(stub, "deployment", fields).failures

    assert failure.property == ""  # the engine would print the value beside its name
    assert failure.reason.startswith("environment_variables.KEY: not text")
    assert "hush" not in failure.reason


def test_an_endpoint_is_read_by_its_id_alone(stub):
    inputs = check(stub, "endpoint", SERVED["endpoint"]).inputs
    made = stub.Create(messages.CreateRequest(properties=inputs), timeout=30)
    asked = bag("endpoint", {})  # as `Endpoint.get` registers it: no field, no outputs
    read = stub.Read(messages.ReadRequest(id=made.id, inputs=asked), timeout=30)

    assert read.id == "Endpoint/default/echo"
    assert read.properties["primary_key"] == made.properties["primary_key"]
    declared = {**MessageToDict(made.properties), "incarnation": "only read"}
    assert MessageToDict(read.properties) == declared


def read_failing(stub, id_, inputs):
    with pytest.raises(grpc.RpcError) as caught:
        stub.Read(messages.ReadRequest(id=id_, inputs=inputs), timeout=30)
    return caught.value.details()


def test_an_error_on_purpose_is_one_sentence_without_a_traceback(stub):
    told = read_failing(stub, "Endpoint/default/nowhere", bag("endpoint", {}))

    assert told == "read Endpoint 'default/nowhere': it is not there; check its id"


def test_a_fault_of_the_code_keeps_its_traceback(stub):
    read_failing(stub, "Endpoint/default/nowhere", bag("endpoint", {}))  # the host is told by now
    lines = read_failing(stub, "Endpoint/default/nowhere", Struct()).splitlines()

    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "KeyError: '__provider'"


@pytest.mark.parametrize("id_", ["iris", "Endpoint/iris", "Model/default/m:1"])
def test_an_invalid_id_is_refused_with_the_form_to_write(stub, id_):
    assert read_failing(stub, id_, bag("endpoint", {})) == (
        f"read Endpoint '{id_}': this is not a valid id; write it as Endpoint/<workspace>/<name>"
    )


def test_a_renamed_resource_outlives_the_deletion_of_its_old_name(stub):
    fields = {"name": "renamed"}
    urn = "urn:pulumi:dev::s::pulumi-python:dynamic/inference:Endpoint::{}"
    inputs = check(stub, "endpoint", fields).inputs
    old, new = (
        stub.Create(messages.CreateRequest(properties=inputs, urn=urn.format(name)), timeout=30)
        for name in ("old", "new")
    )
    stub.Delete(messages.DeleteRequest(id=old.id, properties=old.properties), timeout=30)

    kept = stub.Read(messages.ReadRequest(id=new.id, properties=new.properties), timeout=30)
    assert kept.properties["primary_key"] == old.properties["primary_key"]


def test_another_pulumi_stack_is_refused_in_check_and_in_create_naming_the_holder(stub):
    urn = "urn:pulumi:{}::s::pulumi-python:dynamic/inference:Endpoint::held"
    inputs = check(stub, "endpoint", {"name": "held"}).inputs
    stub.Create(messages.CreateRequest(properties=inputs, urn=urn.format("dev")), timeout=30)

    asked = messages.CheckRequest(news=bag("endpoint", {"name": "held"}), urn=urn.format("prod"))
    [failure] = stub.Check(asked, timeout=30).failures
    assert "it is held by Pulumi stack 'dev' of project 's'" in failure.reason
    with pytest.raises(grpc.RpcError) as caught:
        stub.Create(messages.CreateRequest(properties=inputs, urn=urn.format("prod")), timeout=30)
    assert "it is held by Pulumi stack 'dev' of project 's'" in caught.value.details()


def test_a_call_to_cancel_is_answered_before_and_after_a_change(tmp_path):
    with plugin(tmp_path) as stub:
        stub.Cancel(Empty(), timeout=10)
        create(stub, "endpoint", "")
        assert stub.Cancel(Empty(), timeout=10) == Empty()


def create(stub, kind, urn):
    inputs = check(stub, kind, SERVED[kind]).inputs
    return stub.Create(messages.CreateRequest(properties=inputs, urn=urn), timeout=30)


def test_what_the_target_says_is_the_status_of_the_resource_it_concerns(tmp_path, engine):
    told, address = engine
    with plugin(tmp_path, "--logtostderr", address) as stub:
        create(stub, "endpoint", "urn:of:echo")

    [log] = told.logged
    assert (log.urn, log.ephemeral, log.message) == ("urn:of:echo", True, "served")


def test_a_preview_says_which_changed_fields_need_new_instances(tmp_path, engine):
    told, address = engine
    urn = "urn:of:blue"
    with plugin(tmp_path, address) as stub:
        made = create(stub, "deployment", urn)
        del told.logged[:]
        for changed in ({"tags": {"team": "a"}}, {"environment_variables": {"KEY": "other"}}):
            news = check(stub, "deployment", {**SERVED["deployment"], **changed}).inputs
            asked = {"id": made.id, "olds": made.properties, "news": news, "urn": urn}
            stub.Diff(messages.DiffRequest(**asked), timeout=30)

    assert [(log.urn, log.message) for log in told.logged] == [
        (urn, "rolling: environment_variables")
    ]


def test_a_proxy_of_the_environment_is_not_asked_for_the_engine(tmp_path, engine):
    told, address = engine
    with plugin(tmp_path, address, http_proxy="http://127.0.0.1:1") as stub:
        create(stub, "endpoint", "urn:of:echo")

    assert [log.message for log in told.logged] == ["served"]


@pytest.mark.parametrize(
    ("engine_address", "urn"),
    [
        pytest.param([], "urn:of:echo", id="no engine"),
        pytest.param(["127.0.0.1:1"], "urn:of:echo", id="engine gone"),
        pytest.param(["127.0.0.1:1"], "", id="no urn"),
    ],
)
def test_an_engine_that_cannot_be_told_fails_no_change(tmp_path, engine_address, urn):
    with plugin(tmp_path, *engine_address) as stub:
        assert create(stub, "endpoint", urn).id == "Endpoint/default/echo"
