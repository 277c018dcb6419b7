"""A process of its own: the PyPI `osdp` controller on a serial port. usage: PORT MODE, MODE clear,
checksum, install or keyed. Prints what it learned as one line of JSON.

Runs with the folder .peers in front of everything: the package has libosdp's import name.
"""

import json
import logging
import sys
import time

import osdp
from osdp._command import SecurityInitializationRequestCommand

ADDRESS = 5
MASTER_KEY = bytes(range(0x80, 0x90))
WITHIN_S = 8.0


def until(done, within_s=WITHIN_S):
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if done():
            return True
        time.sleep(0.02)
    return False


def said_key(_command):
    """A node wants to be asked for its own key; this controller always asks for the default one."""
    return bytes((3, 0x11, 1))


def main():
    port, mode = sys.argv[1:]
    logging.getLogger("osdp").setLevel(logging.CRITICAL)
    secure = mode in ("install", "keyed")
    if mode == "keyed":
        SecurityInitializationRequestCommand.security_control_block = said_key
    panel = osdp.ControlPanel(master_key=MASTER_KEY)
    inputs = []
    panel.on_input_status_report_reply_received = lambda _address, told: inputs.append(
        list(told.statuses)
    )
    bus = panel.start_connection(osdp.SerialPortOsdpConnection(port, 230400))
    panel.add_device(bus, ADDRESS, mode != "checksum", secure)
    device = panel._buses[bus]._configured_devices[ADDRESS]
    installed = []
    forget = device.reset_security

    def reset_security():
        # The flag stands only while the reply to KEYSET is looked at: too short to be polled for.
        if device.reset_security_after_reply:
            installed.append(device.cuid)
        forget()

    device.reset_security = reset_security
    told = {}
    try:
        if mode == "install":
            told["keyset"] = until(lambda: installed)
            told["cuid"] = installed[0].hex()
            told["scbk"] = osdp.calculate_scbk(MASTER_KEY, installed[0]).hex()
        else:
            told["online"] = until(lambda: panel.is_online(bus, ADDRESS))
            if secure:
                told["secure"] = until(lambda: device.is_security_established)
            identity = panel.id_report(bus, ADDRESS)
            told["serial"] = identity.serial_number
            told["firmware"] = [
                identity.firmware_major,
                identity.firmware_minor,
                identity.firmware_build,
            ]
            capabilities = panel.device_capabilities(bus, ADDRESS).capabilities
            told["capabilities"] = [
                [item.function.value, item.compliance, item.number_of] for item in capabilities
            ]
            local = panel.local_status(bus, ADDRESS)
            told["local"] = [local.tamper, local.power_failure]
            told["inputs"] = list(panel.input_status(bus, ADDRESS).statuses)
            code = osdp.OutputControlCode.PermanentStateOnAbortTimedOperation
            control = osdp.OutputControls([osdp.OutputControl(1, code, 0)])
            told["set"] = panel.output_control(bus, ADDRESS, control)
            told["outputs"] = list(panel.output_status(bus, ADDRESS).statuses)
            told["polled"] = until(lambda: inputs)
        print(json.dumps(told), flush=True)
    finally:
        panel.shutdown()


if __name__ == "__main__":
    main()
