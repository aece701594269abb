"""Who changes something: this process's user, its CI job, and what was run.

Goes in: environment variables and the login name. Comes out: the Actor that records and the
journal keep. No secret of a CI system is read.
"""

import getpass
import os
from collections.abc import Mapping

from inference_provider.observed import Actor

_CI_JOBS = (
    ("GITHUB_RUN_ID", "GitHub Actions run {GITHUB_REPOSITORY} {GITHUB_RUN_ID}"),
    ("CI_JOB_ID", "GitLab job {CI_PROJECT_PATH} {CI_JOB_ID}"),
    ("BUILD_BUILDID", "Azure Pipelines build {BUILD_DEFINITIONNAME} {BUILD_BUILDID}"),
    ("CIRCLE_WORKFLOW_ID", "CircleCI workflow {CIRCLE_WORKFLOW_ID}"),
    ("BUILDKITE_BUILD_ID", "Buildkite build {BUILDKITE_BUILD_ID}"),
    ("BUILD_TAG", "Jenkins build {BUILD_TAG}"),
)
"""For each CI system, the variable that identifies it, and a template for the name of its job."""

_CI_USERS = (
    "GITHUB_ACTOR",
    "GITLAB_USER_LOGIN",
    "BUILD_REQUESTEDFOREMAIL",
    "BUILDKITE_BUILD_AUTHOR",
)


class _Blank(dict[str, str]):
    """A mapping in which missing keys are empty."""

    def __missing__(self, key: str) -> str:
        return ""


def current_actor(command: str, environment: Mapping[str, str] | None = None) -> Actor:
    """Return who is running `command` now.

    Args:
        command: What was run: `inferctl up`, `pulumi`.
        environment: Environment variables; this process's when left out.
    """
    variables = _Blank(os.environ if environment is None else environment)
    ci_job = next((text for name, text in _CI_JOBS if variables[name]), "")
    ci_user = next((variables[name] for name in _CI_USERS if variables[name]), "")
    return Actor(
        user=_utf8((ci_user if ci_job else "") or _login_name()),
        ci_job=_utf8(" ".join(ci_job.format_map(variables).split())),
        command=command,
    )


def _utf8(text: str) -> str:
    """Return text that a record can hold: bytes that are not UTF-8 become escapes."""
    return text.encode(errors="backslashreplace").decode()


def _login_name() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # for example a container's user without an entry in /etc/passwd
        return f"uid {os.getuid()}"
