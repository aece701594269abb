"""Which instances without a place in the count the autoscaler ends."""

from inference_provider.workspace.state import deployment_lock
from inference_provider.workspace.units import Units


def unit_of(lab):
    workspace = lab.target._workspace("lab")
    return Units(workspace).recorded(lab.target.record(lab.blue().id))


def test_what_a_killed_process_has_left_is_ended(case):
    lab = case.lab
    case.look(1)
    assert (
        len(lab.ports.compute.ensure(unit_of(lab), 3)) == 3
    )  # and is killed before it admits them
    assert len(lab.ports.compute.instances()["iris/blue"]) == 3
    case.look(1, seconds=2)
    assert len(lab.ports.compute.instances()["iris/blue"]) == 1
    assert case.faults_file.exists() is False


def test_what_an_up_starts_now_is_not_ended(case):
    lab = case.lab
    case.look(1)
    with lab.ports.records.lock(deployment_lock("iris/blue")):
        lab.ports.compute.ensure(unit_of(lab), 3)
        case.look(1, seconds=20)
        assert len(lab.ports.compute.instances()["iris/blue"]) == 3
    case.look(1, seconds=10)
    assert len(lab.ports.compute.instances()["iris/blue"]) == 1
