"""Voice modems at the centre: a panel calls a played modem, what it says is in the spool."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from collector.adapters.receiver_file import ReceiverConfigError, load
from hil.drivers.voice_modem import CalledModem
from tests.support.audio_panel import AudioPanel, dtmf
from tests.support.receiver_here import comes, receiver_here
from tests.support.reception_line import block_of
from tests.support.talking_device import noise

HEAD = """
id = "receiver-1"
plugins = false
[profile.default]
answer_silence_s = 0.5
handshakes = ["dual"]
rounds = 1
first_digit_s = 10
"""


HUNG_UP = {
    "loop": "the line's current was interrupted",
    "no_carrier": "the caller hung up: NO CARRIER",
    "words": "the caller hung up: NO CARRIER",
    "busy": "the caller hung up: busy tone",
}
MORE = {"law": "rings = 1", "noisy": "rings = 1", "linear": "baud = 230400"}
SICK = {"deaf": {"deaf": True}, "fast": {"fast": 50}}
DOWN = {"deaf": "down: modem_gone", "fast": "down: modem_error"}
CAUSES = HUNG_UP | dict.fromkeys(SICK, "the modem is gone")


def modem_table(name: str, device: str, more: str = "") -> str:
    return f'[[modem]]\nname = "{name}"\ndevice = "{device}"\n{more}\n'


def panel_of(modem: CalledModem, caller: str = "02155512345", **more: object) -> AudioPanel:
    return AudioPanel(modem.wall.host, modem.wall.port, caller=caller, most_ms=25_000, **more)  # type: ignore[arg-type]


@pytest.mark.system
def test_reports_of_all_kinds_of_modem_are_in_the_spool(tmp_path: Path) -> None:
    """Full duplex in A-law and 16 bit, half duplex in A-law and in 8 bit of unknown meaning, all at
    once; noise on one of them, an echo that cannot be turned off on another.
    """
    kinds = {
        "law": "conexant",
        "linear": "conexant",
        "half": "silabs",
        "usr": "usr",
        "noisy": "elder",
    }

    async def run(modems: dict[str, CalledModem]) -> None:
        modems["noisy"].set(garbage=True, no_caller_id=True)
        modems["half"].set(echo=True)
        config = HEAD + "".join(
            modem_table(name, modem.device, MORE.get(name, "")) for name, modem in modems.items()
        )
        async with receiver_here(tmp_path, config) as here:
            await comes(lambda: all(here.line(name).state == "idle" for name in modems))
            blocks = {
                name: [block_of(number=f"{place}{n:02d}") for n in range(2)]
                for place, name in enumerate(modems)
            }
            panels = await asyncio.gather(
                *(
                    panel_of(modem).call([dtmf(block) for block in blocks[name]])
                    for name, modem in modems.items()
                )
            )
            for name, panel in zip(modems, panels, strict=True):
                assert (panel.acknowledged, panel.sent) == ([0, 1], 2), (name, panel)
                assert [each.raw for each in here.reports(name)] == blocks[name]
                caller = "" if name == "noisy" else "02155512345"
                if name == "law":  # answered at the first ring, before or after the number came
                    caller = here.reports(name)[0].caller
                assert {each.caller for each in here.reports(name)} == {caller}
            await comes(lambda: all(here.line(name).state == "idle" for name in modems))
            await comes(lambda: all(here.calls(name) for name in modems))
            for name, modem in modems.items():
                (call,) = here.calls(name)
                assert (call.cause, call.kissed) == ("the caller hung up: busy tone", 2)
                assert here.states(name) == [(True, "")]
                assert not modem.in_call
                assert modem.lost_samples == 0
                assert here.line(name).listen == modem.device
            assert here.line("half").counts["slowest switch ms"] < 500  # 8 people's machine
            assert "slowest switch ms" not in here.line("linear").counts

    with ExitStack() as stack:
        modems = {name: stack.enter_context(CalledModem(kind)) for name, kind in kinds.items()}
        asyncio.run(run(modems))


@pytest.mark.system
def test_no_kiss_off_while_the_spool_refuses(tmp_path: Path) -> None:
    async def run(modems: dict[str, CalledModem]) -> None:
        config = HEAD + "".join(modem_table(each, modem.device) for each, modem in modems.items())
        async with receiver_here(tmp_path, config) as here:
            await comes(lambda: all(here.line(name).state == "idle" for name in modems))
            here.refuse(True)
            panels = {name: panel_of(modem) for name, modem in modems.items()}
            blocks = {name: block_of(f"{n}234") for n, name in enumerate(modems, 1)}
            calls = [
                asyncio.create_task(panel.call([dtmf(blocks[name])]))
                for name, panel in panels.items()
            ]
            # sent and sent again: each was answered by the spool's refusal, and by nothing else
            await comes(lambda: all(panel.sent >= 3 for panel in panels.values()))
            assert here.refused >= 2
            assert all(panel.acknowledged == [] for panel in panels.values())
            assert all(here.reports(name) == [] for name in modems)
            here.refuse(False)
            await asyncio.gather(*calls)
            for name, panel in panels.items():
                assert panel.acknowledged == [0], name
                assert [each.raw for each in here.reports(name)] == [blocks[name]]

    with ExitStack() as stack:
        kinds = ("conexant", "usr")
        asyncio.run(run({each: stack.enter_context(CalledModem(each)) for each in kinds}))


@pytest.mark.system
def test_unplugged_in_a_call_and_back_while_other_lines_go_on(tmp_path: Path) -> None:
    more = '[[line]]\nname = "trunk"\nlisten = "127.0.0.1:0"\n'

    async def run(modem: CalledModem, noisy: str) -> None:
        config = HEAD + more + modem_table("m", modem.device) + modem_table("noise", noisy)
        async with receiver_here(tmp_path, config) as here:
            assert here.ready is not None
            await comes(lambda: here.line("m").state == "idle")
            other = AudioPanel("127.0.0.1", here.ready.listeners["trunk"])
            other_call = asyncio.create_task(other.call([dtmf(block_of("2222"))]))
            first = panel_of(modem)
            call = asyncio.create_task(
                first.call([dtmf(block_of("1111", number=f"{n:03d}")) for n in range(9)])
            )
            await comes(lambda: first.acknowledged == [0])
            await asyncio.to_thread(modem.unplug)
            await call
            await comes(lambda: here.line("m").state == "down: modem_gone")
            await asyncio.to_thread(modem.plug)
            await comes(lambda: here.line("m").state == "idle")
            await other_call
            assert (other.acknowledged, other.sent) == ([0], 1)
            second = await panel_of(modem).call([dtmf(block_of("1111", number="077"))])
            assert second.acknowledged == [0]
            assert here.reports("m")[-1].raw == block_of("1111", number="077")
            states = [(True, ""), (False, "modem_gone"), (True, "")]
            await comes(lambda: here.states("m") == states)
            assert "the modem is gone" in [each.cause for each in here.calls("m")]
            await comes(lambda: here.states("noise") == [(False, "modem_gone")])

    with CalledModem("silabs", link=tmp_path / "modem") as modem, noise() as noisy:
        asyncio.run(run(modem, noisy))


@pytest.mark.system
def test_the_caller_hangs_up_and_the_line_is_free_again(tmp_path: Path) -> None:
    """Or the modem stops dead, or floods us, in the call: the other lines do not notice."""

    async def hang_up_in_the_call(modem: CalledModem, **trouble: Any) -> None:
        panel = panel_of(modem, handshake=1)  # it never sends
        call = asyncio.create_task(panel.call([dtmf(block_of())]))
        await comes(lambda: bool(panel.heard))
        modem.wall.fast = trouble.pop("fast", 1)
        modem.set(**trouble)
        panel.over_by = "done"
        await call

    async def run(modems: dict[str, CalledModem]) -> None:
        config = HEAD + "".join(modem_table(each, modem.device) for each, modem in modems.items())
        async with receiver_here(tmp_path, config) as here:
            await comes(lambda: all(here.line(each).state == "idle" for each in modems))
            for way in HUNG_UP:
                modems[way].set(end_by=way)
            sick = [
                asyncio.create_task(hang_up_in_the_call(modems[each], end_by="nothing", **trouble))
                for each, trouble in SICK.items()
            ]
            await asyncio.gather(*(hang_up_in_the_call(modems[each]) for each in HUNG_UP))
            await comes(lambda: all(here.calls(each) for each in HUNG_UP))
            assert all(here.line(each).state in {"busy", "idle"} for each in HUNG_UP)
            await asyncio.gather(*sick)
            for each, state in DOWN.items():
                await comes(lambda: here.states(each)[1:2] == [(False, state[6:])])  # noqa: B023
                modems[each].set(deaf=False)
                modems[each].wall.fast = 1
            await comes(lambda: all(here.calls(each) for each in modems))
            assert {each: here.calls(each)[0].cause for each in modems} == CAUSES
            await comes(lambda: all(here.line(each).state == "idle" for each in modems))

    with ExitStack() as stack:
        asyncio.run(run({each: stack.enter_context(CalledModem("conexant")) for each in CAUSES}))


@pytest.mark.system
def test_a_line_or_a_modem_that_is_not_there_is_told(tmp_path: Path) -> None:
    missing = tmp_path / "none"

    async def run(modem: CalledModem) -> None:
        config = HEAD + modem_table("m", modem.device) + modem_table("gone", str(missing))
        async with receiver_here(tmp_path, config) as here:
            await comes(lambda: here.states("m") == [(False, "no_voltage")])
            assert here.line("m").state == "down: no_voltage"
            await comes(lambda: here.states("gone") == [(False, "modem_gone")])
            assert any(
                text.startswith(f"modem gone: modem_gone: {missing}: No such file or directory")
                for text in here.problems
            )

    with CalledModem("conexant") as modem:
        modem.set(no_line=True)
        asyncio.run(run(modem))


@pytest.mark.system
def test_a_modem_that_never_plays_is_down_and_no_call_is_kissed_off_by_it(tmp_path: Path) -> None:
    async def run(modem: CalledModem) -> None:
        config = HEAD + modem_table("m", modem.device, "rings = 1")
        async with receiver_here(tmp_path, config) as here:
            for _ in range(3):
                await comes(lambda: here.line("m").state == "idle")
                panel = await panel_of(modem).call([dtmf(block_of())])
                assert (panel.acknowledged, panel.sent) == ([], 0)
            await comes(lambda: here.states("m")[1:2] == [(False, "modem_error")])
            assert any("plays neither by +VTR nor +VTX" in text for text in here.problems)
            assert here.reports("m") == []

    with CalledModem("tones", ring_s=0.1) as modem:
        asyncio.run(run(modem))


@pytest.mark.system
def test_a_receiver_that_stops_hangs_up(tmp_path: Path) -> None:
    async def run(modems: dict[str, CalledModem]) -> None:
        config = HEAD + "".join(modem_table(each, modem.device) for each, modem in modems.items())
        async with receiver_here(tmp_path, config) as here:
            await comes(lambda: all(here.line(each).state == "idle" for each in modems))
            panels = [panel_of(modem, handshake=1) for modem in modems.values()]
            calls = [asyncio.create_task(panel.call([])) for panel in panels]
            await comes(lambda: all(panel.heard for panel in panels))
        assert {here.calls(each)[0].cause for each in modems} == {"the receiver stops"}
        await comes(lambda: not any(modem.in_call for modem in modems.values()))
        await asyncio.gather(*calls)
        assert {panel.over_by for panel in panels} == {"hung up by the receiver"}

    with ExitStack() as stack:
        kinds = ("conexant", "usr")
        asyncio.run(run({each: stack.enter_context(CalledModem(each)) for each in kinds}))


def test_the_file_says_what_is_wrong_with_a_modem(tmp_path: Path) -> None:
    path = tmp_path / "receiver.toml"
    for tables, text in (
        (modem_table("a", "/dev/x") + modem_table("b", "/dev/x"), r"modem\[1\]\.device"),
        (modem_table("a", "/dev/x") + modem_table("a", "/dev/y"), r"modem\[1\]\.name"),
        (modem_table("a", "/dev/x", 'profile = "p"'), r"modem\[0\]\.profile"),
        (modem_table("a", "/dev/x", 'init = ["hello"]'), r"modem\[0\]\.init"),
        (modem_table("a", ""), r"modem\[0\]\.device"),
    ):
        path.write_text(HEAD + tables)
        with pytest.raises(ReceiverConfigError, match=text):
            load(path)
