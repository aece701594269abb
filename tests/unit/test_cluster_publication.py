"""What one router pod serves of its records, without a router: what is refused, what is not."""

import base64
import threading
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.cluster_api import ClusterApi, client_of, failure

from inference_provider.errors import NotReady
from inference_provider.observed import Actor, Kind, Record, ResourceId
from inference_provider.router.table import EndpointEntry
from inference_provider.targets.kubernetes import names, publication
from inference_provider.targets.kubernetes.client import Client
from inference_provider.targets.kubernetes.objects import SECRET, SLICE, selector
from inference_provider.targets.kubernetes.publication import Outcome, Publication
from inference_provider.targets.kubernetes.records import ClusterRecords
from inference_provider.targets.kubernetes.snapshot import Reading
from inference_provider.targets.kubernetes.watched import Watched
from inference_provider.workspace.state import State
from inference_provider.workspace.statuses import RouterStatus

REVISION = "/api/v1/namespaces/lab/secrets/inference.revision"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/lab/endpointslices"

BLUE = Record(
    id=ResourceId(kind=Kind.DEPLOYMENT, workspace="demo", name="iris/blue"),
    owner="stack",
    properties={"instance_count": 1},
    generation="g1",
    actor=Actor(user="ann"),
    time=datetime(2026, 11, 26, tzinfo=UTC),
)


class Router:
    """Serves whatever it is told to, and keeps no request waiting."""

    changes = 0

    def with_held(self, endpoints: tuple) -> tuple:
        return endpoints

    def runs(self) -> bool:
        return True

    def status(self) -> RouterStatus:
        return RouterStatus()

    @property
    def delivery(self) -> "Router":
        return self

    def last_published(self) -> tuple:
        return self.last

    def wait_ready(self) -> None:
        pass

    def __init__(self) -> None:
        self.published: list[bool] = []
        """Of each publication, whether backends must be healthy."""
        self.refuse = lambda: None
        self.last: tuple = ()

    def publish(self, *_given, must_be_healthy: bool = True, **_more) -> None:
        self.published.append(must_be_healthy)
        if must_be_healthy:
            self.refuse()


class Lab:
    def __init__(self) -> None:
        self.api = ClusterApi()
        self.records = ClusterRecords(client_of(self.api), "lab", "demo")
        self.records.make()
        self.said: list[str] = []
        client = Client(client_of(self.api).access, client_of(self.api)._http._transport, 1)
        self.secrets, self.slices = (
            Watched(
                client, kind, "lab", selector(names.selecting("demo", role)), changed=lambda: None
            )
            for kind, role in ((SECRET, names.RECORD), (SLICE, names.INSTANCE))
        )
        self.router = Router()
        router: Any = self.router
        self.publication = Publication(
            router,
            router,
            "demo",
            room=router,
            secrets=self.secrets,
            slices=self.slices,
            news=threading.Event(),
            say=self.said.append,
        )

        self.publication._entries = tuple  # no endpoint, so nothing to serve

    def follow(self) -> None:
        self.secrets.refresh()
        self.publication.step()

    def settle(self) -> None:
        """Serve what is known of pods, and forget that."""
        self.publication.step()
        self.router.published.clear()


@pytest.fixture
def lab():
    made = Lab()
    made.slices.refresh()
    made.follow()
    return made


def test_a_pod_that_begins_goes_by_the_splits_that_it_served_last():
    lab = Lab()
    lab.router.last = (EndpointEntry(name="iris", keys=(), weights={"blue": 90, "green": 10}),)
    found = lab.publication._splits()
    assert (found.runs, found.weights) == (False, {"iris": {"blue": 90, "green": 10}})
    lab.publication.begun = True
    assert lab.publication._splits() == RouterStatus()


