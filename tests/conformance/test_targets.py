"""What every target keeps, whatever is behind it."""

import shutil
import tempfile
from pathlib import Path

import pytest

from inference_provider.desired import resolve
from inference_provider.errors import OwnedByAnother, StillServing, TargetError
from inference_provider.files import with_content_hash
from inference_provider.observed import Actor, Claim, Kind, Presence, ResourceId
from inference_provider.plan import plan
from inference_provider.spec import StackSpec
from inference_provider.targets.local.target import LocalTarget
from inference_provider.targets.memory import MemoryTarget

ANN = Actor(user="ann", command="pytest")
BOB = Actor(user="bob", ci_job="build/7", command="pytest")

SERVER = """\
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()

ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def open_local(folder: Path) -> LocalTarget:
    return LocalTarget.open(state_dir=folder / "s")


@pytest.fixture(
    scope="module",
    params=[
        pytest.param(lambda _folder: MemoryTarget(), id="memory"),
        pytest.param(open_local, id="local", marks=pytest.mark.local),
    ],
)
def lab(request):
    """One target a module: the tests below are one story, told in order."""
    # Not tmp_path: a Unix socket's path has a limit of 107 bytes.
    folder = Path(tempfile.mkdtemp(prefix="inf-"))
    target = request.param(folder)
    yield target, folder
    if target.observe_one(resource(Kind.WORKSPACE, "lab")).presence != Presence.ABSENT:
        target.stop("lab", ANN)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def target(lab):
    return lab[0]


@pytest.fixture
def desired(lab):
    return stack_on(*lab)


def stack_on(target, folder: Path):
    """Return one endpoint with one deployment of a server that needs no packages."""
    (folder / "code").mkdir(exist_ok=True)
    (folder / "code" / "serve.py").write_text(SERVER)
    (folder / "model.bin").write_bytes(b"weights")
    route = {"path": "/", "port": 8080}
    stack = StackSpec.model_validate(
        {
            "name": "demo",
            "workspaces": [{"name": "lab", "target": target.capabilities.name}],
            "models": [{"workspace": "lab", "name": "iris", "path": "model.bin"}],
            "environments": [
                {
                    "workspace": "lab",
                    "name": "plain",
                    "command": ["python", "{code_dir}/serve.py", "{port}"],
                    "inference_config": {
                        "liveness_route": route,
                        "readiness_route": route,
                        "scoring_route": route,
                    },
                }
            ],
            "endpoints": [{"workspace": "lab", "name": "iris"}],
            "deployments": [
                {
                    "workspace": "lab",
                    "endpoint": "iris",
                    "name": "blue",
                    "model": "iris:1",
                    "environment": "plain:1",
                    "code_configuration": {"code": "code"},
                    "readiness_probe": {"period": 1, "timeout": 1},
                    "start_timeout_s": 20,
                }
            ],
            "traffic": [{"workspace": "lab", "endpoint": "iris", "traffic": {"blue": 100}}],
        }
    )
    hashed = {
        listing: tuple(with_content_hash(spec, folder) for spec in getattr(stack, listing))
        for listing in ("models", "environments", "deployments")
    }
    return resolve(stack.model_copy(update=hashed), base_dir=str(folder))


def resource(kind: Kind, name: str) -> ResourceId:
    return ResourceId(kind=kind, workspace="lab", name=name)


ENDPOINT = resource(Kind.ENDPOINT, "iris")
BLUE = resource(Kind.DEPLOYMENT, "iris/blue")


def test_what_was_never_made_is_absent(target, desired):
    assert [target.observe_one(r.id).presence for r in desired] == [Presence.ABSENT] * 6
    assert target.observe(["lab"]).resources == {}


def test_deleting_what_is_not_there_does_nothing(target, desired):
    for wanted in desired:
        target.delete(wanted.id, "demo", ANN)
    assert target.observe(["lab"]).journal == ()


def test_what_is_applied_is_present_with_its_record(target, desired):
    for wanted in desired:
        made = target.apply(wanted, ANN)
        assert (made.id, made.presence) == (wanted.id, Presence.PRESENT)
        assert made.record is not None
        assert made.record.properties == wanted.properties
        assert (made.record.owner, made.record.actor) == ("demo", ANN)


def test_observe_returns_everything_of_the_workspace(target, desired):
    assert sorted(target.observe(["lab"]).resources) == [
        "Deployment/lab/iris/blue",
        "Endpoint/lab/iris",
        "Environment/lab/plain:1",
        "Model/lab/iris:1",
        "Traffic/lab/iris",
        "Workspace/lab/lab",
    ]
    assert target.observe(["other"]).resources == {}


def test_what_is_observed_needs_no_change(target, desired):
    assert plan(desired, target.observe(["lab"]), "demo").pending == ()


def test_a_deployments_record_holds_its_generation(target, desired):
    found = target.observe_one(BLUE).record
    assert found.generation == next(r.generation for r in desired if r.id == BLUE)


def test_applying_twice_changes_nothing(target, desired):
    before = {r.id: target.observe_one(r.id) for r in desired}
    for wanted in desired:
        again = target.apply(wanted, ANN)
        assert again.properties == before[wanted.id].properties
        assert again.outputs == before[wanted.id].outputs
        assert again.secret_outputs == before[wanted.id].secret_outputs
        assert again.record.generation == before[wanted.id].record.generation


def test_another_stack_is_refused(target, desired):
    for wanted in desired:
        theirs = wanted.model_copy(update={"owner": "theirs"})
        with pytest.raises(OwnedByAnother, match="belongs to stack 'demo', not to 'theirs'"):
            target.apply(theirs, BOB)
        with pytest.raises(OwnedByAnother, match="belongs to stack 'demo', not to 'theirs'"):
            target.delete(wanted.id, "theirs", BOB)


def test_a_deployment_that_carries_weight_is_not_deleted(target, desired):
    with pytest.raises(StillServing, match="it carries 100 % of the traffic; move its weight"):
        target.delete(BLUE, "demo", ANN)
    assert target.observe_one(BLUE).presence == Presence.PRESENT


def test_the_two_keys_differ_and_turn_one_at_a_time(target, desired):
    old = target.observe_one(ENDPOINT).secret_outputs
    assert old["primary_key"] != old["secondary_key"]
    turned = target.rotate_key(ENDPOINT, "primary", BOB).secret_outputs
    assert turned["primary_key"] != old["primary_key"]
    assert turned["secondary_key"] == old["secondary_key"]
    assert target.observe_one(ENDPOINT).secret_outputs == turned
    again = target.rotate_key(ENDPOINT, "secondary", BOB).secret_outputs
    assert again["primary_key"] == turned["primary_key"]
    assert again["secondary_key"] != turned["secondary_key"]


def test_keys_are_in_no_text_of_what_is_observed(target, desired):
    keys = target.observe_one(ENDPOINT).secret_outputs
    text = repr(target.observe(["lab"]))
    assert [name for name, key in keys.items() if key.get_secret_value() in text] == []


def test_a_key_of_no_endpoint_cannot_be_rotated(target, desired):
    with pytest.raises(TargetError):
        target.rotate_key(resource(Kind.ENDPOINT, "gone"), "primary", ANN)


def test_the_journal_names_who_did_what(target, desired):
    journal = target.observe(["lab"]).journal
    created = [str(entry.id) for entry in journal if entry.action == "create"]
    assert created == [
        "Workspace 'lab'",
        "Model 'lab/iris:1'",
        "Environment 'lab/plain:1'",
        "Endpoint 'lab/iris'",
        "Deployment 'lab/iris/blue'",
        "Traffic 'lab/iris'",
    ]
    assert {str(entry.actor) for entry in journal if entry.action == "create"} == {"ann (pytest)"}
    rotations = [entry for entry in journal if entry.actor == BOB]
    assert [entry.id for entry in rotations] == [ENDPOINT, ENDPOINT]


def claimed(wanted, stack: str, incarnation: str):
    claim = Claim(holder=f"stack {stack}", entry=f"{stack}::x", incarnation=incarnation)
    return wanted.model_copy(update={"claim": claim})


def test_a_claim_is_kept_by_who_claims_nothing_and_refuses_another_state(target, desired):
    for wanted in desired:
        target.apply(claimed(wanted, "dev", "1"), ANN)
        target.apply(wanted, ANN)
        assert target.record(wanted.id).claim.incarnation == "1"
        with pytest.raises(OwnedByAnother, match="it is held by stack dev; use another workspace"):
            target.apply(claimed(wanted, "prod", "2"), ANN)


def test_a_deletion_by_an_older_incarnation_does_nothing_and_says_so(target, desired):
    told = []
    before = target.observe(["lab"]).resources
    for wanted in desired:
        target.delete(wanted.id, "demo", ANN, lambda _id, text: told.append(text), "0")
    assert target.observe(["lab"]).resources.keys() == before.keys()
    assert set(told) == {"kept: another entry of the same stack stands for it"}


def test_a_transfer_writes_the_owner_ends_the_claim_and_is_in_the_journal(target, desired):
    for owner in ("heir", "demo"):
        target.transfer(ENDPOINT, owner, ANN)
        record = target.record(ENDPOINT)
        assert (record.owner, record.claim) == (owner, None)
    assert [e.action for e in target.observe(["lab"]).journal if e.action == "transfer"] == [
        "transfer", "transfer",
    ]  # fmt: skip


def test_one_who_holds_a_workspace_lets_go_of_it(target, desired):
    for _ in range(2):
        with target.hold(["lab"], ANN):
            pass


def test_all_goes_in_reverse_and_is_absent(target, desired):
    for wanted in reversed(desired):
        target.delete(wanted.id, "demo", ANN)
        assert target.observe_one(wanted.id).presence == Presence.ABSENT
    assert target.observe(["lab"]).resources == {}
