"""inferctl drift --adopt: the patch that declares what runs, as `patch` and `git apply` take it."""

import json
import shutil
import subprocess
from datetime import UTC, datetime

import pytest

WRITTEN = """\
# What the team serves.
name: demo
workspaces:
  - {name: default, target: memory}
environments:
  - name: plain
    command: [python, -m, http.server, "{port}"]
    inference_config:
      liveness_route: {path: /, port: 8080}
      readiness_route: {path: /, port: 8080}
      scoring_route: {path: /, port: 8080}
endpoints:
  - name: iris
    tags: {team: ml}
    traffic:
      blue: 100   # all of it
deployments:
  - endpoint: iris
    name: blue
    environment: plain:1
    request_settings:
      request_timeout_ms: 9000
  # on trial
  - {endpoint: iris, name: green, environment: "plain:1", environment_variables: {TOKEN: first}}
"""
BLUE, GREEN, ENDPOINT, TRAFFIC = (
    "Deployment/default/iris/blue",
    "Deployment/default/iris/green",
    "Endpoint/default/iris",
    "Traffic/default/iris",
)


def changed(cli, *changes):
    """Apply the file with some changes, and write it back as it was."""
    text = WRITTEN
    for was, now in changes:
        assert was in text
        text = text.replace(was, now)
    cli.file.write_text(text)
    result = cli("up")
    assert result.exit_code == 0, result.output
    cli.file.write_text(WRITTEN)
    return cli


OTHERWISE = (
    ("blue: 100   # all of it", "blue: 90\n      green: 10"),
    ("tags: {team: ml}", 'tags: {"a.b": c}\n    allowed_source_ranges: [10.0.0.0/8]'),
    ("request_timeout_ms: 9000", "request_timeout_ms: 8000\n    instance_count: 2"),
)


def apply(cli, patch: str, *command: str) -> None:
    if shutil.which(command[0]) is None:
        pytest.skip(f"no {command[0]} on PATH")
    folder = cli.file.parent
    done = subprocess.run(
        command, input=patch.encode(), cwd=folder, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("command", [("patch", "-p1"), ("git", "apply", "-")])
def test_a_patch_applies_and_leaves_no_drift(cli, command):
    changed(cli, *OTHERWISE)
    assert cli("drift").exit_code == 2
    result = cli("drift", "--adopt", "all")
    assert (result.exit_code, result.stderr) == (0, "")
    assert cli.file.read_text() == WRITTEN
    apply(cli, result.stdout, *command)
    assert cli("drift").exit_code == 0
    assert cli.file.read_text() == WRITTEN.replace(
        "blue: 100   # all of it", "blue: 90   # all of it\n      green: 10"
    ).replace(
        "tags: {team: ml}", "tags: {a.b: c}\n    allowed_source_ranges: [10.0.0.0/8]"
    ).replace("request_timeout_ms: 9000", "request_timeout_ms: 8000").replace(
        "environment: plain:1\n", "environment: plain:1\n    instance_count: 2\n"
    )


def test_only_what_is_named_is_in_the_patch(cli):
    changed(cli, *OTHERWISE)
    result = cli("drift", "--adopt", TRAFFIC)
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "--- a/stack.yaml",
        "+++ b/stack.yaml",
        "@@ -13,7 +13,8 @@",
        "   - name: iris",
        "     tags: {team: ml}",
        "     traffic:",
        "-      blue: 100   # all of it",
        "+      blue: 90   # all of it",
        "+      green: 10",
        " deployments:",
        "   - endpoint: iris",
        "     name: blue",
    ]


def test_what_cannot_be_adopted_is_told_and_the_rest_is_in_the_patch(cli):
    changed(cli, ("request_timeout_ms: 9000", "request_timeout_ms: 8000"))
    cli.file.write_text(WRITTEN.replace("name: green", "name: red"))
    result = cli("drift", "--adopt", "all")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "not in the patch: Deployment/default/iris/red: it is not there:"
        " remove it from the file, or `--fix` it",
        f"not in the patch: {GREEN}: it is declared nowhere: declare it, or `--fix` deletes it",
    ]
    assert "+      request_timeout_ms: 8000\n" in result.stdout


