"""The plain sentence, word for word, in both languages."""

from __future__ import annotations

import itertools

import pytest
from msgspec.structs import replace

from collector.records.case import Case, OperatorAct, Outcome
from collector.records.names import WORDINGS, code_name
from collector.records.sentence import plain
from protocols.contact_id.codes import CODES
from protocols.contact_id.message import HEX_BASE
from protocols.instants import UtcTime
from protocols.panel_event import Code, Qualifier
from tests.support.case_story import CARD, SHANGHAI, START, S, Story, occurrence

ONE_AREA = replace(CARD, areas={"1": "Shop"}, areas_zh={"1": "店面"})
ARMED_S = 10_400
"""START + 10,400 s is 22:00 at the site."""


def night() -> Story:
    story = Story()
    story.arm(ARMED_S + 180)
    return story


def said(case: Case) -> tuple[str, str]:
    return plain(case, ONE_AREA, "en").text, plain(case, ONE_AREA, "zh").text


def test_the_sentence_of_the_issue() -> None:
    story = night()
    story.tell(Code.PERIMETER, ARMED_S + 3000, zone=1)
    story.tell(Code.INTERIOR, ARMED_S + 3014, zone=2)
    assert plain(story.only(), ONE_AREA, "en").first == (
        "Front door, then hall detector 14 s later, armed since 22:03, no one has disarmed."
    )
    assert plain(story.only(), ONE_AREA, "zh").first == (
        "正门报警，14 秒后大厅探测器报警，22:03 起布防，至今无人撤防。"
    )
    assert plain(story.only(), ONE_AREA, "en").remarks == (
        "Confirmed: two independent detectors.",
        "The operator must tell 110 (police).",
    )


def test_one_detector_only() -> None:
    story = night()
    story.tell(Code.INTERIOR, ARMED_S + 3000, zone=2)
    assert said(story.only()) == (
        "Hall detector, armed since 22:03, no one has disarmed. Unconfirmed: one detector only.",
        "大厅探测器报警，22:03 起布防，至今无人撤防。未复核：仅一个探测器报警。",
    )


def test_the_window_is_over() -> None:
    story = night()
    story.tell(Code.INTERIOR, ARMED_S + 3000, zone=2)
    story.take(story.machine.tick(UtcTime(START + (ARMED_S + 9000) * S)))
    assert said(story.only()) == (
        (
            "Hall detector, armed since 22:03, no one has disarmed. "
            "Unconfirmed: no second detector within 45 min."
        ),
        "大厅探测器报警，22:03 起布防，至今无人撤防。未复核：45 分钟内没有第二个探测器报警。",
    )


def test_cancelled_by_a_named_user() -> None:
    story = night()
    story.tell(Code.INTERIOR, ARMED_S + 3000, zone=2)
    story.tell(Code.ALARM_CANCEL, ARMED_S + 3060, user=2)
    assert said(story.only()) == (
        "Hall detector, armed since 22:03, cancelled 22:51 by Zhang San.",
        "大厅探测器报警，22:03 起布防，22:51 由Zhang San取消。",
    )


def test_entry_door_opened_first() -> None:
    story = night()
    story.tell(Code.ENTRY_DOOR_OPENED, ARMED_S + 2970, zone=1)
    story.tell(Code.ENTRY_EXIT, ARMED_S + 3000, zone=1)
    story.tell(Code.INTERIOR, ARMED_S + 3030, zone=2)
    assert said(story.only()) == (
        (
            "Front door, then hall detector 30 s later, armed since 22:03, no one has disarmed. "
            "Unconfirmed: the entry door was opened first, so nothing confirms it."
        ),
        (
            "正门报警，30 秒后大厅探测器报警，22:03 起布防，至今无人撤防。"
            "未复核：进入门先被打开，复核功能已停用。"
        ),
    )


def test_alarm_then_path_loss() -> None:
    story = night()
    story.tell(Code.INTERIOR, ARMED_S + 3000, zone=2)
    at_s = ARMED_S + 3090
    story.give(occurrence(0, Code.PANEL_LOST, at_s, area=0, epoch=0, id_=9, detail="path=mqtt"))
    assert said(story.only("burglary")) == (
        (
            "Hall detector, armed since 22:03, no one has disarmed. "
            "Confirmed: alarm, then a path was lost. The operator must tell 110 (police)."
        ),
        (
            "大厅探测器报警，22:03 起布防，至今无人撤防。已复核：报警后通信线路中断。"
            "须由值班员通知 110（公安）。"
        ),
    )
    assert said(story.only("trouble")) == ("Panel not heard from.", "主机失联。")


def test_holdup_and_duress() -> None:
    story = Story()
    story.tell(Code.HOLDUP_SILENT, ARMED_S, zone=8)
    assert said(story.only()) == (
        "Hold-up button pressed: counter button. The operator must tell 110 (police).",
        "紧急按钮被按下：柜台按钮。须由值班员通知 110（公安）。",
    )
    story = Story()
    story.tell(Code.DURESS, ARMED_S, user=2)
    assert said(story.only()) == (
        "Duress code entered by Zhang San. The operator must tell 110 (police).",
        "Zhang San：输入了胁迫码。须由值班员通知 110（公安）。",
    )


def test_on_test_clock_doubt_and_a_failed_disk() -> None:
    story = night()
    story.give(
        occurrence(
            9, Code.INTERIOR, ARMED_S + 3000, zone=2, test=True, err_us=180 * S, recorded=False
        )
    )
    assert said(story.only()) == (
        (
            "Hall detector, armed since 22:03, no one has disarmed. "
            "Unconfirmed: one detector only. Account on test: nobody is told. "
            "Time uncertain by ±3 min. "
            "The panel could not record it: its disk failed."
        ),
        (
            "大厅探测器报警，22:03 起布防，至今无人撤防。未复核：仅一个探测器报警。"
            "该用户正在测试，不通知任何单位。时间误差 ±3 分钟。主机存储故障，未能记录此事件。"
        ),
    )


