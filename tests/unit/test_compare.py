"""The only comparison: fields, their class, their severity, and no secrets."""

import pytest

from inference_provider.compare import compare, heaviest, show
from inference_provider.desired import properties_of
from inference_provider.observed import Kind
from inference_provider.secret_text import mark
from inference_provider.spec import ChangeClass, DeploymentSpec, Severity, TrafficSpec


def properties(**fields):
    base = {"endpoint": "iris", "name": "blue", "environment": "env:1"}
    return properties_of(DeploymentSpec.model_validate(base | fields))


def changes(old, new):
    return compare(Kind.DEPLOYMENT, properties(**old), properties(**new))


def test_the_same_twice_is_no_change():
    assert changes({}, {}) == ()
    assert heaviest(()) is None


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        ({"instance_count": 3}, "instance_count: 1 -> 3 (live)"),
        (
            {"request_settings": {"request_timeout_ms": 9000}},
            "request_settings.request_timeout_ms: 5000 -> 9000 (live)",
        ),
        ({"tags": {"team": "a"}}, "tags.team: (none) -> a (live)"),
        ({"environment": "env:2"}, "environment: env:1 -> env:2 (rolling)"),
        ({"resources": {"limits": {"gpu": 1}}}, "resources.limits.gpu: (none) -> 1 (rolling)"),
        ({"endpoint": "other"}, "endpoint: iris -> other (replace)"),
    ],
)
def test_a_change_names_field_values_and_cost(new, expected):
    assert [str(change) for change in changes({}, new)] == [expected]


def test_changes_come_in_the_specs_order_of_fields():
    found = changes({}, {"tags": {"a": "b"}, "instance_count": 2, "environment": "env:2"})
    assert [change.path for change in found] == ["environment", "instance_count", "tags.a"]


def test_a_removed_entry_is_a_change():
    [change] = changes({"tags": {"team": "a"}}, {})
    assert (change.path, change.old, change.new) == ("tags.team", "a", None)


def test_severity_comes_from_the_field():
    assert changes({}, {"egress_public_network_access": "disabled"})[0].severity == "security"
    assert changes({}, {"description": "x"})[0].severity == Severity.COSMETIC


def test_closing_egress_needs_new_instances():
    closed = {"egress_public_network_access": "disabled"}
    assert str(changes({}, closed)[0]) == (
        "egress_public_network_access: enabled -> disabled (rolling)"
    )


def test_floats_for_integers_are_no_change():
    old = TrafficSpec(endpoint="iris", traffic={"blue": 90, "green": 10}).model_dump()
    new = {**old, "traffic": {"blue": 90.0, "green": 10.0}}
    assert compare(Kind.TRAFFIC, old, new) == ()


def test_shares_that_are_not_known_yet_are_a_change():
    unknown = object()
    old, new = {"endpoint": "iris", "traffic": {"blue": 100}}, {"endpoint": "iris"}
    [change] = compare(Kind.TRAFFIC, old, {**new, "traffic": unknown})
    assert (change.path, change.new) == ("traffic", unknown)


def test_tuples_and_lists_are_one():
    assert compare(Kind.ENVIRONMENT, {"command": ("a",)}, {"command": ["a"]}) == ()


def test_floats_inside_lists_of_mappings_are_no_change():
    old, new = {"metrics": [{"window_s": 300}]}, {"metrics": [{"window_s": 300.0}]}
    assert compare(Kind.AUTOSCALE_RULE, old, new) == ()


@pytest.mark.parametrize("old", [{}, {"environment_variables": {"TOKEN": "hunter1"}}])
def test_a_secret_is_never_in_a_changes_text(old):
    new = {"environment_variables": {"TOKEN": "hunter2"}}
    [change] = changes(old, new)
    first = "[secret]" if old else "(none)"
    assert str(change) == f"environment_variables.TOKEN: {first} -> [secret] (rolling)"


def test_secrets_of_a_field_that_was_not_there_do_not_show():
    new = properties(environment_variables={"TOKEN": "hunter2"})
    [change] = compare(Kind.DEPLOYMENT, {}, {"environment_variables": new["environment_variables"]})
    assert "sha256" not in str(change)


def test_a_digest_is_shortened():
    old, new = f"iris:1@sha256:{'a' * 64}", f"iris:1@sha256:{'b' * 64}"
    [change] = changes({"model": old}, {"model": new})
    assert str(change) == "model: iris:1@aaaaaaaaaaaa -> iris:1@bbbbbbbbbbbb (rolling)"


def test_the_heaviest_change_decides():
    found = changes({}, {"instance_count": 2, "environment": "env:2"})
    assert heaviest(found) == ChangeClass.ROLLING
    assert heaviest(found[1:]) == ChangeClass.LIVE


def test_fields_of_a_newer_release_are_read_over():
    assert compare(Kind.TRAFFIC, {"unheard_of": 1}, {}) == ()


def test_a_certificate_is_shown_by_its_hash():
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    old, new = ({"tls": {"certificate": text, "private_key": "k"}} for text in (pem, pem + "x"))
    [change] = compare(Kind.WORKSPACE, {"name": "lab", **old}, {"name": "lab", **new})
    assert str(change) == "tls.certificate: PEM 8010bfcee184 -> PEM a57f18e30023 (live)"


def test_a_block_that_comes_or_goes_is_shown_in_short_without_what_is_not_set():
    pem = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
    old = {"name": "lab"}
    new = {
        "name": "lab",
        "tls": {"certificate": pem, "private_key": mark("k" * 40), "generate": False, "names": []},
    }
    [change] = compare(Kind.WORKSPACE, old, new)
    assert str(change) == (
        "tls: (none) -> {certificate: PEM 8010bfcee184, private_key: [secret], generate: False,"
        " minimum_version: 1.2} (live)"
    )


def test_texts_of_a_list_that_could_be_taken_for_others_are_in_quotes():
    assert show(["a, b", "c", "", "it's", 1, {"x": "y: z", "n": None}]) == (
        "['a, b', c, '', \"it's\", 1, {x: 'y: z'}]"
    )


@pytest.mark.parametrize(
    ("value", "shown"),
    [("", "''"), (" ", "' '"), ("a ", "'a '"), ("a b", "a b"), ("\n ", "'\\n '")],
)
def test_a_text_of_which_nothing_or_no_end_could_be_seen_is_in_quotes(value, shown):
    assert show(value) == shown