def test_a_patch_of_which_the_file_would_have_a_fault_is_not_printed(cli):
    changed(cli, *OTHERWISE[:1])
    cli.file.write_text("\n".join(x for x in WRITTEN.splitlines() if "green" not in x))
    result = cli("drift", "--adopt", TRAFFIC)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "traffic.green: the file would have a fault: no deployment 'green'" in result.stderr


def test_what_fits_together_is_in_the_patch_and_the_rest_is_told(cli):
    """Each of two adoptions may be fine, and both together a fault."""
    changed(
        cli,
        ("memory}", "memory, quota: {max_instances: 4}}"),
        ("request_timeout_ms: 9000", "request_timeout_ms: 9000\n    instance_count: 2"),
        ("{TOKEN: first}}", "{}, instance_count: 2}"),
        ("tags: {team: ml}", "tags: {team: ai}"),
    )
    cli.file.write_text(
        WRITTEN.replace("memory}", "memory, quota: {max_instances: 3}}").replace("TOKEN: first", "")
    )
    result = cli("drift", *(f"--adopt={one}" for one in (BLUE, GREEN, ENDPOINT)))
    assert result.exit_code == 2
    added = [line for line in result.stdout.splitlines() if line.startswith("+ ")]
    assert added == ["+    tags: {team: ai}", "+    instance_count: 2"]
    assert result.stderr.startswith(
        f"not in the patch: {GREEN} instance_count: the file would have a fault: "
    )


NEIGHBOURS = """\
    request_settings:
      request_timeout_ms: 9000
    environment_variables:
      URL: https://ann:hunter2@store.test/x
      PASSWORD: "${env:PASSWORD}"
    description: first
    instance_count: 1
"""


def test_a_patch_has_less_context_where_more_would_show_a_secret(cli, monkeypatch):
    """Its context is at least a line on both sides, or `git apply` would not take it."""
    monkeypatch.setenv("PASSWORD", "hunter3")
    text = WRITTEN[: WRITTEN.index("    request_settings")] + NEIGHBOURS
    cli.file.write_text(text.replace("instance_count: 1", "instance_count: 2"))
    assert cli("up").exit_code == 0
    cli.file.write_text(text)
    result = cli("drift", "--adopt", "all")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[3:] == [
        '       PASSWORD: "${env:PASSWORD}"',
        "     description: first",
        "-    instance_count: 1",
        "+    instance_count: 2",
    ]


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ("first}}", "first}, instance_count: 2}", f"{GREEN} instance_count"),
        ("ms: 9000", "ms: 8000", f"{BLUE} request_settings.request_timeout_ms"),
    ],
)
def test_what_no_patch_declares_without_showing_a_secret_is_told(cli, was, now, told):
    """It stands in the same line, or in the next."""
    text = WRITTEN.replace("  # on trial\n", "")
    cli.file.write_text(text.replace(was, now))
    assert cli("up").exit_code == 0
    cli.file.write_text(text)
    result = cli("drift", "--adopt", "all")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"not in the patch: {told}: its patch would show the secret in line 23\n"
    )


def test_a_secret_is_not_adopted_and_stands_in_no_patch(cli):
    changed(cli, ("TOKEN: first", "TOKEN: second"))
    result = cli("drift", "--adopt", "all")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"not in the patch: {GREEN} environment_variables.TOKEN: its value is a secret\n"
    )


def test_a_value_that_others_share_by_an_anchor_is_not_adopted(cli):
    text = WRITTEN.replace("- endpoint: iris", "- &blue\n    endpoint: iris")
    lines = [line for line in text.splitlines() if "green" not in line]
    shared = "\n".join([*lines, "  - <<: *blue", "    name: green", ""])
    cli.file.write_text(
        shared + "    request_settings: {request_timeout_ms: 9000}\n    instance_count: 2\n"
    )
    assert cli("up").exit_code == 0
    cli.file.write_text(shared)
    result = cli("drift", "--adopt", "all")
    assert result.exit_code == 0, result.stderr
    apply(cli, result.stdout, "patch", "-p1")
    assert cli("drift").exit_code == 0


