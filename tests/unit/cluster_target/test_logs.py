"""Logs of a workspace in a cluster: who sends them, by which rights, and what is said of that."""

from tests.cluster_api import client_of
from tests.unit.cluster_target.stack import ANN, desired
from tests.unit.cluster_target.test_service import RIGHTS, apply, stack, there

from inference_provider.observed import Kind, ResourceId
from inference_provider.spec.logs import LogSettings
from inference_provider.targets.kubernetes.kept_sent import KeptSent
from inference_provider.targets.log_tail import Position
from inference_provider.targets.sent_logs import SentLogs

SPACE = ResourceId(kind=Kind.WORKSPACE, workspace="demo", name="demo")
URL = "http://otel.observability:4318"
BOOK = "/api/v1/namespaces/lab/configmaps/inference-logs"
SENT = SentLogs(positions={"events": Position(inode=0, offset=7, head="1")}, lost=0)


def space(url: str = ""):
    found = desired()[Kind.WORKSPACE]
    logs = LogSettings(otlp_endpoint=url) if url else None
    return found.model_copy(update={"spec": found.spec.model_copy(update={"logs": logs})})


def may(api) -> set[tuple[str, str]]:
    rules = api.objects[f"{RIGHTS}/roles/inference-service"]["rules"]
    return {(one, verb) for rule in rules for one in rule["resources"] for verb in rule["verbs"]}


def test_the_service_is_there_while_logs_are_sent_and_may_read_them_no_longer_than_that(
    api, engine
):
    engine.apply(space(), ANN)
    assert there(api) == set()
    engine.apply(space(URL), ANN)
    assert {("pods/log", "get"), ("events", "list")} <= may(api)
    KeptSent(client_of(api), "lab", "demo").read()
    assert BOOK in api.objects
    engine.apply(space(), ANN)
    assert there(api) == set()
    assert BOOK not in api.objects


def test_a_service_that_was_there_before_gets_the_right_to_logs_and_loses_it(api, engine):

    apply(engine, stack(blue=100))
    assert ("pods/log", "get") not in may(api)
    engine.apply(space(URL), ANN)
    assert ("pods/log", "get") in may(api)
    engine.apply(space(), ANN)
    assert ("pods/log", "get") not in may(api)


def test_what_one_service_has_sent_the_next_one_goes_on_from_and_every_client_reads(api):
    book = KeptSent(client_of(api), "lab", "demo")
    assert (book.sent(), book.is_there) == (SentLogs(), False)
    assert book.read() == b""
    book.write(SENT.model_dump_json())
    another = KeptSent(client_of(api), "lab", "demo")
    assert another.sent() == SENT
    assert another.read().decode() == SENT.model_dump_json()
    api.drop(BOOK)
    book.write(SENT.model_dump_json())
    assert another.sent() == SENT
    another.forget()
    assert BOOK not in api.objects
