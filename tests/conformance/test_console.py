"""The console on each target: it shows what runs there, and changes what it planned."""

import re

from inference_provider.observed import Kind, ResourceId
from tests.browser import Browser, words


def test_the_console_shows_instances_and_logs_and_applies_a_split_that_it_planned(served):
    browser, place = Browser(served.target, writes=True), served.workspace
    iris = f"/endpoints/{place}/iris"
    assert f"Workspace {place}" in browser.text("/")
    told = browser.text(iris)
    assert re.search(r"blue ok 1 of 1 instances ready 100 % .* iris:1.* plain:1.* ok ", told)
    assert browser.get(f"{iris}/logs?deployment=blue").status_code == 200
    planned = browser.post(f"{iris}/split", {"share.blue": "0"})
    assert "traffic.blue: 100 -> 0" in words(planned)
    plan = re.search('name="plan" value="([^"]+)"', planned.text)[1]
    assert browser.post(f"{iris}/split/apply", {"plan": plan}).status_code == 303
    traffic = ResourceId(kind=Kind.TRAFFIC, workspace=place, name="iris")
    assert served.target.observe_one(traffic).properties["traffic"] == {"blue": 0}
