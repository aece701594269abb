"""Whose state holds a resource: renames, two stacks, shared workspaces, over a memory target."""

from types import SimpleNamespace

import pytest
from tests.memory import with_environment, with_workspace

from inference_provider.desired import DesiredResource
from inference_provider.dynamic import base
from inference_provider.dynamic.endpoint import EndpointProvider
from inference_provider.dynamic.workspace import WorkspaceProvider
from inference_provider.errors import OwnedByAnother, StillHolds
from inference_provider.observed import Actor, Kind, Presence, ResourceId
from inference_provider.spec import DeploymentSpec, EndpointSpec
from inference_provider.targets.memory import MemoryTarget

ECHO = ResourceId(kind=Kind.ENDPOINT, workspace="default", name="echo")
SPACE = ResourceId(kind=Kind.WORKSPACE, workspace="default", name="default")
ANN = Actor(user="ann", command="inferctl up")


class Stack:
    """One Pulumi stack: calls a provider as the SDK's plugin does, in frames of its names."""

    def __init__(self, name="dev", project="shop", label="shop", provider=EndpointProvider):
        self.name, self.project, self.label = name, project, label
        self.provider = provider()

    def urn(self, entry):
        types = f"pulumi-python:dynamic/inference:{self.provider.kind.value}"
        return f"urn:pulumi:{self.name}::{self.project}::{types}::{entry}"

    def Check(self, entry, olds=None, **fields):
        request = SimpleNamespace(urn=self.urn(entry))  # noqa: F841 - read from the frame
        fields.setdefault("name", "echo")
        found = self.provider.check(olds or {}, {"stack": self.label, "__provider": "x", **fields})
        return found.inputs, [failure.reason for failure in found.failures]

    def Create(self, entry, **fields):
        request = SimpleNamespace(urn=self.urn(entry))  # noqa: F841
        fields.setdefault("name", "echo")
        return self.provider.create({"stack": self.label, **fields})

    def Update(self, entry, made, **fields):
        request = SimpleNamespace(urn=self.urn(entry))  # noqa: F841
        return self.provider.update("", made.outs, {"name": "echo", "stack": self.label, **fields})

    def Delete(self, entry, made):
        request = SimpleNamespace(urn=self.urn(entry))  # noqa: F841
        resource = SPACE if self.provider.kind == Kind.WORKSPACE else ECHO
        self.provider.delete(resource.address, made.outs)

    def Read(self, entry, made):
        request = SimpleNamespace(urn=self.urn(entry))  # noqa: F841
        return self.read(made)

    def read(self, made):
        return self.provider.read(made.id, made.outs)


@pytest.fixture
def target(open_on):
    memory = with_workspace(MemoryTarget(), owner="shop")
    open_on(memory)
    return memory


def inferctl_up(target):
    spec = EndpointSpec(name="echo")
    target.apply(DesiredResource(id=ECHO, spec=spec, owner="shop"), ANN)


def there(target, resource=ECHO):
    return target.observe_one(resource).presence == Presence.PRESENT


def of_an_older_release(made):
    """What a state holds that was written before there were incarnations."""
    outs = {name: item for name, item in made.outs.items() if name != "incarnation"}
    return SimpleNamespace(id=made.id, outs=outs)


def test_a_renamed_resource_stays_and_goes_with_its_new_name(target):
    dev = Stack()
    old = dev.Create("echo")
    new = dev.Create("echo-split")

    dev.Delete("echo", old)
    assert there(target)
    assert new.outs["primary_key"] == old.outs["primary_key"]
    dev.Delete("echo-split", new)
    assert not there(target)


def test_the_old_name_of_an_interrupted_rename_is_there_until_it_is_deleted(target):
    dev = Stack()
    old = dev.Create("echo")
    new = dev.Create("echo-split")

    assert dev.read(old).id == ECHO.address
    dev.Delete("echo", old)
    assert (dev.read(old).id, dev.read(old).outs) == ("", {})
    assert dev.read(new).outs == new.outs


def test_an_entry_that_two_newer_ones_took_over_is_gone(target):
    dev = Stack()
    oldest = dev.Create("echo")
    dev.Create("echo-two")
    dev.Create("echo-three")
    assert dev.read(oldest).id == ""


def test_a_rename_that_was_taken_back_half_way_keeps_what_serves(target):
    dev = Stack()
    old = dev.Create("echo")
    new = dev.Create("echo-split")  # and then the engine was ended
    base.open_targets_with(lambda _place: target)  # the next run, of a program with the old name
    dev.Check("echo", olds=old.outs)
    dev.Delete("echo-split", new)

    assert there(target)
    claim = target.record(ECHO).claim  # a second stack is still refused
    assert (claim.incarnation, claim.entry) == (old.outs["incarnation"], dev.urn("echo"))
    base.open_targets_with(lambda _place: target)  # `destroy` runs no program
    dev.Delete("echo", old)
    assert not there(target)


