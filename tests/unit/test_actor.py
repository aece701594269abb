"""Who changed it: the user, and in CI the job."""

import getpass
import os

from inference_provider.actor import current_actor
from inference_provider.observed import Actor


def test_outside_ci_the_actor_is_the_login_name():
    assert current_actor("pulumi", {}) == Actor(user=getpass.getuser(), command="pulumi")


def test_a_github_run_names_its_repository_run_and_user():
    found = current_actor(
        "inferctl up",
        {"GITHUB_RUN_ID": "42", "GITHUB_REPOSITORY": "acme/models", "GITHUB_ACTOR": "ana"},
    )

    assert str(found) == "ana in GitHub Actions run acme/models 42 (inferctl up)"


def test_a_job_whose_details_are_missing_still_names_itself():
    assert current_actor("pulumi", {"CI_JOB_ID": "7"}).ci_job == "GitLab job 7"


def test_a_user_variable_without_a_ci_job_is_not_believed():
    assert current_actor("pulumi", {"GITHUB_ACTOR": "ana"}).user == getpass.getuser()


def test_a_name_that_is_not_utf8_can_be_recorded():
    actor = current_actor("x", {"CI_JOB_ID": "7", "GITLAB_USER_LOGIN": os.fsdecode(b"jos\xe9")})
    assert actor.user == "jos\\udce9"
    assert '"jos\\\\udce9"' in actor.model_dump_json()
