"""A process of its own: modules of the modbus-tk server on a serial port. usage: PORT BAUD ID...

Says "ready"; then takes lines of JSON, [id, table, item, value], and answers each with "done".
Runs with the folder .peers/modbus in front of everything.
"""

import json
import sys

import serial
from modbus_tk import defines, modbus_rtu

TABLES = {
    "coils": defines.COILS,
    "discrete_inputs": defines.DISCRETE_INPUTS,
    "holding_registers": defines.HOLDING_REGISTERS,
    "input_registers": defines.ANALOG_INPUTS,
}
ITEMS = 64
"""Of each table; what lies beyond is refused with exception 2."""


def main():
    port, baud, *addresses = sys.argv[1:]
    server = modbus_rtu.RtuServer(serial.Serial(port, int(baud), timeout=0.05))
    for address in addresses:
        module = server.add_slave(int(address))
        for name, table in TABLES.items():
            module.add_block(name, table, 0, ITEMS)
    server.start()
    print("ready", flush=True)
    for line in sys.stdin:
        address, table, item, value = json.loads(line)
        server.get_slave(address).set_values(table, item, [value])
        print("done", flush=True)
    server.stop()


if __name__ == "__main__":
    main()
