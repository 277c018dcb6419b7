"""Case + SiteCard -> one plain sentence, then short remarks: what happened, in words.

`plain(case, card, "en").text` is never empty, never longer than MAX_CHARS, and never names a zone
by number alone when the card has its name (standards: "zone 12, whatever that means").
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Final

from collector.records import phone_words
from collector.records.case import Case, Destination, Evidence, Kind, Outcome, State
from collector.records.names import (
    WORDINGS,
    area_name,
    clean,
    code_name,
    local_time,
    place_name,
    zone_name,
)
from collector.records.wording import Wording
from protocols.instants import US_PER_S, UtcTime
from protocols.mqtt.payloads import SiteCard
from protocols.panel_event import Code, PanelEvent

MAX_CHARS: Final = 600
ZONES_NAMED: Final = 4
UNCERTAIN_US: Final = 10 * US_PER_S
UNTIMED_US: Final = 365 * 86_400 * US_PER_S
"""An error bound this wide means: the time is not known (placement.py)."""
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Plain:
    """`first` is the sentence, `remarks` what else must be known, each a sentence."""

    first: str
    remarks: tuple[str, ...]
    text: str


def plain(case: Case, card: SiteCard | None, lang: str) -> Plain:
    """The case in words; `lang` is a key of WORDINGS."""
    return _Speaker(case, card, WORDINGS[lang], lang).plain()


class _Speaker:
    def __init__(self, case: Case, card: SiteCard | None, words: Wording, lang: str) -> None:
        self.case = case
        self.card = card
        self.words = words
        self.lang = lang

    def plain(self) -> Plain:
        words = self.words
        clauses = [clause for clause in (*self._what(), *self._around()) if clause]
        first = _capital(words.comma.join(clauses)) + words.stop
        if len(first) > MAX_CHARS:
            first = first[: MAX_CHARS - 2].rstrip() + "…" + words.stop
        remarks: list[str] = []
        text = first
        for remark in self._remarks():
            longer = text + words.between + remark + words.stop
            if len(longer) > MAX_CHARS:
                break
            text = longer
            remarks.append(remark + words.stop)
        return Plain(first, tuple(remarks), text)

    # The first sentence

    def _what(self) -> list[str]:
        if self.case.kind is Kind.BURGLARY:
            trips = [piece for piece in self.case.occurrences if is_trip(piece.event)]
            if trips:
                return self._trips(trips)
        return self._reports()

    def _trips(self, trips: list[Evidence]) -> list[str]:
        """Each detector once, in order, with the time since the one before."""
        words = self.words
        firsts: dict[tuple[int, int], Evidence] = {}
        counts: dict[tuple[int, int], int] = {}
        for trip in trips:
            key = (trip.event.area if not trip.event.zone else 0, trip.event.zone)
            firsts.setdefault(key, trip)
            counts[key] = counts.get(key, 0) + 1
        clauses: list[str] = []
        before: Evidence | None = None
        for key, trip in list(firsts.items())[:ZONES_NAMED]:
            name = self._detector(trip.event)
            if counts[key] > 1:
                name = words.times.format(name=name, count=counts[key])
            clauses.append(self._step(before, trip, name))
            before = trip
        if len(firsts) > ZONES_NAMED:
            clauses.append(words.more_zones.format(count=len(firsts) - ZONES_NAMED))
        return clauses

    def _step(self, before: Evidence | None, trip: Evidence, name: str) -> str:
        if before is None:
            return self.words.first.format(name=name)
        gap_us, doubt_us = _gap(before, trip)
        if gap_us < US_PER_S // 2 and doubt_us < US_PER_S:
            return self.words.at_once.format(name=name)
        gap = self._duration(max(gap_us, 0))
        if doubt_us >= US_PER_S and doubt_us * 5 > abs(gap_us):
            gap = self.words.about.format(gap=gap)
        return self.words.then.format(name=name, gap=gap)

    def _reports(self) -> list[str]:
        """Every kind of report in the case once, with its detector or user."""
        words = self.words
        seen: list[str] = []
        mine = [piece for piece in self.case.occurrences if self._is_own(piece)]
        for piece in mine or list(self.case.occurrences):
            event = piece.event
            what = code_name(event.code, self.lang)
            if event.zone:
                clause = words.reported.format(what=what, name=self._detector(event))
            elif event.user:
                clause = words.user_did.format(what=what, name=self._user(event.user))
            else:
                clause = words.reported_at.format(what=what)
            if clause not in seen:
                seen.append(clause)
        if len(seen) > ZONES_NAMED:
            rest = len(seen) - ZONES_NAMED
            seen = [*seen[:ZONES_NAMED], words.more.format(count=rest)]
        return seen or [words.kinds[self.case.kind.value]]

    def _is_own(self, piece: Evidence) -> bool:
        return piece.event.code not in _BESIDE

    def _around(self) -> list[str]:
        """Area, arm state, who disarmed or cancelled."""
        words, context = self.words, self.case.context
        clauses: list[str] = []
        if self.card is not None and len(self.card.areas) > 1 and self.case.areas:
            names = [area_name(self.card, area, self.lang) for area in self.case.areas[:3]]
            clauses.append(words.in_area.format(name=words.list_comma.join(names)))
        if self.case.kind not in {Kind.BURGLARY, Kind.HOLDUP, Kind.TAMPER}:
            return clauses
        armed = context.armed and context.armed_since is not None
        if armed and context.armed_since is not None:
            clauses.append(self._armed(context.armed_since))
        elif context.armed is False and self.case.kind is Kind.BURGLARY:
            clauses.append(words.not_armed)
        if context.cancelled_at is not None:
            clauses.append(
                self._by(
                    words.cancelled, words.cancelled_by, context.cancelled_at, context.cancelled_by
                )
            )
        elif context.disarmed_at is not None and context.armed is not False:
            clauses.append(
                self._by(
                    words.disarmed, words.disarmed_by, context.disarmed_at, context.disarmed_by
                )
            )
        elif armed:
            clauses.append(words.no_disarm)
        return clauses

    def _armed(self, since: UtcTime) -> str:
        words, context = self.words, self.case.context
        time = self._time(since)
        if context.mode == "stay":
            return words.mode_stay.format(time=time)
        if context.mode == "night":
            return words.mode_night.format(time=time)
        return words.armed_since.format(time=time)

    def _by(self, bare: str, with_name: str, at: UtcTime, user: int) -> str:
        if user:
            return with_name.format(time=self._time(at), name=self._user(user))
        return bare.format(time=self._time(at))

    # Remarks, the weightiest first

    def _remarks(self) -> list[str]:
        remarks = [
            *self._standing(),
            *self._testing(),
            *self._telling(),
            *phone_words.remarks(self.case, self.words),
            *self._doubts(),
            *self._paths(),
            *self._history(),
        ]
        return [remark for remark in remarks if remark]

    def _standing(self) -> list[str]:
        case, words = self.case, self.words
        said: list[str] = []
        if case.kind is Kind.BURGLARY:
            if case.verdict is State.UNCONFIRMED:
                said.append(self._unconfirmed())
            elif case.verdict is State.CONFIRMED:
                said.append(words.confirmed.format(why=self._why_confirmed()))
        if case.grade:
            why = next((d.why for d in case.decisions if d.rule == "holdup_grade"), "two_presses")
            said.append(words.grade.format(why=words.why[why]))
        return said

    def _unconfirmed(self) -> str:
        case, words = self.case, self.words
        reasons = [d.why for d in case.decisions if d.outcome in {"noted", "doubt"}]
        for token in _TELLING:
            if token in reasons:
                return words.unconfirmed.format(why=words.why[token])
        if case.window_over and case.window_until is not None:
            first = case.occurrences[0]
            ended = min(first.at + first.err_us, first.received)
            gap = self._duration(max(case.window_until - ended, 0))
            return words.window_over.format(gap=gap)
        return words.unconfirmed.format(why=words.why["one_detector"])

    def _why_confirmed(self) -> str:
        for decision in self.case.decisions:
            if decision.outcome == State.CONFIRMED.value:
                return self.words.why.get(decision.why, decision.rule)
        return self.words.why["independent_detectors"]

    def _testing(self) -> list[str]:
        if not self.case.test:
            return []
        told = self.words.on_test_told if self.case.handed_to else self.words.on_test
        return [told]

    def _telling(self) -> list[str]:
        case, words = self.case, self.words
        said: list[str] = []
        if case.state is State.CLOSED:
            return [self._closing()]
        whom = [to for to in case.handed_to if to is not Destination.GUARDS]
        if whom:
            names = words.list_comma.join(words.destinations[to.value] for to in whom)
            said.append(words.to_tell.format(names=names))
        if Destination.GUARDS in case.handed_to:
            said.append(words.told_guards)
        if case.taken_by:
            said.append(words.taken.format(name=clean(case.taken_by)))
        return said

    def _closing(self) -> str:
        case, words = self.case, self.words
        if case.outcome is Outcome.MERGED:
            return words.merged.format(case=case.merged_into)
        if case.outcome is Outcome.RESTORED:
            times = [one.restored_at for one in case.occurrences if one.restored_at is not None]
            return words.restored.format(time=self._time(max(times, default=case.updated_at)))
        outcome = words.outcomes[case.outcome.value]
        return words.closed.format(name=clean(case.closed_by), outcome=outcome)

    def _doubts(self) -> list[str]:
        case, words = self.case, self.words
        said: list[str] = []
        alarms = [piece for piece in case.occurrences if self._is_own(piece)]
        worst = max((piece.err_us for piece in alarms), default=0)
        if worst >= UNTIMED_US and alarms:
            received = self._time(alarms[0].received)
            said.append(words.untimed.format(time=received))
        elif worst >= UNCERTAIN_US:
            said.append(words.uncertain.format(gap=self._duration(worst)))
        late = max((piece.received - piece.at for piece in alarms if piece.late), default=0)
        if late:
            said.append(words.late.format(gap=self._duration(late)))
        if any(not piece.recorded for piece in case.occurrences):
            said.append(words.unrecorded)
        return said

    def _paths(self) -> list[str]:
        """By which paths the alarm itself came; the network alone goes without saying."""
        words = self.words
        own = [piece for piece in self.case.occurrences if self._is_own(piece)]
        found = dict.fromkeys(path for piece in own for path in sorted(piece.paths))
        if "phone" not in found:
            return []
        names = [words.paths.get(path, path) for path in sorted(found) if path != "centre"]
        named = names[0]
        if len(names) > 1:
            first = words.list_comma.join(names[:-1])
            named = words.both.format(first=first, last=names[-1])
        return [words.by_paths.format(names=named)]

    def _history(self) -> list[str]:
        case, words, context = self.case, self.words, self.case.context
        said: list[str] = []
        noted = {d.why for d in case.decisions if d.outcome in {"noted", "doubt"}}
        said += [
            _capital(words.why[token])
            for token in ("cancel_noted", "abort_noted", "order_doubt")
            if token in noted
        ]
        lost = context.path_lost_at if case.kind is Kind.BURGLARY else None
        if lost is not None and "path" not in self._confirming():
            said.append(words.path_lost.format(time=self._time(lost)))
        if context.recent_close:
            said.append(words.recent_close)
        if context.exit_error:
            said.append(words.exit_error)
        said += [
            words.runaway.format(name=_capital(zone_name(self.card, zone, self.lang)))
            for zone in case.runaway[:2]
        ]
        if case.more:
            said.append(words.more.format(count=case.more))
        rules = {decision.rule for decision in case.decisions}
        if "late_evidence" in rules:
            said.append(words.revised)
        if "reopened" in rules:
            said.append(words.reopened)
        return said

    def _confirming(self) -> str:
        whys = [d.why for d in self.case.decisions if d.outcome == State.CONFIRMED.value]
        return whys[0] if whys else ""

    # Names and times

    def _detector(self, event: PanelEvent) -> str:
        if event.zone:
            return place_name(self.card, event, self.lang)
        if event.area:
            return area_name(self.card, event.area, self.lang)
        return self.words.panel

    def _user(self, user: int) -> str:
        name = clean(self.card.users.get(str(user), "")) if self.card is not None else ""
        return name or self.words.user.format(number=user)

    def _time(self, at: UtcTime) -> str:
        """Hour and minute at the site; the day too when it is not the day of the alarm."""
        there = local_time(self.card, at)
        opened = local_time(self.card, self.case.opened_at)
        shown = f"{there:%H:%M}"
        if abs(there - opened) > timedelta(hours=18):
            shown = self.words.day_and_time.format(day=f"{there:%Y-%m-%d}", time=shown)
        if there.tzinfo is UTC:
            shown = self.words.utc.format(time=shown)
        return shown

    def _duration(self, us: int) -> str:
        words, seconds = self.words, round(us / US_PER_S)
        if seconds < 120:
            return words.seconds.format(n=max(seconds, 1))
        if seconds < 120 * 60:
            return words.minutes.format(n=round(seconds / 60))
        if seconds < 2 * _DAY_S:
            return words.hours.format(n=round(seconds / 3600))
        return words.days.format(n=round(seconds / _DAY_S))


_TELLING: Final = (
    "entry_door_open",
    "window_doubt",
    "outside_detector",
    "overlap_same_technology",
    "overlap_unknown_technology",
    "unknown_detector",
)
"""Why a second trip did not confirm, the most telling first."""

_BESIDE: Final = frozenset(
    {int(Code.ALARM_CANCEL), int(Code.ABORT), int(Code.OPEN_CLOSE)}
    | {int(Code.OPEN_CLOSE_KEYSWITCH), int(Code.OPEN_CLOSE_REMOTE), int(Code.OPEN_CLOSE_LATE)}
)


def is_trip(event: PanelEvent) -> bool:
    """Whether the report is a burglary detector's."""
    tamper = event.code in {Code.PANEL_TAMPER, Code.ZONE_TAMPER, 145}
    return (130 <= event.code < 150 and not tamper) or event.code == Code.CROSS_ZONE_TROUBLE


def _gap(first: Evidence, second: Evidence) -> tuple[int, int]:
    """µs from one to the other, and how uncertain that is."""
    same_boot = first.boot and first.boot == second.boot
    if same_boot and first.mono is not None and second.mono is not None:
        return (second.mono - first.mono) // 1000, 0
    return second.at - first.at, first.err_us + second.err_us


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
