"""Which environments a workspace's records keep."""

from datetime import UTC, datetime, timedelta

import pytest
from tests.memory import record

from inference_provider.observed import Kind
from inference_provider.spec import DeploymentSpec, EnvironmentSpec
from inference_provider.targets.kept_environments import Environment, KeptEnvironments
from inference_provider.targets.memory_records import MemoryRecords
from inference_provider.workspace.state import State

OLD, NEW = "a" * 64, "b" * 64


@pytest.fixture
def records():
    return MemoryRecords("default")


@pytest.fixture
def environments(records):
    return KeptEnvironments(records, State(records))


def environment(digest, version="1"):
    return EnvironmentSpec(name="env", version=version, content_hash=digest)


def keep(records, digest, hours=None):
    kept = None if hours is None else datetime.now(UTC) - timedelta(hours=hours)
    noted = Environment(spec=environment(digest), image="sha256:1", kept=kept)
    records.put("content", f"environment.{digest[:32]}", noted.model_dump_json())


def test_an_environment_goes_with_its_record_unless_another_names_its_content(
    environments, records
):
    gone = record(Kind.ENVIRONMENT, environment(OLD))
    keep(records, OLD, hours=0)
    keep(records, NEW, hours=0)
    State(records).put_record(record(Kind.ENVIRONMENT, environment(OLD, "2")))
    environments.drop(gone)
    assert environments.kept(OLD)
    records.drop("records", "Environment.env:2")
    environments.drop(gone)
    assert environments.kept(OLD) is None
    assert environments.kept(NEW)


@pytest.mark.parametrize(("hours", "stays"), [(1, True), (3, False), (None, False)])
def test_an_environment_that_no_record_names_goes_two_hours_after_it_was_made(
    environments, records, hours, stays
):
    keep(records, OLD, hours)
    environments.prune()
    assert (environments.kept(OLD) is not None) is stays


def test_what_cannot_be_read_of_an_environment_that_no_record_names_goes(environments, records):
    records.put("content", f"environment.{OLD[:32]}", "{")
    environments.prune()
    assert environments.kept(OLD) is None


def test_the_environment_of_a_deployment_stays(environments, records):
    keep(records, OLD)
    blue = DeploymentSpec(endpoint="iris", name="blue", environment=f"azureml:env:1@sha256:{OLD}")
    State(records).put_record(record(Kind.DEPLOYMENT, blue))
    environments.prune()
    assert environments.kept(OLD)


def test_no_environment_goes_while_a_record_cannot_be_read(environments, records):
    keep(records, OLD)
    records.put("records", "Deployment.iris/blue", "{")
    environments.prune()
    assert environments.kept(OLD)
