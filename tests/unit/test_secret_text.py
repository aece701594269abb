"""Secrets inside text: sealed, hidden, and what is too ordinary to be one."""

import hashlib

import pytest
from pydantic import SecretStr
from tests.growth import EIGHT_TIMES, growth

from inference_provider.secret_text import hidden, sealed
from inference_provider.spec import DeploymentSpec, EndpointSpec, EnvironmentSpec, WorkspaceSpec
from inference_provider.spec.free_text import is_free_text

TOKEN = (SecretStr("tok-4711"),)
DIGEST = "secret:sha256:" + hashlib.sha256(b"tok-4711").hexdigest()[:16]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("six @ https://build:tok@feed.test/six.whl", "six @ https://[secret]@feed.test/six.whl"),
        ("https://ghp_0123@github.com/a.git@v1", "https://[secret]@github.com/a.git@v1"),
        ("redis://:p@ss@cache:6379/0", "redis://[secret]@cache:6379/0"),
        ("a http://u:1@x b http://u:2@y", "a http://[secret]@x b http://[secret]@y"),
        ("git+https://github.com/org/repo.git@v1.2", "git+https://github.com/org/repo.git@v1.2"),
        ("https://feed.test/simple?to=a@b.test", "https://feed.test/simple?to=a@b.test"),
        ("iris:1@sha256:00", "iris:1@sha256:00"),
        ("https://[secret]@feed.test", "https://[secret]@feed.test"),
        ("ssh://ana@gpu-1: refused", "ssh://ana@gpu-1: refused"),
        ("write ssh://user@host, tcp://u@h", "write ssh://user@host, tcp://[secret]@h"),
        ("ssh://ana:pw@gpu-1", "ssh://[secret]@gpu-1"),
    ],
)
def test_userinfo_of_a_url_is_hidden_and_nothing_else_of_it(text, shown):
    assert hidden(text) == shown


def test_the_name_of_an_ssh_user_that_is_a_secret_is_hidden():
    assert hidden("ssh://tok-4711@gpu-1", TOKEN) == "ssh://[secret]@gpu-1"
    assert hidden("ssh://ana@gpu-1", (SecretStr("ana"),)) == "ssh://[secret]@gpu-1"
    assert hidden("ssh://my-tok-4711@gpu-1", TOKEN) == "ssh://[secret]@gpu-1"


def test_a_value_is_sealed_wherever_it_stands_in_a_text():
    assert sealed("Bearer tok-4711, tok-4711", TOKEN) == f"Bearer {DIGEST}, {DIGEST}"
    assert hidden("Bearer tok-4711", TOKEN) == "Bearer [secret]"


def test_sealing_twice_changes_nothing():
    secrets = (SecretStr("secret"), SecretStr("sha256"), SecretStr("tok-4711"))
    once = sealed("http://u:p@host/tok-4711?secret", secrets)
    assert sealed(once, secrets) == once


@pytest.mark.parametrize(
    ("value", "text", "shown"),
    [
        pytest.param("eu", "queue", "queue", id="short inside a word"),
        pytest.param("eu", "eu", "[secret]", id="short and all of the text"),
        pytest.param("true", "true", "true", id="an ordinary word"),
        pytest.param("False", "False", "False", id="an ordinary word in any case"),
        pytest.param("    ", "a    b", "a    b", id="blanks"),
        pytest.param("line one\nline two", "x line one\nline two", "x [secret]", id="two lines"),
    ],
)
def test_what_is_short_or_ordinary_hides_no_other_text(value, text, shown):
    assert hidden(text, (SecretStr(value),)) == shown


def test_the_longer_of_two_values_is_taken():
    secrets = (SecretStr("tok-"), SecretStr("tok-4711"))
    assert hidden("a tok-4711 b", secrets) == "a [secret] b"


def test_the_time_grows_with_the_length_of_a_text_of_urls():
    def hide(count: int) -> None:
        hidden("http://" * count + "a" * 10 * count)

    assert growth(hide, 2500) < EIGHT_TIMES


@pytest.mark.parametrize(
    ("spec_type", "path"),
    [
        (EnvironmentSpec, "dependencies"),
        (EnvironmentSpec, "command"),
        (EnvironmentSpec, "image"),
        (EndpointSpec, "tags.path"),
        (WorkspaceSpec, "description"),
        (DeploymentSpec, "code_configuration.scoring_script"),
    ],
)
def test_text_of_a_persons_own_may_hold_a_secret(spec_type, path):
    assert is_free_text(spec_type, path)


@pytest.mark.parametrize(
    ("spec_type", "path"),
    [
        (EnvironmentSpec, "name"),
        (EnvironmentSpec, "python_version"),
        (EnvironmentSpec, "content_hash"),
        (EnvironmentSpec, "requirements_file"),
        (WorkspaceSpec, "bind_address"),
        (EndpointSpec, "auth_mode"),
        (DeploymentSpec, "environment"),
        (DeploymentSpec, "model"),
        (DeploymentSpec, "instance_count"),
        (DeploymentSpec, "code_configuration.code"),
        (DeploymentSpec, "resources.limits.cpu"),
        (EnvironmentSpec, "inference_config.scoring_route.path"),
        (DeploymentSpec, "code_configuration.content_hash"),
        (DeploymentSpec, "nothing_of_it"),
    ],
)
def test_names_references_words_and_folders_hold_none(spec_type, path):
    assert not is_free_text(spec_type, path)
