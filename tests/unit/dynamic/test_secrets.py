"""Secrets and what placeholders stood for: in records, in drift and in errors."""

import traceback

import pytest
from tests.memory import with_environment, write_record
from tests.providers import PLAIN, checked

from inference_provider.dynamic.deployment import DeploymentProvider
from inference_provider.dynamic.environment import EnvironmentProvider
from inference_provider.errors import (
    InferenceError,
    TargetError,
)
from inference_provider.observed import ResourceId
from inference_provider.targets.memory import MemoryTarget


def environment(token, **more):
    return {
        "name": "plain",
        "dependencies": [f"six @ http://build:{token}@feed.test/six.whl", "attrs==25.1"],
        "tags": {"token": token},
        "placeholders": [token],
        **more,
    }


def test_drift_of_a_secret_shows_its_name_and_not_its_value(echo, tmp_path, monkeypatch):
    with_environment(echo, "0" * 64)
    monkeypatch.chdir(tmp_path)
    provider = DeploymentProvider()
    fields = {"endpoint": "echo", "name": "blue", **PLAIN}
    mine = checked(provider, **fields, environment_variables={"A": "one", "B": "two"})
    theirs = checked(provider, **fields, environment_variables={"A": "one", "B": "three"})
    made = provider.create(mine)
    provider.update(made.id, made.outs, theirs)

    live = provider.read(made.id, made.outs).inputs["environment_variables"]
    assert live["A"] == "one"
    assert live["B"].startswith("secret:sha256:")


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


def test_an_error_of_a_change_shows_no_placeholders_value_in_any_line(open_on):
    class Loud(MemoryTarget):
        def apply(self, desired, actor, progress=None, for_each=None):
            said = f"\n  no index at {desired.spec.dependencies[0]}\n  {desired.spec.tags}"
            raise TargetError("build environment", str(desired.id), said)

    open_on(Loud())
    provider = EnvironmentProvider()
    inputs = checked(provider, **environment("tok-4711"))
    with pytest.raises(InferenceError) as caught:
        provider.create(inputs)
    assert "http://[secret]@feed.test" in str(caught.value)
    assert "tok-4711" not in "".join(traceback.format_exception(caught.value))