def test_an_edit_that_would_make_something_else_differ_is_not_in_the_patch(cli):
    text = WRITTEN.replace("- endpoint: iris", "- &blue\n    endpoint: iris")
    lines = [line for line in text.splitlines() if "green" not in line]
    shared = "\n".join([*lines, "  - <<: *blue", "    name: green", ""])
    own = "    request_settings: {request_timeout_ms: 9000}\n"
    cli.file.write_text(
        shared.replace("request_timeout_ms: 9000", "request_timeout_ms: 7000") + own
    )
    assert cli("up").exit_code == 0
    cli.file.write_text(shared)
    result = cli("drift", "--adopt", "all")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"not in the patch: {BLUE} request_settings.request_timeout_ms: {GREEN} would differ then\n"
    )


def test_what_is_waived_is_adopted_only_by_name(cli):
    changed(cli, *OTHERWISE[:1])
    (cli.file.parent / "drift-waivers.yaml").write_text(
        f"waivers: [{{address: {TRAFFIC}, field: traffic, owner: a, reason: b,"
        f" expires: {datetime.now(UTC).date()}}}]\n"
    )
    assert cli("drift", "--adopt", "all").stdout == ""
    assert "+      green: 10" in cli("drift", "--adopt", TRAFFIC).stdout


def test_an_address_without_a_finding_is_refused(cli):
    changed(cli, *OTHERWISE[:1])
    result = cli("drift", "--adopt", BLUE, "--adopt", "iris")
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"{BLUE}: nothing of it differs; pass an address" in result.stderr
    assert "iris: nothing of it differs" in result.stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--fix", BLUE), "--fix brings back what is declared, --adopt declares what runs"),
        (("--json",), "--adopt prints a patch in place of a report; leave out --json, --format"),
        (("--format", "sarif"), "--adopt prints a patch in place of a report"),
        (("--history", "seen.json"), "--adopt prints a patch in place of a report"),
    ],
)
def test_what_contradicts_a_patch_is_refused(cli, more, said):
    result = cli("drift", "--adopt", "all", *more)
    assert (result.exit_code, result.stdout) == (1, "")
    assert said in result.stderr


def test_a_patch_of_nothing_is_told(cli):
    changed(cli)
    result = cli("drift", "--adopt", "all")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "nothing differs that is not waived: no patch\n"


def test_a_file_without_a_last_newline_is_patched(cli):
    text = WRITTEN.replace("TOKEN: first", "")
    cli.file.write_text(text.replace("{}}", "{}, instance_count: 2}"))
    assert cli("up").exit_code == 0
    cli.file.write_text(text.rstrip("\n"))
    result = cli("drift", "--adopt", "all")
    assert "\\ No newline at end of file\n" in result.stdout
    apply(cli, result.stdout, "git", "apply", "-")
    assert cli("drift").exit_code == 0
    assert json.loads(cli("drift", "--json").stdout)["counts"]["clean"] == 6


def test_a_file_that_is_not_utf_8_has_no_patch(cli):
    changed(cli, *OTHERWISE[:1])
    cli.file.write_text(WRITTEN, encoding="utf-16")
    result = cli("drift", "--adopt", "all")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "a patch is of UTF-8, and it is not; save it as UTF-8" in result.stderr


def test_a_patch_of_a_file_elsewhere_is_named_from_the_root_of_its_repository(cli, monkeypatch):
    changed(cli, *OTHERWISE[:1])
    (cli.file.parent / ".git").mkdir()
    for name in ("away", "team"):
        (cli.file.parent / name).mkdir()
    cli.file.rename(cli.file.parent / "team" / "stack.yaml")
    for folder, file in (("away", "../team/stack.yaml"), (".", "team/stack.yaml")):
        monkeypatch.chdir(cli.file.parent / folder)
        said = cli("drift", file, "--adopt", "all").stdout.splitlines()
        assert said[:2] == ["--- a/team/stack.yaml", "+++ b/team/stack.yaml"]
    monkeypatch.chdir(cli.file.parent / "team")
    assert cli("drift", "--adopt", "all").stdout.startswith("--- a/stack.yaml\n")
