"""What is undone when an edit fails: last first, its own part alone, whatever goes wrong."""

import threading

import pytest

from inference_provider.workspace.undo import UndoLog


class Told(Exception):
    pass


@pytest.fixture
def log():
    return UndoLog()


@pytest.fixture
def undone():
    return []


def note(log, undone, *names):
    for name in names:
        log.note(lambda name=name: undone.append(name))


def test_an_edit_that_goes_well_undoes_nothing(log, undone):
    with log.part():
        note(log, undone, "a")
    assert (undone, log.active, len(log)) == ([], False, 0)


@pytest.mark.parametrize("fault", [Told, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_whatever_is_raised_undoes_the_last_first(log, undone, fault):
    with pytest.raises(fault), log.part():
        note(log, undone, "a", "b", "c")
        raise fault
    assert (undone, log.active) == (["c", "b", "a"], False)


def test_a_part_that_fails_undoes_its_own_alone(log, undone):
    with log.part():
        note(log, undone, "a")
        with pytest.raises(Told), log.part():
            note(log, undone, "b")
            with log.part():
                note(log, undone, "c")
            raise Told
        assert undone == ["c", "b"]
        assert (log.active, len(log)) == (True, 1)


def test_a_part_that_went_well_is_undone_with_what_is_around_it(log, undone):
    with pytest.raises(Told), log.part():
        with log.part():
            note(log, undone, "a")
        note(log, undone, "b")
        raise Told
    assert undone == ["b", "a"]


@pytest.mark.parametrize("fault", [OSError("no space"), KeyboardInterrupt()])
def test_an_undo_that_fails_keeps_no_other_from_being_undone(log, undone, fault):
    def fail():
        raise fault

    with pytest.raises(type(fault)) as caught, log.part():
        note(log, undone, "a")
        log.note(fail)
        note(log, undone, "b")
        log.note(fail)
        raise Told
    assert undone == ["b", "a"]
    assert log.active is False
    assert isinstance(caught.value.__context__, Told | type(fault))


def test_what_is_noted_outside_an_edit_stays(log, undone):
    note(log, undone, "before")
    with pytest.raises(Told), log.part():
        raise Told
    assert undone == []


def test_what_another_thread_writes_meanwhile_stays(log, undone):
    def write():
        note(log, undone, "theirs")
        assert log.active is False

    with pytest.raises(Told), log.part():
        note(log, undone, "mine")
        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
        raise Told
    assert undone == ["mine"]
