"""What tests do to a memory target that no person could."""

from datetime import UTC, datetime

from inference_provider.desired import DesiredResource, identify
from inference_provider.observed import Actor, Kind, Record
from inference_provider.spec import EnvironmentSpec, WorkspaceSpec
from inference_provider.targets.memory_records import MemoryRecords
from inference_provider.workspace.state import State

ANN = Actor(user="ann", command="pytest")


def desired(kind, spec):
    """Return a resource as the stack 'demo' declares it."""
    return DesiredResource(id=identify(kind, spec), spec=spec, owner="demo")


def record(kind, spec):
    """Return its record, as somebody applied it."""
    wanted, time = desired(kind, spec), datetime(2026, 11, 26, tzinfo=UTC)
    properties = wanted.properties
    return Record(id=wanted.id, owner="demo", properties=properties, actor=ANN, time=time)


def with_workspace(target, owner: str = "base", name: str = "default"):
    """Return the target with a workspace in it, which another stack than the test's owns."""
    spec = WorkspaceSpec(name=name, target="memory")
    id_ = identify(Kind.WORKSPACE, spec)
    target.apply(DesiredResource(id=id_, spec=spec, owner=owner), ANN)
    return target


def with_environment(target, content_hash: str, name: str = "plain"):
    """Return the target with the content of an environment in its workspace."""
    spec = EnvironmentSpec(name=name, content_hash=content_hash)
    id_ = identify(Kind.ENVIRONMENT, spec)
    target.apply(DesiredResource(id=id_, spec=spec, owner="base"), ANN)
    return target


def state_of(target, workspace: str = "default") -> State:
    return State(target.memory.ports(workspace).records)


def write_record(target, record: Record) -> None:
    """Write a record as nobody applied it."""
    state_of(target, record.id.workspace).put_record(record)


def fill_journal(target, workspace: str = "default", *, is_full: bool = True) -> None:
    """Leave the journal no room, or give it some again."""
    records = target.memory.ports(workspace).records
    assert isinstance(records, MemoryRecords)
    records.is_full = is_full