def test_an_unsynchronised_time_is_not_given_as_one() -> None:
    story = Story()
    story.tell(Code.FIRE, ARMED_S, zone=3, err_us=10 * 365 * 86_400 * S)
    assert said(story.only()) == (
        (
            "Fire alarm: counter detector. The operator must tell 119 (fire). "
            "Time not known, only that it was received 22:00."
        ),
        "火警：柜台探测器。须由值班员通知 119（消防）。发生时间不明，仅知 22:00 收到。",
    )


def test_unknown_code_restored_fault_closed_and_guards() -> None:
    story = Story()
    story.tell(790, ARMED_S, zone=3)
    assert said(story.only())[0] == "Unknown code 790: counter detector."
    assert said(story.only())[1] == "未知代码 790：柜台探测器。"
    story = Story()
    story.tell(Code.MAINS_FAIL, ARMED_S, area=0)
    story.tell(Code.MAINS_FAIL, ARMED_S + 600, Qualifier.RESTORE, area=0)
    assert said(story.only()) == ("Mains power failed. Restored 22:10.", "交流断电。22:10 已恢复。")
    story = Story(SHANGHAI)
    story.tell(Code.INTERIOR, ARMED_S, zone=2)
    assert "Guards are to be sent." in said(story.only())[0]
    act = OperatorAct(1, "close", "Li Si", Outcome.FALSE)
    story.take(story.machine.operator(act, UtcTime(START)))
    assert said(story.only())[0].endswith("Closed by Li Si: false alarm.")
    assert said(story.only())[1].endswith("Li Si已结案：误报。")


def test_a_call_nobody_understood_is_named_with_its_caller_and_a_lost_line_with_its_cause() -> None:
    story = Story()
    call = "call=1fe3ccb7a99f8b628fff;caller=13800001234;receiver=rx-1;line=trunk;tried=dual"
    story.tell(Code.UNRECOGNISED_CALL, ARMED_S, area=0, detail=call)
    english, chinese = said(story.only())
    assert english == (
        "Phone call that could not be read. Caller 13800001234, line trunk of receiver rx-1; its"
        " audio there: call 1fe3ccb7a99f."
    )
    assert chinese.startswith("无法识别的来电。主叫 13800001234，接收机 rx-1 的线路 trunk；")
    story = Story()
    damaged = "receiver=rx-1;line=spool;heard=account 1234;reason=an entry was damaged, left of it:"
    story.tell(Code.UNRECOGNISED_CALL, ARMED_S, area=0, detail=damaged)
    assert "Line spool: an entry was damaged, left of it: account 1234." in said(story.only())[0]
    story = Story()
    story.tell(Code.LINE_FAULT, ARMED_S, area=0, detail="line=spool;cause=the disk is full")
    assert said(story.only())[0] == "Phone line at the centre lost. Line spool: the disk is full."


def test_areas_are_named_when_there_are_several_and_the_day_when_it_is_another() -> None:
    story = Story()
    story.arm(0, area=2)
    story.tell(Code.INTERIOR, 3 * 86_400, zone=9, area=2)
    assert plain(story.only(), CARD, "en").first == (
        "Store detector, in Store, armed since 2026-11-18 19:06, no one has disarmed."
    )
    assert plain(story.only(), CARD, "zh").first == (
        "仓库探测器报警，位于仓库，2026-11-18 19:06 起布防，至今无人撤防。"
    )


def test_without_a_card_numbers_are_said_as_words_and_times_as_utc() -> None:
    story = Story(card=None)
    story.arm(0)
    story.tell(Code.INTERIOR, 100, zone=2)
    assert plain(story.only(), None, "en").first == (
        "Zone 2, armed since 11:06 UTC, no one has disarmed."
    )
    assert plain(story.only(), None, "zh").first == (
        "2 号防区报警，UTC 11:06 起布防，至今无人撤防。"
    )


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_every_code_and_every_token_has_words(lang: str) -> None:
    words = WORDINGS[lang]
    assert {int(code) for code in Code} <= set(words.codes)
    assert set(WORDINGS["en"].why) == set(words.why)
    for field in ("kinds", "states", "outcomes", "destinations"):
        assert set(getattr(WORDINGS["en"], field)) == set(getattr(words, field))
    names = [code_name(int(code), lang) for code in Code]
    assert all(names)
    assert code_name(987_654, lang)
    assert "187" not in code_name(130, lang)


def test_a_bus_node_is_named_as_a_node_and_not_as_the_zone_of_its_number() -> None:
    story = night()
    story.tell(Code.NODE_LOST, ARMED_S + 3000, zone=2)
    assert said(story.only()) == (
        "Bus node lost: bus node 2.",
        "总线节点失联：2 号总线节点。",
    )


def test_every_code_of_contact_id_has_its_name_in_the_sentence() -> None:
    """A phone report may bear any of 323; those that are not ours take the standard's table."""
    assert code_name(115, "en") == "manual fire call point operated"
    assert code_name(115, "zh") == "手动火灾报警按钮动作"
    assert code_name(HEX_BASE + 0x1B3, "en") == "unknown code 1B3"
    for code, lang in itertools.product(CODES, ("en", "zh")):
        words = WORDINGS[lang]
        assert words.unknown_code.format(code=code) not in code_name(code, lang)
