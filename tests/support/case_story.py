"""Builds Occurrences and stories of them for tests of verification."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from collector.adapters.rule_files import preset
from collector.records.case import Case, Handover
from collector.records.signal import Occurrence
from collector.verification import CaseChanged, CaseEffect, CaseMachine, HandOver, Rules
from protocols.instants import Instant, UtcTime
from protocols.mqtt.payloads import CardZone, SiteCard
from protocols.panel_event import Code, PanelEvent, Qualifier

PANEL = "shop-1"
START = UtcTime(1_795_000_000_000_000)
"""2026-11-18 11:06:40 UTC."""
S = 1_000_000
BS = preset("bs8243")
SHANGHAI = preset("shanghai2010")

CARD = SiteCard(
    panel=PANEL,
    name="Corner shop",
    name_zh="街角商店",
    areas={"1": "Shop", "2": "Store"},
    areas_zh={"1": "店面", "2": "仓库"},
    zones=[
        CardZone(1, 1, "Front door", "entry_exit", "正门", "contact", "d1"),
        CardZone(2, 1, "hall detector", "interior", "大厅探测器", "pir", "d2", overlaps=(3,)),
        CardZone(3, 1, "counter detector", "interior", "柜台探测器", "pir", "d3"),
        CardZone(4, 1, "window contact", "perimeter", "窗磁", "contact", "d4"),
        CardZone(5, 1, "glass side of the window", "perimeter", "窗玻璃", "glass", "d4"),
        CardZone(6, 1, "yard beam", "perimeter", "院内对射", "beam", "d6", outside=True),
        CardZone(7, 1, "hall radar", "interior", "大厅雷达", "microwave", "d7", overlaps=(2,)),
        CardZone(8, 1, "counter button", "holdup_silent", "柜台按钮", "button", "d8"),
        CardZone(9, 2, "store detector", "interior", "仓库探测器", "dual", "d9"),
    ],
    users={"2": "Zhang San"},
    timezone="Asia/Shanghai",
)


def occurrence(
    seq: int,
    code: int,
    at_s: float = 0,
    q: Qualifier = Qualifier.NEW,
    *,
    zone: int = 0,
    area: int = 1,
    user: int = 0,
    test: bool = False,
    detail: str = "",
    err_us: int = 1_000,
    epoch: int = 1,
    boot: str = "b1",
    mono: bool = True,
    received_s: float | None = None,
    id_: int | None = None,
    recorded: bool = True,
) -> Occurrence:
    """One Occurrence `at_s` seconds after START; epoch 0 makes it the centre's own."""
    at = UtcTime(START + round(at_s * S))
    received = UtcTime(START + round((at_s + 0.2 if received_s is None else received_s) * S))
    own = epoch > 0
    return Occurrence(
        id=id_ if id_ is not None else seq,
        panel=PANEL,
        event=PanelEvent(code, q, area, zone, user, test, detail),
        at=at,
        err_us=err_us,
        received=received,
        signals=(id_ if id_ is not None else seq,),
        paths=("mqtt" if own else "centre",),
        epoch=epoch,
        seq=seq if own else 0,
        recorded=recorded,
        boot=boot if own else "",
        mono=Instant(round(at_s * 1e9) + 10**12) if own and mono else None,
    )


class Story:
    """Feeds one machine and keeps what it said."""

    def __init__(self, rules: Rules = BS, card: SiteCard | None = CARD) -> None:
        self.machine = CaseMachine(rules, PANEL, card)
        self.cases: dict[int, Case] = {}
        self.handovers: list[Handover] = []
        self.seq = 0

    def tell(
        self,
        code: int,
        at_s: float = 0,
        q: Qualifier = Qualifier.NEW,
        *,
        zone: int = 0,
        area: int = 1,
        user: int = 0,
        test: bool = False,
        detail: str = "",
        err_us: int = 1_000,
        epoch: int = 1,
        boot: str = "b1",
        mono: bool = True,
        received_s: float | None = None,
    ) -> list[CaseEffect]:
        """The next Record of the panel."""
        self.seq += 1
        return self.give(
            occurrence(
                self.seq,
                code,
                at_s,
                q,
                zone=zone,
                area=area,
                user=user,
                test=test,
                detail=detail,
                err_us=err_us,
                epoch=epoch,
                boot=boot,
                mono=mono,
                received_s=received_s,
            )
        )

    def arm(self, at_s: float = 0, area: int = 1, user: int = 2) -> list[CaseEffect]:
        return self.tell(Code.OPEN_CLOSE, at_s, Qualifier.RESTORE, area=area, user=user)

    def disarm(self, at_s: float, area: int = 1, user: int = 2) -> list[CaseEffect]:
        return self.tell(Code.OPEN_CLOSE, at_s, Qualifier.NEW, area=area, user=user)

    def give(self, one: Occurrence) -> list[CaseEffect]:
        return self.take(self.machine.receive(one, one.received))

    def take(self, effects: Sequence[CaseEffect]) -> list[CaseEffect]:
        for effect in effects:
            match effect:
                case CaseChanged(case):
                    self.cases[case.id] = case
                case HandOver(handover):
                    self.handovers.append(handover)
        return list(effects)

    def only(self, kind: str = "") -> Case:
        """The one case there is, of a kind."""
        found = [case for case in self.cases.values() if not kind or case.kind.value == kind]
        assert len(found) == 1, found
        return found[0]

    def of(self, kind: str) -> list[Case]:
        return [case for case in self.cases.values() if case.kind.value == kind]

    def told(self) -> list[tuple[int, str]]:
        return [(handover.case, handover.to.value) for handover in self.handovers]


def told_by(occurrences: Iterable[Occurrence], rules: Rules = BS) -> Story:
    """The story of these Occurrences in the order they arrive."""
    story = Story(rules)
    for one in occurrences:
        story.give(one)
    return story


def whys(case: Case) -> list[tuple[str, str, str]]:
    return [(d.rule, d.outcome, d.why) for d in case.decisions]
