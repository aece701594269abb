"""What is not as it should be is shown as such."""

from tests.browser import words

from inference_provider.errors import TargetUnreachable
from inference_provider.targets.memory import INSTANCES

IRIS = "/endpoints/default/iris"


def test_a_deployment_that_was_stopped_is_not_ok(browser):
    browser.target.platform.ports("default").records.drop(INSTANCES, "iris/blue")
    assert "blue degraded 0 of 1 instances run" in browser.text(IRIS)


def test_a_target_that_does_not_answer_is_told_in_a_page_and_no_password_of_its_url(browser):
    def silent():
        raise TargetUnreachable("list", "workspaces", "http://ann:hunter2@host: connection refused")

    browser.target.workspaces = silent
    answer = browser.get(IRIS)
    assert answer.status_code == 503
    assert "list workspaces: http://[secret]@host: connection refused" in words(answer)
