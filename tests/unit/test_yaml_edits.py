"""Edits of a YAML text: exactly what is asked for changes."""

import pytest

from inference_provider.files.yaml_edits import REMOVED, CannotEdit, edited


@pytest.mark.parametrize(
    ("before", "changes", "after"),
    [
        ("a:\n  - n: 1  # one\n    t: x\n", {"n": 2}, "a:\n  - n: 2  # one\n    t: x\n"),
        ("a: [{n: 1, t: x}]\n", {"t": "y: z, [q]"}, "a: [{n: 1, t: 'y: z, [q]'}]\n"),
        ("a:\n  - n: 1\n    m:\n      x: 1\n", {"m": {"y": 2}},
         "a:\n  - n: 1\n    m:\n      x: 1\n      y: 2\n"),
        ("a:\n  - n: 1 # c\n    m:\n      - x\n", {"k": {"y": 2}, "l": "v"},
         "a:\n  - n: 1 # c\n    k: {y: 2}\n    l: v\n    m:\n      - x\n"),
        ("a:\n  - m:\n      - x\n", {"k": True}, "a:\n  - k: true\n    m:\n      - x\n"),
        ("a:\n  - m:\n    - x\n    - y # end\n  - n: 2\n", {"m": ["z"]},
         "a:\n  - m: [z] # end\n  - n: 2\n"),
        ("a:\n  - n:\n    t: x\n", {"n": 3}, "a:\n  - n: 3\n    t: x\n"),
        ("a:\n  - t: |\n      one\n      two\n    n: 1\n", {"t": "x\ny"},
         'a:\n  - t: "x\\ny"\n    n: 1\n'),
        ("a: [{m: {}}]", {"m": {"x": 1, "y": 2}}, "a: [{m: {x: 1, y: 2}}]"),
        ("a: [{m: {x: 1}}]", {"m": {"y": 2}}, "a: [{m: {x: 1, y: 2}}]"),
        ("a:\n  - n: 1\n    t: x # t\n    u: y\n", {"t": REMOVED}, "a:\n  - n: 1\n    u: y\n"),
        ("a:\n  - n: 1\n    t: x\n", {"n": REMOVED}, "a:\n  - t: x\n"),
        ("a:\n  - n: 1\n    m:\n      x: 1\n  - n: 2\n", {"m": REMOVED},
         "a:\n  - n: 1\n  - n: 2\n"),
        ("a: [{m: {x: 1, z: on}}]", {"m": {"x": REMOVED, "y": 2}}, "a: [{m: {z: true, y: 2}}]"),
        ("a: [{m: {x: 1}}]", {"m": {"x": REMOVED}}, "a: [{m: {}}]"),
        ("a: [{n: 1, t: x, u: y}]", {"t": REMOVED}, "a: [{n: 1, u: y}]"),
        ("a: [{n: 1, t: x}]", {"n": REMOVED}, "a: [{t: x}]"),
        ("a:\r\n  - n: 1\r\n    t: x\r\n", {"k": 2}, "a:\r\n  - n: 1\r\n    t: x\r\n    k: 2\r\n"),
        ("\ufeffa:\n  - n: 1\n", {"n": 2}, "\ufeffa:\n  - n: 2\n"),
        ("b: &b {x: 1}\na:\n  - <<: *b\n    n: 1\n", {"x": 2},
         "b: &b {x: 1}\na:\n  - <<: *b\n    n: 1\n    x: 2\n"),
        ("a: [{n: 1}]", {"t": "${env:A} ${{azureml://x}} é"},
         "a: [{n: 1, t: '$${env:A} ${{azureml://x}} é'}]"),
    ],
)  # fmt: skip
def test_a_value_changes_and_all_else_stays_as_it_is_written(before, changes, after):
    assert edited(before, {"a.0": changes}) == after


@pytest.mark.parametrize(
    ("text", "changes", "why"),
    [
        ("b: &b [1]\na: [{n: *b}]\n", {"n": [2]}, "an anchor gives it"),
        ("a: [{n: &b 1, m: *b}]\n", {"n": 2}, "an anchor gives it"),
        ("b: &b {m: {x: 1}}\na:\n  - <<: *b\n    n: 1\n", {"m": {"x": 2}}, "an anchor may give it"),
        ("a:\n  - n: [1, # why\n      2]\n", {"n": [2]}, "it has anchors or comments inside"),
        ("b: &b {m: 1}\na: [*b]\n", {"m": 2}, "it is written by an alias"),
        ("a: [{n: '${env:N}'}]\n", {"n": 2}, "a placeholder gives it"),
        ("a: [{n: 1}]\n", {"m": REMOVED}, "it is not written there"),
        ("a: [{n: 1}]\n", {"n": REMOVED}, "it is all that is written there"),
    ],
)
def test_what_would_change_something_else_is_not_edited(text, changes, why):
    with pytest.raises(CannotEdit, match=why):
        edited(text, {"a.0": changes})


def test_several_items_change_at_once():
    text = "a: [{n: 1}, {n: 2}]\nb:\n- {m: 1}\n"
    changes = {"b.0": {"m": 9}, "a.1": {"n": 8}, "a.0": {"n": 7}}
    assert edited(text, changes) == "a: [{n: 7}, {n: 8}]\nb:\n- {m: 9}\n"