def deploy(target):
    """Put a deployment behind the endpoint, of the same stack."""
    pin = "plain:1@sha256:" + "0" * 64
    with_environment(target, "0" * 64)
    spec = DeploymentSpec(endpoint="echo", name="blue", environment=pin)
    blue = ResourceId(kind=Kind.DEPLOYMENT, workspace="default", name="echo/blue")
    target.apply(DesiredResource(id=blue, spec=spec, owner="shop"), ANN)
    return blue


def test_destroy_after_a_rename_that_failed_half_way_removes_all(target):
    dev = Stack()
    old = dev.Create("echo")
    blue = deploy(target)
    new = dev.Create("echo-split")  # the deployment that follows fails, so all old entries stay

    dev.Delete("echo-split", new)  # `destroy` begins with what nothing depends on
    assert there(target)
    target.delete(blue, "shop", ANN)
    dev.Delete("echo", old)
    assert not there(target)


def test_an_endpoint_with_a_deployment_behind_it_stays_with_an_error(target):
    dev = Stack()
    old = dev.Create("echo")
    new = dev.Create("echo-split")
    dev.Delete("echo", old)  # the rename is whole: no older entry is left
    deploy(target)
    with pytest.raises(StillHolds, match="Deployment 'default/echo/blue' is behind it"):
        dev.Delete("echo-split", new)


def test_what_a_program_reads_by_id_stays_readable_when_it_is_renamed(target):
    dev = Stack()
    dev.Create("echo")
    reader = dev.provider.read(ECHO.address, {})
    new = dev.Create("echo-split")

    again = dev.provider.read(ECHO.address, reader.outs)
    assert again.outs["primary_key"] == new.outs["primary_key"]


def test_a_rename_keeps_what_a_state_of_an_older_release_holds(target):
    inferctl_up(target)  # a record without a claim, as older releases wrote it
    dev = Stack()
    old = SimpleNamespace(id=ECHO.address, outs={"name": "echo", "stack": "shop"})
    new = dev.Create("echo-split")

    dev.Delete("echo", old)
    assert there(target)
    dev.Delete("echo-split", new)
    assert not there(target)


def test_a_state_of_an_older_release_still_removes_all_and_claims_with_its_next_update(target):
    inferctl_up(target)
    dev = Stack()
    old = SimpleNamespace(id=ECHO.address, outs={"name": "echo", "stack": "shop"})
    assert dev.read(old).outs.get("incarnation") is None

    updated = dev.Update("echo", old, description="new")
    assert updated.outs["incarnation"] == target.record(ECHO).claim.incarnation
    dev.Delete("echo", updated)
    assert not there(target)
    inferctl_up(target)
    dev.Delete("echo", old)
    assert not there(target)


def test_destroy_removes_what_inferctl_applied_in_between(target):
    dev = Stack()
    made = dev.Create("echo")
    inferctl_up(target)
    dev.Delete("echo", SimpleNamespace(outs=dev.read(made).outs))
    assert not there(target)


def test_destroy_removes_what_inferctl_took_down_and_made_anew(target):
    dev = Stack()
    made = dev.Create("echo")
    target.delete(ECHO, "shop", ANN)
    inferctl_up(target)
    dev.Delete("echo", made)
    assert not there(target)


def test_what_one_pulumi_stack_holds_is_refused_to_another_at_preview_and_at_up(target):
    Stack("dev").Create("echo")
    sentence = (
        "declare Endpoint 'default/echo': it is held by Pulumi stack 'dev' of project 'shop'; use"
        " another workspace here, or destroy it there first; if that stack is lost, release"
        " what it holds in workspace 'default': `inferctl release --workspace default`"
    )

    assert Stack("prod").Check("echo")[1] == [sentence]
    with pytest.raises(OwnedByAnother, match="held by Pulumi stack 'dev' of project 'shop'"):
        Stack("prod").Create("echo")
    with pytest.raises(OwnedByAnother, match="held by Pulumi stack 'dev' of project 'shop'"):
        Stack("dev", project="other").Create("echo")
    base.open_targets_with(lambda _place: target)  # another run, of which nothing is declared yet
    assert Stack("dev").Check("renamed")[1] == []


def test_a_released_resource_is_taken_over_by_another_stack(target):
    Stack("dev").Create("echo")
    target.transfer(ECHO, "shop", ANN)

    assert Stack("prod").Check("echo")[1] == []
    Stack("prod").Create("echo")
    assert target.record(ECHO).claim.holder == "Pulumi stack 'prod' of project 'shop'"


