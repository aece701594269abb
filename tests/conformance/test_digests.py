"""Secrets of variables and placeholders: what a record says of them needs the workspace's key."""

from pydantic import SecretStr

from inference_provider.drift import drift
from inference_provider.observed import Kind
from inference_provider.plan import plan
from inference_provider.secret_text import mark
from inference_provider.workspace.state import RECORDS

PIN, OTHER, NOTE = "4711", "4712", "tok-99"
"""Short: who has a digest of one finds it out by trying all."""


def with_pin(lab, pin=PIN, **others):
    return lab.deployment(environment_variables={"PIN": pin, "MODE": "fast", **others})


def noted(lab, note=NOTE):
    endpoint = lab.endpoint(description=f"asked with {note}")
    return endpoint.model_copy(update={"placeholders": (SecretStr(note),)})


def apply(lab, *deployments, note=NOTE):
    others = [one for one in lab.desired if one.id.kind not in (Kind.DEPLOYMENT, Kind.ENDPOINT)]
    before = [one for one in others if one.id.kind != Kind.TRAFFIC]
    lab.apply(*before, noted(lab, note), *deployments)


def documents(lab) -> str:
    return "".join(one.decode() for one in lab.ports.records.section(RECORDS).values())


def planned(lab, *desired):
    state = lab.target.observe([lab.workspace])
    found = {one.id: one for one in (*lab.desired, *desired) if one.id.kind != Kind.TRAFFIC}
    return [
        f"{one.kind.value} {one.id.kind}" for one in plan(found.values(), state, "demo").pending
    ]


def test_no_record_has_a_digest_that_tells_a_short_secret_to_who_tries_all(lab):
    apply(lab, with_pin(lab))
    kept = documents(lab)
    assert mark(PIN) not in kept
    assert mark(NOTE) not in kept
    assert kept.count("secret:hmac:") == 3  # two variables, and a placeholder
    record = lab.state.record(with_pin(lab).id)
    assert record.properties["environment_variables"]["PIN"] == mark(PIN)


def test_the_same_secrets_are_no_change_and_others_are(lab):
    apply(lab, with_pin(lab))
    assert planned(lab, with_pin(lab), noted(lab)) == []
    assert planned(lab, with_pin(lab, OTHER), noted(lab)) == ["update Deployment"]
    assert planned(lab, with_pin(lab), noted(lab, "tok-98")) == ["update Endpoint"]


def test_another_secret_starts_new_instances_and_the_same_one_none(lab):
    apply(lab, with_pin(lab))
    first = lab.instances()
    apply(lab, with_pin(lab))
    assert lab.instances() == first
    apply(lab, with_pin(lab, OTHER))
    assert not {*lab.instances()} & {*first}


def as_before(lab) -> None:
    """Write records as an older release did: plain digests, and no key."""
    records, state = lab.ports.records, lab.state
    found = [state.record(one) for one in (with_pin(lab).id, noted(lab).id)]
    with records.edit():
        records.drop("store_key", "key")
        for one in found:
            text = one.model_dump_json(indent=1)
            records.put(RECORDS, f"{one.id.kind.value}.{one.id.name}", text)


def test_records_of_older_releases_are_no_drift_and_start_nothing(lab):
    apply(lab, with_pin(lab))
    first, generation = lab.instances(), lab.state.record(with_pin(lab).id).generation
    as_before(lab)
    assert mark(PIN) in documents(lab)
    declared = [one for one in lab.desired if one.id.kind not in (Kind.TRAFFIC,)]
    wanted = {one.id: one for one in (*declared, with_pin(lab), noted(lab))}
    state = lab.target.observe([lab.workspace])
    assert plan(wanted.values(), state, "demo").pending == ()
    verdicts = {one.verdict for one in drift(wanted.values(), state, "demo").resources}
    assert verdicts == {"clean"}
    apply(lab, with_pin(lab))
    assert lab.instances() == first
    assert lab.state.record(with_pin(lab).id).generation == generation
    assert mark(PIN) not in documents(lab)  # each is kept by a key from its next change on
    assert mark(NOTE) not in documents(lab)
