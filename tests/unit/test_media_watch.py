"""The watchdog's ladders, rung by rung, on a clock of the test's."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from appliance.media_watch import CALM_NS, PLANS, REBOOT_ADVISED, Flow, MediaWatch, Rung, Trouble
from appliance.problems import CATALOGUE

S = 1_000_000_000
LOOK = S // 4
NEVER_DUE = Flow(is_due=False, progress=None)


class Unit:
    """A unit whose media stand still or flow as the test says; all but one thing is as it should be."""

    def __init__(self, trouble: Trouble) -> None:
        self.trouble = trouble
        self.now_ns = 0
        self.count = 0
        self.watch = MediaWatch(0)
        self.taken: list[tuple[float, Rung]] = []
        self.bars: frozenset[Rung] = frozenset()
        self._look(due=True)

    def spend(self, seconds: float, *, flows: bool = False, due: bool = True) -> list[tuple[float, Rung]]:
        """What is done in this time: (seconds from its begin, rung)."""
        began_ns, before = self.now_ns, len(self.taken)
        for _ in range(round(seconds * S / LOOK)):
            self.now_ns += LOOK
            self.count += flows
            self.taken += [((self.now_ns - began_ns) / S, rung) for rung in self._look(due=due)]
        return self.taken[before:]

    def _look(self, *, due: bool) -> list[Rung]:
        flows = dict.fromkeys(Trouble, NEVER_DUE) | {self.trouble: Flow(due, self.count, self.bars)}
        actions = self.watch.look(self.now_ns, flows)
        assert all(action.trouble is self.trouble for action in actions)
        return [action.rung for action in actions]

    @property
    def told(self) -> set[str]:
        return set(self.watch.troubles(self.now_ns))


def test_a_camera_without_frames_gets_each_remedy_in_turn_and_a_reboot_is_only_proposed() -> None:
    unit = Unit(Trouble.CAMERA)
    assert unit.spend(5, flows=True) == []
    assert unit.spend(21) == [
        (1.0, Rung.KEYFRAME),
        (1.75, Rung.ENCODER),
        (3.0, Rung.SMALLER),
        (6.0, Rung.WORKER),
        (20.0, Rung.REBOOT),
    ]
    assert unit.told == {"picture-stuck", REBOOT_ADVISED}
    assert unit.watch.numbers()["camera_encoder"] == 1


def test_the_room_is_told_of_a_lasting_trouble_and_no_longer_soon_after_its_end() -> None:
    unit = Unit(Trouble.CAMERA)
    unit.spend(1.75)
    assert unit.told == set(), "a moment is not worth a word"
    unit.spend(0.5)
    assert unit.told == {"picture-stuck"}
    unit.spend(2.75, flows=True)
    assert unit.told == {"picture-stuck"}, "a Problem that flickers helps nobody"
    unit.spend(1, flows=True)
    assert unit.told == set()


def test_a_remedy_that_helps_ends_the_climb() -> None:
    unit = Unit(Trouble.CAMERA)
    assert unit.spend(2) == [(1.0, Rung.KEYFRAME), (1.75, Rung.ENCODER)]
    assert unit.spend(60, flows=True) == []


def test_a_trouble_that_comes_back_at_once_goes_on_where_the_ladder_was() -> None:
    unit = Unit(Trouble.CAMERA)
    unit.spend(2)
    unit.spend(1.5, flows=True)
    assert unit.spend(2)[0][1] is Rung.SMALLER


def test_after_a_calm_time_the_ladder_begins_at_its_foot() -> None:
    unit = Unit(Trouble.CAMERA)
    unit.spend(8)
    unit.spend(CALM_NS / S + 5, flows=True)
    assert [rung for _, rung in unit.spend(2)] == [Rung.KEYFRAME, Rung.ENCODER]


def test_a_worker_that_does_not_help_is_not_replaced_all_the_time() -> None:
    unit = Unit(Trouble.CAMERA)
    moments = [at for at, rung in unit.spend(300) if rung is Rung.WORKER]
    assert moments[:3] == [6.0, 36.0, 66.0]
    assert len(moments) == 10


def test_a_picture_that_the_mcu_does_not_take_costs_a_new_session_at_most_each_two_minutes() -> None:
    unit = Unit(Trouble.SENDING)
    assert unit.spend(300) == [
        (12.0, Rung.KEYFRAME),
        (16.0, Rung.SESSION),
        (136.0, Rung.SESSION),
        (256.0, Rung.SESSION),
    ]


def test_sound_without_a_picture_is_told_within_five_seconds() -> None:
    unit = Unit(Trouble.FAR_PICTURE)
    unit.spend(5)
    assert unit.told == {"no-far-picture"}


def test_a_meeting_of_voices_is_told_of_and_never_interrupted() -> None:
    unit = Unit(Trouble.FAR_PICTURE)
    unit.bars = frozenset({Rung.SESSION})
    assert unit.spend(600) == [(3.0, Rung.FAR_KEYFRAME)]


def test_pictures_that_come_and_are_not_shown_replace_the_screen_then_the_session() -> None:
    unit = Unit(Trouble.SCREEN)
    taken = [rung for _, rung in unit.spend(45)]
    assert taken == [Rung.FAR_KEYFRAME, Rung.WORKER, Rung.SESSION, Rung.WORKER, Rung.REBOOT]


def test_a_microphone_that_is_silent_to_the_last_bit_is_reopened_once_and_told() -> None:
    unit = Unit(Trouble.MICROPHONE)
    assert unit.spend(29) == []
    assert unit.spend(300) == [(1.0, Rung.WORKER)]
    assert unit.told == {"microphone-silent"}


def test_what_is_not_due_is_no_trouble_and_a_new_meeting_begins_without_any() -> None:
    unit = Unit(Trouble.CAMERA)
    assert unit.spend(60, due=False) == []
    unit.spend(25)
    unit.watch.forget()
    assert unit.told == set()
    assert unit.watch.numbers() != {}, "what was done stays counted"


def test_a_stall_of_the_engine_itself_is_nobody_elses_fault() -> None:
    unit = Unit(Trouble.CAMERA)
    unit.spend(5, flows=True)
    unit.now_ns += 20 * S
    assert unit.spend(0.5) == []


@pytest.mark.parametrize("code", [*map(str, Trouble), REBOOT_ADVISED])
def test_each_trouble_has_words_for_the_room(code: str) -> None:
    assert CATALOGUE[code].cause_vi


@given(st.lists(st.tuples(st.sampled_from(list(Trouble)), st.floats(0.25, 40), st.booleans(), st.booleans())))
def test_whatever_happens_no_rung_is_taken_more_often_than_its_rest_allows(
    story: list[tuple[Trouble, float, bool, bool]],
) -> None:
    watch, now_ns, count = MediaWatch(0), 0, 0
    last: dict[tuple[Trouble, Rung], int] = {}
    rests = {(trouble, step.rung): step.rest_s for trouble, plan in PLANS.items() for step in plan.steps}
    for trouble, seconds, flows, due in story:
        for _ in range(round(seconds * 4)):
            now_ns += LOOK
            count += flows
            looked = dict.fromkeys(Trouble, NEVER_DUE) | {trouble: Flow(due, count)}
            for action in watch.look(now_ns, looked):
                assert due
                assert not flows
                key = action.trouble, action.rung
                assert now_ns - last.get(key, -10_000 * S) >= rests[key] * S
                last[key] = now_ns
