"""A deployment changes: the new generation serves before the old one goes, or nothing changes."""

import pytest

from inference_provider.errors import NotReady, TargetError
from inference_provider.observed import Kind
from tests.conformance.labs import ANN


def backends_of(table, endpoint="iris", deployment="blue"):
    """Return the published backends of one deployment; empty when it is not published."""
    found = [d for e in table if e.name == endpoint for d in e.deployments if d.name == deployment]
    return found[0].backends if found else ()


def test_a_new_generation_serves_and_the_old_one_is_gone_after(served):
    old = served.instances()
    changed = served.deployment(environment_variables={"ANSWER": "2"})
    served.apply(changed)
    assert list(served.instances().values()) == [changed.generation]
    assert not served.instances().keys() & old.keys()
    assert served.target.record(changed.id).generation == changed.generation
    assert backends_of(served.router.tables[-1]) == served.admitted()
    assert served.ask() == 200


def test_the_old_generation_serves_until_the_new_one_does(served):
    before = served.admitted()
    published = len(served.router.tables)
    seen = []

    def progress(_id, told):
        seen.append((told, served.ask(), served.admitted()))

    served.target.apply(served.deployment(environment_variables={"ANSWER": "2"}), ANN, progress)
    after = served.admitted()
    assert [told for told, _, _ in seen if "built" not in told and "pod" not in told] == [
        "1 of 1 new instances ready",
        "1 instance admitted by the router",
        "1 old instance drained and stopped",
    ]
    assert {status for _, status, _ in seen} == {200}
    assert [there for told, _, there in seen if "ready" in told] == [before]
    assert [backends_of(table) for table in served.router.tables[published:]] == [after]


def test_a_change_that_needs_no_new_process_keeps_the_instances(served):
    before = served.instances()
    served.apply(served.deployment(description="of flowers"))
    assert served.instances() == before
    assert served.target.record(served.of(Kind.DEPLOYMENT).id).properties["description"] == (
        "of flowers"
    )


def test_a_new_generation_that_does_not_start_changes_nothing(served):
    documents, instances = served.documents(), served.instances()
    publications, journal = served.router.attempts, served.journal()
    with pytest.raises(NotReady, match=r"start Deployment 'lab\w+/iris/blue'"):
        served.apply(served.deployment(environment_variables={"FAIL": "1"}, instance_count=2))
    assert served.documents() == documents
    assert served.instances() == instances
    assert served.router.attempts == publications
    assert served.journal() == journal
    assert served.target.observe_one(served.of(Kind.DEPLOYMENT).id).degraded == ""
    assert served.ask() == 200


def test_after_a_start_that_failed_the_next_one_works(served):
    with pytest.raises(NotReady):
        served.apply(served.deployment(environment_variables={"FAIL": "1"}))
    served.apply(served.deployment(environment_variables={"ANSWER": "2"}))
    assert len(served.instances()) == 1
    assert served.ask() == 200


def test_a_first_start_that_fails_leaves_no_deployment(served):
    documents = served.documents()
    green = served.deployment("green", environment_variables={"FAIL": "1"})
    with pytest.raises(NotReady):
        served.apply(green)
    assert served.documents() == documents
    assert served.instances("iris/green") == {}
    assert served.target.record(green.id) is None


def test_an_exception_of_who_is_told_undoes_the_start(served):
    def interrupt(_id, told):
        if told == "1 of 2 new instances ready":
            raise KeyboardInterrupt

    documents, instances = served.documents(), served.instances()
    wanted = served.deployment(environment_variables={"ANSWER": "2"}, instance_count=2)
    with pytest.raises(KeyboardInterrupt):
        served.target.apply(wanted, ANN, interrupt)
    assert served.documents() == documents
    assert served.instances() == instances
    assert served.ask() == 200


def test_scaling_out_keeps_what_runs(served):
    before = served.instances()
    served.apply(served.deployment(instance_count=3))
    assert before.items() <= served.instances().items()
    assert len(served.instances()) == len(backends_of(served.router.tables[-1])) == 3


def make_older(lab):
    """Write the record of iris/blue as a release did that named no instances in it."""
    blue = lab.of(Kind.DEPLOYMENT).id
    named = lab.target.record(blue)
    lab.state.put_record(named.model_copy(update={"admitted": None}))


def test_what_starts_beside_instances_that_an_older_record_admits_is_not_published(served):
    if served.ports.compute.replaces_instances:
        pytest.skip("its records admit generations, not instances")
    make_older(served)
    before = served.admitted()
    seen = []

    def progress(_id, told):
        if "ready" in told:
            served.apply(served.endpoint(f"rose{len(seen)}"))
            seen.append(backends_of(served.router.tables[-1]))

    served.target.apply(served.deployment(instance_count=3), ANN, progress)
    assert seen == [before, before]
    assert len(backends_of(served.router.tables[-1])) == 3


def test_a_start_that_fails_beside_an_older_record_is_no_change(served):
    make_older(served)
    instances, journal = served.instances(), served.journal()
    with pytest.raises(NotReady):
        served.apply(served.deployment(environment_variables={"FAIL": "1"}))
    assert (served.instances(), served.journal()) == (instances, journal)
    assert served.ask() == 200


def test_scaling_in_keeps_some_of_what_runs(served):
    served.apply(served.deployment(instance_count=3))
    three = served.instances()
    served.apply(served.deployment(instance_count=1))
    assert served.instances().items() <= three.items()
    assert len(served.instances()) == len(backends_of(served.router.tables[-1])) == 1
    assert served.ask() == 200


def test_a_deployment_scaled_to_0_has_no_backends_and_comes_back(served):
    served.apply(served.deployment(instance_count=0))
    assert served.instances() == {}
    assert backends_of(served.router.tables[-1]) == ()
    assert served.ask() == 503
    served.apply(served.deployment(instance_count=1))
    assert served.ask() == 200


def test_a_replacement_that_is_asked_for_gets_new_instances_of_the_same_generation(served):
    before = served.instances()
    blue = served.of(Kind.DEPLOYMENT)
    served.apply(blue.model_copy(update={"made_again": True}))
    assert [*served.instances().values()] == [blue.generation]
    assert not served.instances().keys() & before.keys()
    assert served.ask() == 200


def test_what_is_observed_counts_the_instances(served):
    served.apply(served.deployment(instance_count=2))
    found = served.target.observe_one(served.of(Kind.DEPLOYMENT).id)
    assert found.live == {"instance_count": 2}
    assert (found.status, found.degraded) == ("2 of 2 instances ready", "")


def test_a_deployment_whose_environment_is_not_there_is_refused(served):
    documents = served.documents()
    with pytest.raises(TargetError, match=r"is not in the workspace"):
        served.apply(served.deployment(environment=f"plain:2@sha256:{64 * '0'}"))
    assert served.documents() == documents
