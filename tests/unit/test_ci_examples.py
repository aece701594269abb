"""examples/ci: files for CI systems, of which every command line is one that inferctl takes."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from inference_provider.cli.main import load

FOLDER = Path(__file__).parents[2] / "examples" / "ci"
FILES = ("github-actions.yml", "gitlab-ci.yml")
COMMAND = re.compile(r"\binferctl ([^|>;&\n]+)")


def document(name: str) -> dict[Any, Any]:
    value = yaml.safe_load((FOLDER / name).read_text())
    assert isinstance(value, dict)
    return value


def scripts(value: Any) -> Iterator[str]:
    """Yield every text that a job runs."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inside in items:
        if key in ("run", "script", "before_script"):
            yield from [inside] if isinstance(inside, str) else inside
        elif isinstance(inside, dict | list):
            yield from scripts(inside)


def commands(name: str) -> list[list[str]]:
    found = (line for text in scripts(document(name)) for line in COMMAND.findall(text))
    return [shlex.split(line) for line in found]


def taken(words: list[str]) -> dict[str, Any]:
    """Return what the command's own parser makes of a command line; raises where it refuses."""
    name, *rest = words
    parsed: dict[str, Any] = load(name).make_context(name, rest).params
    return parsed


def test_the_folder_has_no_other_file():
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(FILES)


@pytest.mark.parametrize("name", FILES)
def test_every_command_line_is_taken_and_all_three_uses_are_there(name):
    found = commands(name)
    assert {words[0] for words in found} == {"plan", "up", "drift"}
    for words in found:
        assert [str(file) for file in taken(words)["files"]] == ["stack.yaml"]
    assert {str(taken(words).get("form", "")) for words in found if words[0] == "drift"} == {
        "markdown", "sarif" if name.startswith("github") else "junit",
    }  # fmt: skip


def test_a_command_line_that_is_wrong_is_refused():
    with pytest.raises(Exception, match="--formats"):
        taken(["drift", "--formats", "sarif"])


def test_github_previews_pull_requests_applies_merges_and_reviews_every_morning():
    jobs = document("github-actions.yml")
    assert jobs[True] == {  # YAML 1.1 reads the key `on` as true
        "pull_request": None,
        "push": {"branches": ["main"]},
        "schedule": [{"cron": "0 5 * * *"}],
        "workflow_dispatch": None,
    }
    when = {name: job["if"].split(" || ")[0] for name, job in jobs["jobs"].items()}
    assert when == {
        "preview": "github.event_name == 'pull_request'"
        " && github.event.pull_request.head.repo.full_name == github.repository",
        "up": "github.event_name == 'push'",
        "drift": "github.event_name == 'schedule'",
    }
    uploads = [
        step for step in jobs["jobs"]["drift"]["steps"] if "sarif_file" in step.get("with", {})
    ]
    assert [step["with"]["sarif_file"] for step in uploads] == ["open.sarif"]
    assert jobs["jobs"]["drift"]["permissions"]["security-events"] == "write"


def steps(job: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document("github-actions.yml")["jobs"][job]["steps"]
    return found


def test_github_gives_secrets_only_to_the_steps_that_read_the_stack_file():
    value = document("github-actions.yml")
    assert "secrets." not in str({**value, "jobs": None})
    for job in value["jobs"].values():
        assert "secrets." not in str({**job, "steps": None})
        for step in job["steps"]:
            assert ("secrets." in str(step)) == ("inferctl" in step.get("run", ""))


def test_a_preview_fails_unless_there_was_a_plan_which_cannot_end_its_fence():
    (script,) = (step["run"] for step in steps("preview") if "inferctl" in step.get("run", ""))
    lines = script.splitlines()
    assert lines[-1] == "case $code in 0|2) ;; *) exit 1;; esac"
    assert "{ echo '~~~~~~'; cat plan.txt; echo '~~~~~~'; }" in lines[-2]


def test_the_review_is_kept_and_told_where_an_upload_fails():
    kept, told = steps("drift")[-2:]
    assert kept["if"] == "always() && hashFiles('drift-history.json') != ''"
    assert (told["if"], told["run"]) == ("always()", 'exit "${CODE:-1}"')


def test_github_gets_only_what_is_not_waived():
    (script,) = (step["run"] for step in steps("drift") if "jq" in step.get("run", ""))
    (line,) = (line for line in script.splitlines() if "jq" in line)
    assert line.split(" || ")[1] == (
        "jq '.runs[].results |= map(select(has(\"suppressions\") | not))' drift.sarif > open.sarif"
    )


def test_gitlab_previews_merge_requests_applies_merges_and_reviews_every_morning():
    jobs = document("gitlab-ci.yml")
    assert {name: jobs[name]["rules"][0]["if"] for name in jobs["stages"]} == {
        "preview": '$CI_PIPELINE_SOURCE == "merge_request_event"'
        " && $CI_MERGE_REQUEST_SOURCE_PROJECT_ID == $CI_PROJECT_ID",
        "up": '$CI_PIPELINE_SOURCE == "push" && $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH',
        "drift": '$CI_PIPELINE_SOURCE == "schedule"',
    }
    assert jobs["drift"]["artifacts"]["reports"] == {"junit": "drift.xml"}
    assert jobs["preview"]["allow_failure"] == {"exit_codes": [2]}
