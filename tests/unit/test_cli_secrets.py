"""What a placeholder stood for, and userinfo of a URL, in all that inferctl says and keeps."""

import json

import pytest
from tests.memory import state_of, write_record

from inference_provider.compare import generation_after
from inference_provider.desired import resolve
from inference_provider.errors import SpecError, TargetError
from inference_provider.files import load_stack
from inference_provider.observed import Kind, ResourceId
from inference_provider.targets.memory import MemoryTarget

PLAIN = ResourceId(kind=Kind.ENVIRONMENT, workspace="default", name="plain:1")
BLUE = ResourceId(kind=Kind.DEPLOYMENT, workspace="default", name="iris/blue")
ENDPOINT = ResourceId(kind=Kind.ENDPOINT, workspace="default", name="iris")
STACK = """\
name: demo
workspaces: [{name: default, target: memory, description: "for ${env:TOKEN}"}]
environments:
  - name: plain
    dependencies: ["six @ http://build:${env:TOKEN}@feed.test/six.whl", "attrs==25.1"]
    command: [serve, "--token=${env:TOKEN}", "http://ana:by-hand@feed.test/"]
    inference_config:
      liveness_route: {path: /, port: 80}
      readiness_route: {path: /, port: 80}
      scoring_route: {path: /, port: 80}
    tags: {token: "${env:TOKEN}"}
endpoints: [{name: iris, description: "ask ${file:token.txt}"}]
deployments: [{endpoint: iris, name: blue, environment: "plain:1", tags: {seen: "${env:TOKEN}"}}]
"""


@pytest.fixture
def secret(cli, tmp_path, monkeypatch):
    """The command line over a stack with a token; call it to rotate the token."""
    cli.file.write_text(STACK)

    def rotate(token):
        monkeypatch.setenv("TOKEN", token)
        (tmp_path / "token.txt").write_text(token)

    rotate("tok-OLD-4711")
    return rotate


def everything(cli):
    return "".join(
        cli(*args).output
        for args in (
            ("plan",),
            ("plan", "--json"),
            ("status", "--json"),
            *(("drift", "--format", form) for form in ("text", "json", "markdown", "junit")),
            ("up", "-y"),
        )
    )


def in_clear(target):
    """Put records as an older release wrote them: what placeholders stood for in clear."""
    for record in state_of(target).sorted_out()[0]:
        text = json.dumps(record.properties)
        for sealed, plain in SEALED.items():
            text = text.replace(sealed, plain)
        write_record(target, record.model_copy(update={"properties": json.loads(text)}))


SEALED = {
    "secret:sha256:a71773e7f9389fb6": "tok-OLD-4711",
    "secret:sha256:e5d6bd8f3f43b78f": "build:tok-OLD-4711",
    "secret:sha256:b9e5cdd27485905d": "ana:by-hand",
}


def test_a_rotated_token_is_a_change_that_shows_neither_value(cli, secret):
    assert cli("up").exit_code == 0
    secret("tok-NEW-0815")
    plan = cli("plan").output
    assert "tags.token: [secret] -> [secret] (live)" in plan
    assert "http://[secret]@feed.test/six.whl" in plan
    said = everything(cli)
    assert [word for word in ("tok-", "by-hand", "secret:sha256") if word in said] == []


def test_records_hold_a_digest_where_a_token_stood(cli, secret):
    cli("up")
    kept = json.dumps(
        [r.record.properties for r in cli.target.observe(["default"]).resources.values()]
    )
    assert "tok-" not in kept
    assert "by-hand" not in kept
    fields = cli.target.observe_one(PLAIN).properties
    assert fields["tags"] == {"token": "secret:sha256:a71773e7f9389fb6"}
    assert fields["dependencies"][1] == "attrs==25.1"


def test_a_record_of_an_older_release_is_no_change(cli, secret):
    cli("up")
    in_clear(cli.target)
    assert "tok-OLD" in json.dumps(cli.target.observe_one(PLAIN).properties)
    assert cli("plan").stdout == "no changes; 4 unchanged\n"
    assert cli("drift").exit_code == 0


def test_the_old_token_in_a_record_of_an_older_release_is_never_shown(cli, secret):
    cli("up")
    in_clear(cli.target)
    secret("tok-NEW-0815")
    plan = cli("plan").output
    assert "tags.token: [secret] -> [secret] (live)" in plan
    assert "description: [secret] -> ask [secret] (live)" in plan
    assert "attrs==25.1" in plan
    said = everything(cli)
    assert [word for word in ("tok-", "by-hand", "secret:sha256") if word in said] == []


def test_a_record_of_an_older_release_keeps_its_generation(cli, secret):
    cli("up")
    in_clear(cli.target)
    record = cli.target.observe_one(BLUE).record.model_copy(update={"generation": "1db77fcf4d36"})
    [blue] = [r for r in resolve(load_stack(cli.file)) if r.id == BLUE]
    assert generation_after(blue, record) == "1db77fcf4d36"


def test_a_value_hides_in_its_own_item_alone(cli, secret, monkeypatch):
    cli.file.write_text(STACK.replace("${env:TOKEN}", "${env:STAGE}", 1))
    monkeypatch.setenv("STAGE", "iris")
    assert "+ Endpoint 'default/iris'" in cli("plan").stdout


class LoudTarget(MemoryTarget):
    """Quotes what it was given, as uv and Envoy do."""

    def apply(self, desired, actor, progress=None, for_each=None):
        if desired.id == PLAIN:
            try:
                raise ValueError(f"cannot fetch {desired.spec.dependencies[0]}")
            except ValueError as exc:
                said = f"{exc}; ran {' '.join(desired.spec.command)}"
                raise TargetError("build environment", str(desired.id), said) from exc
        return super().apply(desired, actor)


@pytest.mark.parametrize("more", [(), ("--traceback",)])
def test_an_error_that_quotes_a_token_shows_none(cli, secret, more):
    cli.target = LoudTarget()
    result = cli(*more, "up")
    assert result.exit_code == 1
    assert "cannot fetch six @ http://[secret]@feed.test/six.whl" in result.stderr
    assert "--token=[secret]" in result.stderr
    assert "tok-" not in result.output
    assert "by-hand" not in result.output


def test_a_fault_of_an_image_shows_no_token(cli, secret):
    brought = '  - {name: brought, image: "${env:TOKEN}"}'
    cli.file.write_text(cli.STACK.replace("endpoints:", f"{brought}\nendpoints:", 1))
    result = cli("plan")
    assert "environments.1.image: not the name of an image; write it like" in result.stderr
    assert "tok-" not in result.output


def test_a_fault_that_quotes_an_instance_type_shows_no_token(cli, secret):
    text = cli.STACK.replace("name: green,", 'name: green, instance_type: "${env:TOKEN}",')
    cli.file.write_text(text)
    result = cli("plan")
    assert "line 14: deployments.1.instance_type: no instance type '${env:TOKEN}'" in result.stderr
    assert "tok-" not in result.output


def test_a_fault_that_quotes_a_url_shows_no_userinfo(cli):
    document = "name: demo\nmodels: [{name: m, path: 'https://ana:by-hand@feed.test/m'}]\n"
    cli.file.write_text(document)
    with pytest.raises(SpecError) as caught:
        load_stack(cli.file)
    assert "no file or folder 'https://[secret]@feed.test/m'" in str(caught.value)