def test_a_renamed_pulumi_stack_still_updates_and_removes_what_it_holds(target):
    made = Stack("dev").Create("echo")
    renamed = Stack("staging")

    assert renamed.Check("echo", olds={"name": "echo"})[1] == []
    updated = renamed.Update("echo", made, description="new")
    assert target.record(ECHO).claim.holder == "Pulumi stack 'staging' of project 'shop'"
    renamed.Delete("echo", updated)
    assert not there(target)


class Asked(MemoryTarget):
    """Notes of each change whether it was asked for as a replacement."""

    def __init__(self):
        super().__init__()
        self.made_again = []

    def apply(self, desired, *others):
        self.made_again.append(desired.made_again)
        return super().apply(desired, *others)


@pytest.mark.parametrize(("entry", "again"), [("echo", True), ("echo-split", False)])
def test_a_create_of_what_a_refresh_read_under_its_urn_is_a_replacement(target, entry, again):
    asked = with_workspace(Asked())
    asked.made_again.clear()
    base.open_targets_with(lambda _place: asked)
    inferctl_up(asked)
    dev = Stack()
    held = SimpleNamespace(id=ECHO.address, outs={"name": "echo", "stack": "shop"})
    dev.Read("echo", held)
    dev.Create(entry)
    assert asked.made_again == [False, again]


def test_a_refresh_lets_a_renamed_pulumi_stack_hold_all_under_its_new_name(target):
    made = Stack("dev").Create("echo")
    assert "held_by" not in Stack("dev").Read("echo", made).inputs
    renamed = Stack("staging")
    read = renamed.Read("echo", made)
    assert read.inputs["held_by"] == "Pulumi stack 'dev' of project 'shop'"

    updated = renamed.Update("echo", SimpleNamespace(outs=read.outs))
    assert "held_by" not in renamed.Read("echo", SimpleNamespace(id=made.id, **vars(updated))).outs
    with pytest.raises(OwnedByAnother, match="held by Pulumi stack 'staging' of project 'shop'"):
        Stack("dev").Create("echo")


def test_what_a_program_reads_by_id_is_never_said_to_be_held_by_another(target):
    made = Stack("dev").Create("echo")
    reader = Stack("reader", project="other")
    read = reader.Read("echo", SimpleNamespace(id=made.id, outs={}))
    again = reader.Read("echo", SimpleNamespace(id=made.id, outs=read.outs))
    assert "held_by" not in {**read.inputs, **again.inputs}


def test_two_resources_of_one_program_with_one_id_are_refused_naming_both(target):
    dev = Stack()
    assert dev.Check("echo")[1] == []
    assert dev.Check("echo")[1] == []  # a replacement is checked twice
    assert dev.Check("twin")[1] == [
        "Endpoint 'default/echo' is declared twice, by 'echo' and by 'twin'; remove one of them"
    ]


def test_what_another_label_owns_is_refused_at_preview(target):
    Stack().Create("echo")
    other = Stack("dev", project="other", label="other")

    assert other.Check("echo")[1] == [
        "plan Endpoint 'default/echo': it belongs to stack 'shop', not to 'other'; rename it here,"
        " or take it out of 'shop' first"
    ]


class Shared:
    """Two programs of two projects that declare the same workspace."""

    FIELDS = {"name": "default", "target": "memory"}

    def __init__(self):
        self.first = Stack("dev", "one", "one", WorkspaceProvider)
        self.second = Stack("dev", "two", "two", WorkspaceProvider)
        self.owned = self.first.Create("space", **self.FIELDS)
        self.lent = self.second.Create("space", **self.FIELDS)


def test_a_workspace_declared_equally_is_shared_as_with_inferctl(empty):
    both = Shared()
    assert both.second.Check("space", **Shared.FIELDS)[1] == []
    base.open_targets_with(lambda _place: empty)  # each program has a process of its own
    assert both.second.read(both.lent).outs["stack"] == "two"
    assert empty.record(SPACE).owner == "one"

    both.second.Delete("space", both.lent)
    assert there(empty, SPACE)
    both.first.Delete("space", both.owned)
    assert not there(empty, SPACE)


def test_a_workspace_declared_otherwise_is_refused_at_preview(empty):
    both = Shared()
    base.open_targets_with(lambda _place: empty)
    assert both.second.Check("space", **Shared.FIELDS, description="ours")[1] == [
        "plan Workspace 'default': it belongs to stack 'one', not to 'two', and description would"
        " change; declare it as 'one' does to share it, or name another workspace"
    ]


def test_the_owner_that_is_destroyed_first_hands_a_shared_workspace_over(empty):
    both = Shared()
    rose = Stack("dev", "two", "two").Create("rose", name="rose")
    both.first.Delete("space", both.owned)
    assert empty.record(SPACE).owner == "two"

    empty.delete(ResourceId.parse(rose.id), "two", ANN)
    both.second.Delete("space", both.lent)
    assert not there(empty, SPACE)
