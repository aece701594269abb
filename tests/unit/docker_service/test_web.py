"""The container that serves a workspace over HTTP, beside the one that keeps its rules."""

from hashlib import sha256

import pytest
from tests.docker_engine import GONE, LISTENS, SOCKET
from tests.memory import record

from inference_provider.errors import TargetError
from inference_provider.observed import Kind
from inference_provider.spec import WorkspaceSpec
from inference_provider.targets.docker.ruled_router import RuledRouter
from inference_provider.targets.docker.web import Web
from inference_provider.workspace.state import State


@pytest.fixture
def web(keeper, engine):
    made = Web(keeper._host, keeper.records, lambda: SOCKET)
    declare(keeper, {"port": 18443})
    engine.files["listening"] = b""
    return made


@pytest.fixture
def router(keeper, web):
    made = RuledRouter(keeper._host, keeper.records, lambda: None, keeper, web)
    with keeper.records.edit():
        made.save(LISTENS)
    return made


def declare(keeper, service, **more):
    spec = WorkspaceSpec.model_validate({"name": "lab", "service": service, **more})
    with keeper.records.edit():
        State(keeper.records).put_record(record(Kind.WORKSPACE, spec))


def roles(engine):
    return [one["Labels"]["inference.role"] for one in engine.there.values()]


def test_each_has_a_container_of_its_own_and_a_second_publication_makes_none(engine, router):
    router.publish(())
    assert roles(engine) == ["autoscaler", "web"]
    router.publish(())
    assert [*engine.there] == ["c1", "c2"]


def test_one_runs_where_the_other_does_not_start(engine, keeper, router):
    keeper.socket = GONE
    router.publish(())
    assert roles(engine) == ["web"]
    assert router.status().beside == "service on http://127.0.0.1:18443"


def test_what_one_before_has_noted_says_nothing_of_the_one_that_starts(engine, router):
    router.publish(())
    engine.written = "2026-11-28T10:00:01Z"
    assert router.status().missing == (
        "the service on 127.0.0.1:18443 does not run: it starts; its log is that of"
        " inference.lab.web"
    )


def test_the_status_has_what_is_wrong_with_one_that_serves(engine, keeper, router):
    provider = {
        "issuer": "https://login.example.org",
        "audience": "lab",
        "jwks_uri": "https://login.example.org/keys",
    }
    declare(keeper, {"port": 18443}, identity_provider=provider)
    router.publish(())
    stem = "service/provider-keys/" + sha256(provider["jwks_uri"].encode()).hexdigest()[:16]
    engine.files[f"{stem}.json"] = b"{}"
    said = "autoscaler runs; service on http://127.0.0.1:18443"
    assert router.status().beside == said
    engine.files[f"{stem}.fault"] = b"Connection refused"
    engine.files["service/certificate.fault"] = b"the certificate cannot be shown"
    assert router.status().beside == (
        f"{said}, keys cannot be fetched from https://login.example.org/keys: Connection refused;"
        " those of 1970-01-01 00:00 UTC stay in force, the certificate cannot be shown"
    )


def test_where_what_it_says_cannot_be_read_nothing_is_said_of_its_keys(engine, keeper, router):
    provider = {
        "issuer": "https://login.example.org",
        "audience": "lab",
        "jwks_uri": "https://login.example.org/keys",
    }
    declare(keeper, {"port": 18443}, identity_provider=provider)
    router.publish(())
    said = "autoscaler runs; service on http://127.0.0.1:18443"
    assert router.status().beside == (
        f"{said}, keys of https://login.example.org/keys are being fetched; none were fetched yet,"
        " so its tokens are refused"
    )
    engine.unreadable = True
    assert router.status().beside == (
        f"{said}, whether its keys and certificate are in force is not known: read from"
        " container c2 on Docker host unix:///none.sock: status 500"
    )


def test_another_port_replaces_it_and_it_goes_with_the_service(engine, keeper, router):
    router.publish(())
    declare(keeper, {"port": 18444})
    router.publish(())
    assert [*engine.there] == ["c1", "c3"]
    declare(keeper, None)
    router.publish(())
    assert roles(engine) == ["autoscaler"]


def test_a_record_that_cannot_be_read_leaves_it(engine, keeper, router, web):
    router.publish(())

    def unreadable():
        raise TargetError("read", "a record", "it is corrupt")

    declare(keeper, None)  # as a record of which nothing is known says
    web._socket = unreadable
    router.publish(())
    assert roles(engine) == ["autoscaler", "web"]
