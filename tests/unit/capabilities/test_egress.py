"""Where closed egress is refused, once, or left to others and told."""

from tests.stacks import deployment, stack
from tests.unit.capabilities.offers import LOCAL

from inference_provider.desired import resolve
from inference_provider.gpus import Ledger
from inference_provider.refusals import refusals
from inference_provider.targets.local.capabilities import local_capabilities
from inference_provider.targets.local.machine import Fit


def test_closed_egress_is_refused_once_where_all_of_a_workspace_is_closed():
    closed = {"workspaces": stack(workspaces=[{"egress": "disabled"}]).workspaces}
    asked = deployment(egress_public_network_access="disabled").model_copy(update=closed)
    assert len(refusals(resolve(asked), LOCAL)) == 1
    assert refusals(resolve(asked), local_capabilities(Ledger, lambda: Fit(""))) == ()


def test_what_this_machine_cannot_close_is_left_to_others_where_that_is_allowed_and_told():
    space = {"egress": "disabled", "allow_unenforced_egress": True}
    asked = resolve(stack(workspaces=[space]))
    assert refusals(asked, LOCAL) == ()
    assert [*LOCAL.notes(asked[0], None)] == [
        "nothing here closes the way out of instances whose egress is disabled: user 'ann'"
        " may not have one here"
    ]
    assert [*local_capabilities(Ledger, lambda: Fit("")).notes(asked[0], None)] == []
    rule = {"name": "index", "destination": "pypi.org"}
    asked = resolve(stack(workspaces=[{**space, "outbound_rules": [rule]}]))
    assert [str(one) for one in refusals(asked, LOCAL)] == [
        "Workspace 'default' on target 'local': outbound_rules: they let out what has a network of"
        " its own, and user 'ann' may not have one here; do one of these: (1) ask root, (2) leave"
        " outbound_rules out"
    ]