def serve(api: ClusterApi, name: str = "blue") -> None:
    """Say that a pod of a deployment takes requests."""
    more = {"endpoint": "iris", "deployment": name, "generation": "g1"}
    labels = names.labels("demo", names.INSTANCE, **more) | {"kubernetes.io/service-name": name}
    one = {
        "apiVersion": SLICE.api,
        "kind": SLICE.name,
        "metadata": {"name": f"{name}-1", "namespace": "lab", "labels": labels},
        "addressType": "IPv4",
        "ports": [{"port": 5001}],
        "endpoints": [{"addresses": ["10.0.0.7"], "conditions": {"ready": True}}],
    }
    api.put(f"{SLICES}/{name}-1", one)


def test_pods_that_go_are_followed_while_a_revision_waits_for_others(lab, monkeypatch):
    monkeypatch.setattr(publication, "SEEN_S", 0.5)
    State(lab.records).put_record(BLUE)
    lab.settle()
    serve(lab.api, "green")  # of another deployment
    lab.follow()
    assert lab.router.published == [False]
    assert isinstance(lab.publication.outcome(0, 0).fault, NotReady)


def test_pods_that_go_are_followed_while_new_backends_become_healthy(lab, monkeypatch):
    monkeypatch.setattr(publication, "HEALTHY_S", 0.3)
    monkeypatch.setattr(publication, "ATTEMPT_S", 0.1)

    def unhealthy() -> None:
        serve(lab.api, "green")
        lab.slices.refresh()
        raise NotReady("publish", "the router", "not healthy")

    serve(lab.api)
    lab.slices.refresh()
    lab.settle()
    lab.router.refuse = unhealthy
    State(lab.records).put_record(BLUE)
    lab.follow()
    assert lab.router.published[:4] == [True, False, True, False]
    assert str(lab.publication.outcome(0, 0).fault) == "publish the router: not healthy"


def test_a_list_that_fails_while_pods_are_waited_for_refuses_no_revision(lab):
    serve(lab.api)
    State(lab.records).put_record(BLUE)
    busy = [failure(429, "too many requests")]
    lab.api.refuse = lambda asked: busy.pop() if busy and asked.url.path == SLICES else None
    lab.follow()
    assert not busy
    assert lab.publication.outcome(0, 0) == Outcome(1, None)


def test_pods_that_a_watch_has_told_of_are_not_listed_once_more(lab):
    serve(lab.api)
    lab.slices.refresh()
    State(lab.records).put_record(BLUE)
    listed: list[str] = []
    lab.api.refuse = lambda asked: listed.append(asked.url.path)
    lab.follow()
    assert lab.publication.outcome(0, 0) == Outcome(1, None)
    assert SLICES not in listed


def test_a_deployment_that_admits_nothing_is_not_waited_for(lab):
    State(lab.records).put_record(BLUE.model_copy(update={"admitted": ()}))
    lab.follow()
    assert lab.publication.outcome(0, 0) == Outcome(1, None)


def test_a_revision_that_cannot_be_read_leaves_what_is_served(lab):
    there = lab.api.objects[REVISION]
    lab.api.put(REVISION, {**there, "data": {"number": base64.b64encode(b"two").decode()}})
    lab.follow()
    assert lab.said == ["the records cannot be read: ValueError"]
    assert lab.publication.outcome(0, 0) == Outcome(0, None)


def test_an_edit_that_changes_nothing_served_is_in_force_without_a_publication(lab):
    lab.settle()
    lab.records.put("reservations", "iris/blue", "{}")
    lab.follow()
    assert lab.router.published == []
    assert lab.publication.outcome(1, 0) == Outcome(1, None)


def test_a_document_that_has_not_changed_is_not_decoded_again(lab):
    lab.records.put("keys", "iris", "first")
    lab.records.put("keys", "rose", "first")
    lab.records.put("blueprints", "iris/blue", "secret")
    lab.secrets.refresh()
    reading = Reading({"blueprints"})
    before = reading.read(lab.secrets.objects())
    again = reading.read(lab.secrets.objects())
    assert before.documents == {"keys": {"iris": b"first", "rose": b"first"}}
    assert again.documents["keys"]["iris"] is before.documents["keys"]["iris"]
    lab.records.put("keys", "iris", "second")
    lab.secrets.refresh()
    assert reading.read(lab.secrets.objects()).documents["keys"]["iris"] == b"second"
