"""A message reads: operation, thing, place: cause; what to do."""

import pytest

from inference_provider import errors
from inference_provider.errors import Fault, InferenceError, SpecError


def test_a_fault_reads_line_path_reason_remedy():
    fault = Fault("deployments.0.name", "too short", "lengthen it", 7)
    assert str(fault) == "line 7: deployments.0.name: too short; lengthen it"
    assert str(Fault("name", "too short")) == "name: too short"


def test_a_spec_error_lists_every_fault():
    error = SpecError((Fault("a", "x"), Fault("b", "y", "z")), source="stack.yaml")
    assert str(error) == "stack.yaml has 2 faults:\n  a: x\n  b: y; z"
    assert str(SpecError((Fault("a", "x"),))) == "the declared stack has 1 fault:\n  a: x"


def test_a_target_error_says_operation_thing_place_cause_and_remedy():
    error = errors.OutOfCapacity("create", "Deployment 'a/b/c'", "no GPU left", "free one", "local")
    assert str(error) == "create Deployment 'a/b/c' on local: no GPU left; free one"


def test_after_a_cause_of_several_lines_the_remedy_has_a_line_of_its_own():
    error = errors.NotReady("start", "it", "not ready; its log:\n    boom\n ", "mend it")
    assert str(error) == "start it: not ready; its log:\n    boom\n  mend it"
    missing = errors.CapabilityMissing("plan", "the stack", "\n  one\n  two")
    assert str(missing) == "plan the stack:\n  one\n  two"


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("SpecError", errors.PermanentError),
        ("CapabilityMissing", errors.PermanentError),
        ("OwnedByAnother", errors.PermanentError),
        ("StillServing", errors.PermanentError),
        ("OutOfCapacity", errors.PermanentError),
        ("RouterRejected", errors.PermanentError),
        ("TargetUnreachable", errors.TemporaryError),
        ("NotReady", errors.TemporaryError),
        ("Busy", errors.TemporaryError),
    ],
)
def test_an_error_says_by_its_type_whether_retrying_may_help(name, base):
    assert issubclass(getattr(errors, name), base)
    assert issubclass(base, InferenceError)


def test_every_error_is_in_the_tree_of_the_docstring():
    raised = [
        n for n, v in vars(errors).items() if isinstance(v, type) and issubclass(v, Exception)
    ]
    assert [name for name in raised if name not in str(errors.__doc__)] == []


def test_of_a_thousand_faults_50_are_told_and_the_rest_counted():
    faults = tuple(Fault(f"endpoints.{i}.nope", "unknown field 'nope'") for i in range(1000))
    lines = str(SpecError(faults, "stack.yaml")).splitlines()
    assert lines[0] == "stack.yaml has 1000 faults:"
    assert lines[50] == "  endpoints.49.nope: unknown field 'nope'"
    assert lines[51:] == ["  and 950 more"]
