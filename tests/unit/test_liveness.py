"""What liveness routes answer -> which instances are ended, on a clock of the test."""

from inference_provider.targets.local.liveness import Asked, Ended, Ward


def asked(name: str = "iris.blue.ab.0", **other) -> Asked:
    fields = {
        "name": name, "deployment": "/".join(name.split(".")[:2]), "port": 21000, "socket": False,
        "path": "/", "initial_delay": 0, "period": 1, "timeout": 1, "failure_threshold": 3,
        "start_limit": 10, "stop_wait": 6,
    }  # fmt: skip
    return Asked(**{**fields, **other})


class Story:
    """A ward, whose instances answer as a test says, looked at once a second."""

    def __init__(self, *instances: Asked) -> None:
        self.instances = instances
        self.ward = Ward()
        self.now_s = 100.0
        self.pids = {one.name: 7 for one in instances}
        self.hangs: set[str] = set()
        self.ended: list[Ended] = []

    def pass_by(self, seconds: int) -> list[tuple[str, bool]]:
        """Let time pass; return which were ended in it, and whether they were killed."""
        before = len(self.ended)
        for _ in range(seconds):
            self.now_s += 1.0
            self.ward.look(self.instances, self.now_s)
            for one in self.ward.due(self.now_s, 64):
                pid, lives = self.pids.get(one.name), one.name not in self.hangs
                if pid is None:
                    self.ward.absent(one.name)
                else:
                    self.ward.answered(one.name, pid, lives=lives, begun_s=self.now_s)
            self.ended += self.ward.to_end(self.now_s)
        return [(one.name, one.killed) for one in self.ended[before:]]

    def restart(self, name: str) -> None:
        self.pids[name] += 1


BLUE, GREEN, RED = "iris.blue.ab.0", "iris.green.ab.0", "iris.red.ab.0"


def test_an_instance_is_ended_after_so_many_failures_in_a_row_and_killed_when_it_does_not_heed():
    story = Story(asked(failure_threshold=3))
    assert story.pass_by(5) == []
    story.hangs = {BLUE}
    assert story.pass_by(2) == []
    story.hangs = set()
    assert story.pass_by(1) == []  # it answered in between
    story.hangs = {BLUE}
    assert story.pass_by(3) == [(BLUE, False)]
    assert (story.ended[0].pid, story.ended[0].failures) == (7, 3)
    assert story.pass_by(5) == []
    assert story.pass_by(1) == [(BLUE, True)]


def test_one_that_is_slow_to_start_is_left_alone_until_its_start_limit_and_each_start_anew():
    story = Story(asked(start_limit=10, failure_threshold=2))
    story.hangs = {BLUE}
    assert story.pass_by(10) == []
    assert story.pass_by(2) == [(BLUE, False)]
    story.restart(BLUE)
    assert story.pass_by(10) == []
    story.hangs = set()
    assert story.pass_by(1) == []


def test_no_failure_counts_before_the_initial_delay_even_of_one_that_has_answered():
    story = Story(asked(initial_delay=20, start_limit=0, failure_threshold=1))
    assert story.pass_by(2) == []
    story.hangs = {BLUE}
    assert story.pass_by(18) == []
    assert story.pass_by(1) == [(BLUE, False)]


def test_a_period_is_as_long_as_it_says():
    story = Story(asked(period=10, failure_threshold=3))
    assert story.pass_by(1) == []
    story.hangs = {BLUE}
    assert story.pass_by(29) == []
    assert story.pass_by(1) == [(BLUE, False)]


def test_of_a_deployment_the_next_is_restarted_once_the_one_before_answers():
    pair = [f"iris.blue.ab.{n}" for n in range(2)]
    others = [f"iris.d{n}.ab.0" for n in range(10)]
    story = Story(*(asked(name) for name in pair + others))
    assert story.pass_by(2) == []
    story.hangs = set(pair)
    assert story.pass_by(5) == [(pair[0], False)]
    story.restart(pair[0])
    assert story.pass_by(3) == []  # it is up and does not answer yet
    story.hangs.discard(pair[0])
    assert story.pass_by(1) == [(pair[1], False)]


def test_of_one_that_waits_for_its_turn_no_more_failures_are_told_than_count():
    pair = [f"iris.blue.ab.{n}" for n in range(2)]
    ward = Ward()
    for now_s in range(8):
        ward.look([asked(name, start_limit=0) for name in pair], now_s)
        told = [ward.answered(name, 7, lives=False, begun_s=now_s) for name in pair]
        list(ward.to_end(now_s))
        assert told == ([now_s + 1] * 2 if now_s < 3 else [None, None])


def test_one_that_does_not_come_back_holds_up_the_next_no_longer_than_a_start_may_take():
    pair = [f"iris.blue.ab.{n}" for n in range(2)]
    story = Story(*(asked(name, start_limit=10, stop_wait=6) for name in pair))
    assert story.pass_by(2) == []
    story.hangs = set(pair)
    assert story.pass_by(3) == [(pair[0], False)]
    del story.pids[pair[0]]
    assert story.pass_by(15) == []
    assert story.pass_by(1) == [(pair[1], False)]


def test_of_a_workspace_a_quarter_is_restarted_at_a_time_and_always_one():
    few = Story(asked(BLUE), asked(GREEN), asked(RED))
    many = Story(*(asked(f"iris.d{n}.ab.0") for n in range(9)))
    for story, expected in ((few, 1), (many, 2)):
        assert story.pass_by(2) == []
        story.hangs = set(story.pids)
        assert len(story.pass_by(5)) == expected


def test_a_question_that_is_lost_is_asked_again_once_its_answer_is_overdue():
    ward, instance = Ward(), asked(period=1, timeout=2)
    times_s = [
        now_s for now_s in range(20) if (ward.look([instance], now_s), ward.due(now_s, 1))[1]
    ]
    assert times_s == [0, 8, 16]  # each 2 s for an answer, and PAUSE_S


def test_no_more_are_asked_at_once_than_may_be_and_who_waits_longest_comes_first():
    ward, instances = Ward(), [asked(f"iris.d{n}.ab.0", period=1) for n in range(5)]
    ward.look(instances, 100.0)
    first = ward.due(100.0, 2)
    assert [one.name for one in first] == ["iris.d0.ab.0", "iris.d1.ab.0"]
    assert ward.due(100.5, 2) == []
    for one in first:
        ward.answered(one.name, 7, lives=True, begun_s=100.0)
    ward.look(instances, 102.0)
    assert [one.name for one in ward.due(102.0, 3)] == [f"iris.d{n}.ab.0" for n in (2, 3, 4)]
    assert ward.due(102.0, 64) == first


def test_what_was_seen_before_nobody_was_asked_for_a_while_is_no_evidence():
    story = Story(asked(failure_threshold=3))
    assert story.pass_by(2) == []
    story.hangs = {BLUE}
    assert story.pass_by(2) == []
    story.now_s += 3600
    assert story.pass_by(2) == []
    assert story.pass_by(1) == [(BLUE, False)]


def test_an_instance_that_is_gone_or_between_two_processes_is_nothing_to_end():
    story = Story(asked(failure_threshold=1), asked(GREEN, failure_threshold=1))
    assert story.pass_by(2) == []
    story.hangs = {BLUE, GREEN}
    del story.pids[GREEN]
    story.instances = story.instances[1:]
    assert story.pass_by(60) == []
