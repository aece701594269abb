"""The journal of a workspace in a cluster: a ring of ConfigMaps."""

import pytest
from tests.unit.cluster_records.clients import another

from inference_provider.targets.kubernetes import records as under_test
from inference_provider.targets.kubernetes.refusals import Conflict


def test_the_journal_keeps_its_entries_in_order(api, records, entry):
    for name in ("a", "b", "c"):
        records.note(entry(name))
    assert [one.id.name for one in another(api).journal()] == ["a", "b", "c"]


def test_long_entries_of_the_journal_are_cut_and_fill_no_config_map(api, records, entry):
    fields = tuple(f"environment_variables.NAME_{n:04}" for n in range(5_000))
    records.note(entry("a").model_copy(update={"fields": fields}))
    [kept] = another(api).journal()
    assert kept.fields[19:] == ("environment_variables.NAME_0019", "and 4980 more")


def test_the_journal_goes_on_in_another_config_map_once_one_is_large(
    api, records, entry, monkeypatch
):
    monkeypatch.setattr(under_test, "_JOURNAL_BYTES", 300)
    for name in ("a", "b", "c"):
        records.note(entry(name))
    assert len([path for path in api.objects if "/configmaps/" in path]) > 1
    assert [one.id.name for one in another(api).journal()] == ["a", "b", "c"]


def test_the_journal_of_a_workspace_that_was_made_again_takes_entries(records, entry):
    records.note(entry("a"))
    records.delete()
    records.make()
    records.note(entry("b"))
    assert [one.id.name for one in records.journal()] == ["b"]


def test_a_config_map_of_somebody_else_gets_no_entries_and_keeps_none_from_being_noted(
    api, records, entry
):
    path = "/api/v1/namespaces/lab/configmaps/inference.journal.000001"
    there = api.put(path, {"kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "b"}})
    records.note(entry("a"))
    assert [one.id.name for one in another(api).journal()] == ["a"]
    assert api.objects[path] == there


def test_names_that_others_have_taken_are_not_tried_for_ever(api, records, entry):
    for number in range(1, 30):
        path = f"/api/v1/namespaces/lab/configmaps/inference.journal.{number:06d}"
        api.put(path, {"kind": "ConfigMap", "metadata": {"name": "x"}})
    with pytest.raises(Conflict, match=r"inference\.journal\.000021"):
        records.note(entry("a"))
