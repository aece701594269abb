"""What diff and read call a difference, and what they do not."""

import pytest
from tests.memory import with_environment
from tests.providers import PLAIN, ROUTES, checked

from inference_provider.dynamic.deployment import DeploymentProvider
from inference_provider.dynamic.endpoint import EndpointProvider
from inference_provider.dynamic.environment import EnvironmentProvider
from inference_provider.dynamic.model import ModelProvider


def older(bag, *fields):
    """A bag as a release wrote it that did not know some fields yet."""
    return {name: item for name, item in bag.items() if name not in fields}


def test_diff_leaves_changes_to_the_engine_and_names_replacing_fields(target):
    olds = checked(EndpointProvider(), name="echo")
    other_kind = {**olds, "kind": "batch"}
    other_name = {**olds, "name": "other"}
    provider, address = EndpointProvider(), "Endpoint/default/echo"

    same = provider.diff(address, olds, olds)
    assert (same.changes, same.replaces, same.delete_before_replace) == (False, [], False)
    kind = provider.diff(address, olds, other_kind)
    assert (kind.replaces, kind.delete_before_replace) == (["kind"], True)
    name = provider.diff(address, olds, other_name)
    assert (name.replaces, name.delete_before_replace) == (["name"], False)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"stack": "other"}, id="owner"),
        pytest.param({"placeholders": ["tok-4711"]}, id="placeholders"),
        pytest.param({"tags": {"path": "b"}}, id="a tag that is called as a path is"),
    ],
)
def test_what_differs_is_left_for_the_engine_to_name(target, changed):
    provider = EndpointProvider()
    olds = checked(provider, name="echo", tags={"path": "a"})
    assert provider.diff("Endpoint/default/echo", olds, {**olds, **changed}).changes is None


def test_the_same_content_in_another_folder_is_no_difference(target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a.bin", "b.bin"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "w").write_bytes(b"one")
    provider = ModelProvider()
    olds = checked(provider, name="m", path="a.bin")
    moved = {**olds, "path": "b.bin"}

    assert provider.diff("Model/default/m:1", olds, moved).changes is False


def test_a_default_that_a_newer_release_adds_is_no_difference(echo):
    """An `up` after an upgrade changes nothing, neither at the top nor inside a field."""
    provider = DeploymentProvider()
    news = checked(provider, endpoint="echo", name="blue", **PLAIN)
    settings = older(news["request_settings"], "retry_on_503")
    olds = {**older(news, "start_timeout_s"), "request_settings": settings}

    assert provider.diff("Deployment/default/echo/blue", olds, news).changes is False
    other = {**news, "start_timeout_s": 7}
    assert provider.diff("Deployment/default/echo/blue", olds, other).changes is None


def test_a_refresh_after_an_upgrade_shows_no_default_of_the_newer_release(echo):
    with_environment(echo, "0" * 64)
    provider = DeploymentProvider()
    news = checked(provider, endpoint="echo", name="blue", **PLAIN)
    made = provider.create(news)
    settings = older(news["request_settings"], "retry_on_503")
    outs = {**older(made.outs, "start_timeout_s"), "request_settings": settings}

    read = provider.read(made.id, outs)

    assert "start_timeout_s" not in read.inputs
    olds = {**older(news, "start_timeout_s"), "request_settings": settings}
    assert provider.diff(made.id, read.outs, olds).changes is False  # as a refresh asks


def test_drift_of_a_field_that_a_state_has_no_value_for_is_read(echo):
    with_environment(echo, "0" * 64)
    deployment = DeploymentProvider()
    news = checked(deployment, endpoint="echo", name="blue", **PLAIN)
    made = deployment.create(news)
    deployment.update(made.id, made.outs, {**news, "start_timeout_s": 7})
    read = deployment.read(made.id, older(made.outs, "start_timeout_s"))
    assert read.inputs["start_timeout_s"] == 7
    olds = older(news, "start_timeout_s")
    assert deployment.diff(made.id, read.outs, olds).changes is None

    environment = EnvironmentProvider()
    none = checked(environment, name="env")
    made = environment.create(none)
    assert "python_version" not in made.outs
    environment.update(made.id, made.outs, checked(environment, name="env", python_version="3.12"))
    assert environment.read(made.id, made.outs).inputs["python_version"] == "3.12"


def test_drift_of_a_tag_and_of_a_route_that_are_called_as_a_path_is_read(target):
    provider = EnvironmentProvider()
    fields = {"name": "env", "command": ["python"], "inference_config": ROUTES}
    mine = checked(provider, **fields, tags={"path": "a"})
    moved = {**ROUTES, "scoring_route": {"path": "/score", "port": 1}}
    made = provider.create(mine)
    theirs = checked(provider, **{**fields, "inference_config": moved}, tags={"path": "b"})
    provider.update(made.id, made.outs, theirs)

    read = provider.read(made.id, made.outs).inputs
    assert read["tags"] == {"path": "b"}
    assert read["inference_config"]["scoring_route"]["path"] == "/score"
