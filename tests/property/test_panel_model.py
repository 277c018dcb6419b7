"""Long random lives of a panel against a simple independent model."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from edge.bus.bus_types import NodeId
from edge.bus.node_fault import NodeFault
from edge.config import ZoneType
from edge.field.reading import Reading, ReadingState
from edge.panel import Panel
from edge.panel.effects import Answer, Effect, Emit, SetOutput
from edge.panel.inputs import (
    Action,
    Arm,
    ArmMode,
    Booted,
    Bypass,
    CodeEntry,
    Disarm,
    Fault,
    LocalTime,
    ManualTest,
    PanelInput,
    PanelTest,
    PathChanged,
    RemoteTest,
    Silence,
    StandDown,
    WalkTest,
)
from protocols.instants import NS_PER_S, Instant
from protocols.panel_event import Code, PanelEvent, Qualifier
from tests.support.panel_site import ALL_CODE, ALL_DURESS, TWO_CODE, TYPES, WRONG, at, site_config

CONFIG = site_config()
AREA_OF = {zone.number: zone.area for zone in CONFIG.zones}
NEVER_TEST = {
    ZoneType.HOLDUP_SILENT: Code.HOLDUP_SILENT,
    ZoneType.HOLDUP_AUDIBLE: Code.HOLDUP_AUDIBLE,
    ZoneType.FIRE: Code.FIRE,
    ZoneType.TAMPER: Code.ZONE_TAMPER,
    ZoneType.MEDICAL: Code.MEDICAL,
}
ROLES = ("enclosure", "mains", "battery_low", "battery_missing", "siren")

area_lists = st.sampled_from([(), (1,), (2,), (1, 2), (2, 2), (3,), (0,), (-1,)])
actions = st.one_of(
    st.builds(Arm, area_lists, st.sampled_from(ArmMode), st.booleans()),
    st.builds(Disarm, area_lists),
    st.builds(Bypass, st.sampled_from([*TYPES, 0, 99]), st.booleans()),
    st.builds(WalkTest, st.booleans()),
    st.builds(PanelTest, st.booleans()),
    st.just(ManualTest()),
    st.just(Silence()),
)
codes = st.sampled_from([ALL_CODE, ALL_CODE, ALL_CODE, ALL_DURESS, TWO_CODE, WRONG, ""])
points = st.sampled_from(
    [f"zone:{n}" for n in TYPES] * 3 + [*ROLES, "zone:99", "zone:", "", "zone:²"]
)
states = st.sampled_from([*[ReadingState.ALARM, ReadingState.NORMAL] * 5, *ReadingState])
readings = st.builds(Reading, points, states, st.booleans())
node_codes = st.sampled_from([331, 333, 333, 333, 341, 1031, 1035, 0, -1])
nodes = st.builds(NodeId, st.sampled_from(["main", "?"]), st.sampled_from([-1, 3, 4]))
others = st.one_of(
    st.builds(StandDown, st.integers(-1, 4), st.text(max_size=9), st.integers(0, 9)),
    st.builds(RemoteTest, st.text(max_size=9)),
    st.builds(
        PathChanged, st.sampled_from(["mqtt", "phone", "?"]), st.booleans(), st.text(max_size=9)
    ),
    st.builds(Fault, st.integers(-5, 1200), st.booleans(), st.text(max_size=5)),
    st.builds(NodeFault, node_codes, nodes, st.booleans(), st.sampled_from(["", "x"])),
    st.builds(LocalTime, st.integers(-(10**6), 10**6), st.integers(-(10**6), 10**6)),
    st.builds(Booted, st.text(max_size=5), st.booleans(), st.text(max_size=5)),
)
entries = st.builds(CodeEntry, codes, actions, st.integers(0, 99))
inputs = st.one_of(readings, readings, entries, entries, others)
gaps_ns = st.one_of(
    st.integers(0, 3 * NS_PER_S),
    st.integers(0, 3000 * NS_PER_S),
    st.sampled_from([0, 1, 30 * NS_PER_S, 60 * NS_PER_S, 300 * NS_PER_S, 10**17]),
)


def events(effects: list[Effect]) -> list[PanelEvent]:
    return [effect.event for effect in effects if isinstance(effect, Emit)]


def without_outputs(effects: list[Effect]) -> list[Effect]:
    return [effect for effect in effects if not isinstance(effect, SetOutput)]


class PanelLife(RuleBasedStateMachine):
    """One panel, its shadow restored from snapshots on the way, and what a model knows of it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = at(0)
        self.panel, _ = Panel.restore(CONFIG, None, self.now, same_boot=True)
        self.shadow: Panel | None = None
        self.modes = {1: "disarmed", 2: "disarmed"}
        self.zone_state = dict.fromkeys(TYPES, ReadingState.NORMAL)
        self.owed: dict[tuple[int, int], bool] = {}
        self.began: dict[tuple[int, int], Instant] = {}
        self.restarted: set[int] = set()
        self.outputs: dict[str, bool] = {}
        self.last_loud = self.now

    @initialize()
    def start(self) -> None:
        self.outputs = {"siren": False, "strobe": False, "armed:1": False}

    # --- what is done ---

    @rule(given=inputs, gap_ns=gaps_ns)
    def anything(self, given: PanelInput, gap_ns: int) -> None:
        self.live(gap_ns)
        self.hand(given)

    @rule(number=st.sampled_from(list(TYPES)), gap_ns=gaps_ns)
    def pulse(self, number: int, gap_ns: int) -> None:
        self.live(gap_ns)
        self.hand(Reading(f"zone:{number}", ReadingState.ALARM, pulse=True))
        self.hand(Reading(f"zone:{number}", ReadingState.NORMAL))

    @rule(mode=st.sampled_from(ArmMode), leave=st.booleans())
    def arm_and_leave(self, mode: ArmMode, leave: bool) -> None:
        self.hand(CodeEntry(ALL_CODE, Arm((), mode, force=True), 1))
        if leave:
            self.pulse(1, NS_PER_S)
        self.live(100 * NS_PER_S)

    @rule(openings=st.integers(0, 4), gap_ns=st.integers(0, 40 * NS_PER_S))
    def leave_slowly(self, openings: int, gap_ns: int) -> None:
        self.hand(CodeEntry(ALL_CODE, Disarm(), 1))
        self.hand(CodeEntry(ALL_CODE, Arm((1,), ArmMode.FULL, force=True), 1))
        for _ in range(openings):
            self.pulse(1, gap_ns)

    @rule(action=st.sampled_from([WalkTest(), PanelTest()]), number=st.sampled_from(list(TYPES)))
    def on_test(self, action: Action, number: int) -> None:
        self.hand(CodeEntry(ALL_CODE, Disarm(), 1))
        self.hand(CodeEntry(ALL_CODE, action, 1))
        self.pulse(number, NS_PER_S)

    @rule(gap_ns=gaps_ns)
    def live(self, gap_ns: int) -> None:
        """Time passes, deadline by deadline; the shadow sleeps and catches up in one call."""
        until = Instant(self.now + gap_ns)
        told: list[Effect] = []
        for _ in range(400):
            due = self.panel.deadline()
            assert due is not None
            assert due > self.now, "overdue timer left behind"
            if due > until:
                break
            if due - 1 >= self.now:
                assert self.panel.tick(Instant(due - 1)) == [], "timer fired early"
                assert self.panel.deadline() == due
            self.now = due
            effects = self.panel.tick(due)
            self.watch(None, effects)
            told += effects
        else:
            until = self.now  # a very long sleep: only so many periodic tests are lived through
        self.now = until
        assert self.panel.tick(until) == []
        if self.shadow is not None:
            caught_up = events(self.shadow.tick(until))
            periodic = int(Code.PERIODIC_TEST)
            assert [e for e in caught_up if e.code != periodic] == [
                e for e in events(told) if e.code != periodic
            ]
            if any(event.code == periodic for event in events(told)):
                self.same_shadow()

    @rule()
    def kill(self) -> None:
        """The process dies and comes back at once; the one that never died goes on beside it."""
        testing = self.panel.view().walk_test or self.panel.view().panel_test
        self.shadow, effects = Panel.restore(
            CONFIG, self.panel.snapshot(), self.now, same_boot=True
        )
        assert bool(events(effects)) is testing
        assert {e.role: e.on for e in effects if isinstance(e, SetOutput)} == self.outputs
        if testing:  # H6: it comes back without them, so the lives part here
            self.panel, self.shadow = self.shadow, None
            self.watch(None, effects)
        else:
            self.same_shadow()

    @rule(uptime_s=st.integers(0, 10**6))
    def power_cut(self, uptime_s: int) -> None:
        before = self.panel.view()
        was = self.now
        self.shadow = None
        self.now = at(uptime_s)
        self.panel, effects = Panel.restore(
            CONFIG, self.panel.snapshot(), self.now, same_boot=False
        )
        move = self.now - was
        self.began = {key: Instant(began + move) for key, began in self.began.items()}
        self.last_loud = Instant(self.last_loud + move)
        self.watch(None, effects)
        after = self.panel.view()
        for old, new in zip(before.areas, after.areas, strict=True):
            assert (old.mode, old.armed_as, old.memory) == (new.mode, new.armed_as, new.memory)
            for then, again in ((old.until, new.until), (old.siren_until, new.siren_until)):
                assert (then is None) == (again is None)
                if then is not None and again is not None:
                    assert then - was == again - self.now
        assert before.zones == after.zones

    # --- what must hold ---

    def hand(self, given: PanelInput) -> None:
        old_states = dict(self.zone_state)
        effects = self.panel.receive(given, self.now)
        if self.shadow is not None:
            assert without_outputs(self.shadow.receive(given, self.now)) == without_outputs(effects)
        self.watch(given, effects)
        if isinstance(given, Reading):
            self.watch_reading(given, events(effects), old_states)
        if isinstance(given, CodeEntry):
            answers = [effect for effect in effects if isinstance(effect, Answer)]
            assert [answer.token for answer in answers] == [given.token]
            assert answers[0].ok is (answers[0].reason is None)
            if given.code_hash == ALL_DURESS:
                assert Code.DURESS in [event.code for event in events(effects)]
        else:
            assert not [effect for effect in effects if isinstance(effect, Answer)]

    def watch_reading(
        self, given: Reading, told: list[PanelEvent], old: dict[int, ReadingState]
    ) -> None:
        kind, _, digits = given.point.partition(":")
        if kind != "zone" or not digits.isascii() or not digits.isdigit():
            return
        number = int(digits)
        if number not in TYPES:
            return
        self.zone_state[number] = given.state
        about = [event for event in told if event.zone == number]
        activated = given.state is ReadingState.ALARM and (
            old[number] is not ReadingState.ALARM or given.pulse
        )
        if activated:
            assert any(event.q is Qualifier.NEW for event in about), "an activation was swallowed"
            code = NEVER_TEST.get(TYPES[number])
            if code is not None:
                assert any(
                    event.code == code and event.q is Qualifier.NEW and not event.test
                    for event in about
                ), "danger or tamper not reported at once"
        elif given.state is not old[number] and given.state is not ReadingState.NORMAL:
            assert any(event.q is Qualifier.NEW and not event.test for event in about)
        if given.state is ReadingState.NORMAL:
            assert not [key for key in self.owed if key[0] == number], "an alarm not restored"
            if old[number] is not ReadingState.NORMAL:
                assert any(event.q is Qualifier.RESTORE for event in about)

    def watch(self, given: PanelInput | None, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, SetOutput):
                assert effect.role in ("siren", "strobe", "armed:1")
                self.outputs[effect.role] = effect.on
        for event in events(effects):
            self.pair(event)
            self.delays(given, event)
            if event.q is Qualifier.NEW and event.code in self.LOUD:
                self.last_loud = self.now
        self.no_way_to_disarmed(given, effects)

    ZONE_CODES = frozenset(
        {
            *(100, 110, 122, 123, 130, 131, 132, 133, 134, 144, 151, 154),
            *(374, 378, 380, 384, 394, 1001, 1009),
        }
    )

    LOUD = frozenset({110, 123, 130, 131, 132, 133, 134, 137, 144, 151, 320, 341, 374, 1037})

    def pair(self, event: PanelEvent) -> None:
        """F7: each RESTORE has its NEW, with the same test mark."""
        if event.zone == 0 or event.code not in self.ZONE_CODES:
            return
        key = (event.zone, event.code)
        if event.q is Qualifier.NEW:
            self.owed.setdefault(key, event.test)
        elif event.q is Qualifier.RESTORE:
            assert key in self.owed, "a restore of nothing"
            assert self.owed.pop(key) == event.test

    def delays(self, given: PanelInput | None, event: PanelEvent) -> None:
        """Exit and entry delays last exactly as long as configured, unless somebody acts."""
        if event.code not in (Code.EXIT_DELAY, Code.ENTRY_DELAY):
            return
        key = (event.area, event.code)
        length_s = 60 if event.code == Code.EXIT_DELAY else 30
        match event.q:
            case Qualifier.NEW:
                self.began[key] = self.now
                self.restarted.discard(event.area)
            case Qualifier.STATUS if event.detail == "restarted":
                assert event.area not in self.restarted
                self.restarted.add(event.area)
                self.began[key] = self.now
            case Qualifier.RESTORE:
                began = self.began.pop(key)
                if given is None:
                    assert self.now - began == length_s * NS_PER_S
                else:
                    assert self.now - began < length_s * NS_PER_S

    def no_way_to_disarmed(self, given: PanelInput | None, effects: list[Effect]) -> None:
        """H2: only a known user's accepted Disarm, or a turned key, and always on record."""
        modes = self.panel.modes()
        for area, mode in modes.items():
            if mode == "disarmed" and self.modes[area] != "disarmed":
                opening = [
                    e
                    for e in events(effects)
                    if e.area == area
                    and e.q is Qualifier.NEW
                    and e.code in (Code.OPEN_CLOSE, Code.OPEN_CLOSE_KEYSWITCH)
                ]
                assert len(opening) == 1, "disarmed without a record"
                if isinstance(given, Reading):
                    assert TYPES[int(given.point.removeprefix("zone:"))] is ZoneType.KEYSWITCH
                    assert given.state is ReadingState.ALARM
                else:
                    assert isinstance(given, CodeEntry)
                    assert isinstance(given.action, Disarm)
                    assert given.code_hash in (ALL_CODE, ALL_DURESS, TWO_CODE)
                    assert area == 2 or given.code_hash != TWO_CODE
                    assert area in given.action.areas or not given.action.areas
                    assert any(isinstance(e, Answer) and e.ok for e in effects)
                    assert opening[0].user == (2 if given.code_hash == TWO_CODE else 1)
        self.modes = modes

    def same_shadow(self) -> None:
        assert self.shadow is not None
        self.shadow, _ = Panel.restore(CONFIG, self.panel.snapshot(), self.now, same_boot=True)
        assert self.shadow.snapshot() == self.panel.snapshot()
        assert self.shadow.view() == self.panel.view()

    @invariant()
    def consistent(self) -> None:
        view = self.panel.view()
        loud = any(area.siren_until is not None for area in view.areas)
        assert self.outputs["siren"] or not loud
        if self.outputs["siren"]:
            assert self.now - self.last_loud < CONFIG.timers.siren_s * NS_PER_S
        assert self.outputs["armed:1"] is (self.modes[1] not in ("disarmed", "exit"))
        for area in view.areas:
            assert (area.until is not None) is (area.mode in ("exit", "entry", "alarm"))
        for zone in view.zones:
            assert {(zone.number, code) for code in zone.open} == {
                key for key in self.owed if key[0] == zone.number
            }
            assert zone.state != "normal" or not zone.open
            if zone.bypassed_by is not None:
                assert TYPES[zone.number] not in NEVER_TEST or zone.number == 13


