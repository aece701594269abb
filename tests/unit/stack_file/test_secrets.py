"""A fault never shows a value that may be a secret."""

import pytest
from tests.stack_files import GOOD, faults


@pytest.mark.parametrize("value", ["*hunter2", "!hunter2", "!a!hunter2", "!!bool hunter2"])
def test_a_password_that_yaml_takes_for_syntax_is_not_shown(folder, value):
    text = GOOD.replace("    name: blue\n", f"    name: blue\n    description: {value}\n", 1)
    [fault, *_] = faults(folder, text)
    assert "in quotes" in fault
    assert "hunter2" not in fault


def test_a_value_from_outside_is_never_shown_in_a_fault(folder, monkeypatch):
    monkeypatch.setenv("STACK_TEST_VALUE", "hunter2-hunter2")
    text = GOOD.replace("sklearn:1", "'${env:STACK_TEST_VALUE}:1'")
    found = faults(folder, text)
    assert "hunter2" not in "".join(found)
    assert "no environment '${env:STACK_TEST_VALUE}:1' in workspace 'lab'" in found[0]


def test_a_value_of_several_lines_is_not_shown_as_one_line(folder, monkeypatch):
    monkeypatch.setenv("STACK_TEST_VALUE", "-----BEGIN\nhunter2\r\n\thunter3\n")
    role = "role_assignments: [{name: ann, principal: ann, role: '${env:STACK_TEST_VALUE}'}]"
    found = faults(folder, f"{GOOD}{role}\n")
    assert "hunter" not in "".join(found)
    assert any("no role '${env:STACK_TEST_VALUE}'" in one for one in found)


def test_an_option_in_requirements_is_refused_without_its_value(folder):
    (folder / "r.txt").write_text("--index-url=https://me:hunter2@example.org\nsix\n")
    text = "name: demo\nenvironments:\n  - {name: env, requirements_file: r.txt}\n"
    [fault] = faults(folder, text)
    assert "the option '--index-url' is not supported" in fault
    assert "hunter2" not in fault
