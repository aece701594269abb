"""Whose role is on one deployment, on the pages of the console that call an endpoint."""

import pytest
from tests.unit.test_web_pages import READS, ROSE, Desk, post, role


@pytest.mark.parametrize("page", ["test", "chat"])
def test_who_may_score_one_deployment_must_name_it_and_calls_no_other(page):
    desk = Desk(READS, role("AzureML Data Scientist", scope="endpoints/rose/deployments/blue"))
    client = desk.signed_in()
    asked = [{}, {"deployment": "green"}, {"deployment": "blue/x"}, {"deployment": " blue"}]
    assert {post(client, f"{ROSE}/{page}?deployment=blue", **one).status_code for one in asked} == {
        403
    }
    assert post(client, f"{ROSE}/{page}", deployment="blue").status_code == 200