PanelLife.TestCase.settings = settings(
    max_examples=120,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
TestPanelLife = PanelLife.TestCase


@given(st.lists(st.tuples(gaps_ns, inputs), max_size=25), st.integers(0, 25))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_restored_anywhere_lives_on_the_same(steps: list[tuple[int, PanelInput]], cut: int) -> None:
    """A clone restored midway gives, input for input, the same effects and the same snapshot."""
    now = at(0)
    panel, _ = Panel.restore(CONFIG, None, now, same_boot=True)
    clone: Panel | None = None
    for index, (gap_ns, given_input) in enumerate(steps):
        now = Instant(now + gap_ns)
        if index == cut and not (panel.view().walk_test or panel.view().panel_test):
            clone, _ = Panel.restore(CONFIG, panel.snapshot(), now, same_boot=True)
        effects = panel.receive(given_input, now)
        if clone is not None:
            assert without_outputs(clone.receive(given_input, now)) == without_outputs(effects)
            assert clone.snapshot() == panel.snapshot()


@given(st.lists(st.tuples(gaps_ns, inputs), max_size=20), actions)
@settings(max_examples=150, deadline=None, derandomize=True)
def test_duress_is_invisible(steps: list[tuple[int, PanelInput]], action: Action) -> None:
    """From any state: the same answer, outputs and state, plus one DURESS event."""
    now = at(0)
    panel, _ = Panel.restore(CONFIG, None, now, same_boot=True)
    for gap_ns, given_input in steps:
        now = Instant(now + gap_ns)
        panel.receive(given_input, now)
    saved = panel.snapshot()
    results = []
    for code in (ALL_CODE, ALL_DURESS):
        clone, _ = Panel.restore(CONFIG, saved, now, same_boot=True)
        effects = clone.receive(CodeEntry(code, action, 5), now)
        duress = [effect for effect in effects if is_duress(effect)]
        assert len(duress) == (code == ALL_DURESS)
        results.append(([e for e in effects if not is_duress(e)], clone.snapshot()))
    assert results[0] == results[1]


def is_duress(effect: Effect) -> bool:
    return isinstance(effect, Emit) and effect.event.code == Code.DURESS


@given(st.binary(max_size=300))
@settings(max_examples=200, deadline=None, derandomize=True)
def test_no_bytes_make_a_disarmed_panel_or_an_exception(raw: bytes) -> None:
    panel, effects = Panel.restore(CONFIG, raw, at(1), same_boot=False)
    assert set(panel.modes().values()) == {"armed_full"}
    assert events(effects)[0].code == Code.STATE_LOST


@given(st.integers(0, 10_000), st.integers(0, 255))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_garbled_snapshot_is_lost_state(where: int, byte: int) -> None:
    """One byte changed is known, and comes up armed."""
    panel = Panel(CONFIG)
    panel.receive(CodeEntry(ALL_CODE, Arm(), 1), at(1))
    panel.tick(at(100))
    whole = panel.snapshot()
    raw = bytearray(whole)
    raw[where % len(raw)] = byte
    garbled, _ = Panel.restore(CONFIG, bytes(raw), at(100), same_boot=True)
    if raw != whole:
        assert set(garbled.modes().values()) == {"armed_full"}
    assert events(garbled.receive(Reading("zone:3", ReadingState.ALARM), at(101)))
