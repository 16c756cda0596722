#!/usr/bin/python3
"""Story: the broker's memory has an end. Devices that send a lot to themselves and read nothing fill their queues; the broker
starts anew before it takes the machine, and honest devices go on. Uses universe.py.
"""
import contextlib
import pathlib
import struct
import sys
import threading
import time

import universe
from links import client_context, open_tls
from universe import Universe, until

LIMIT_MB, FLOOD_MB, SLOW_READERS = 64, 120, 3
BESIDES_MB = 96  # programs, TLS, and what malloc keeps


def text(value):
    return struct.pack(">H", len(value)) + value.encode()


def packet(head, body):
    length, size = b"", len(body)
    while True:
        length += bytes([size % 128 | (128 if size > 127 else 0)])
        size //= 128
        if not size:
            return bytes([head]) + length + body


def memory_mb(pid, field="VmHWM"):
    """The most that the process ever had in memory; 0 when it is gone."""
    with contextlib.suppress(OSError):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(field):
                return int(line.split()[1]) // 1024
    return 0


def flood(device, megabytes):
    """Subscribes to its own topic, never reads again, and sends to it. Ends when it was cut off or all is sent."""
    context = client_context(device.file("ca"), device.file("crt"), device.file("key"))
    topic = f"SRUP/{device.identity}"
    with contextlib.suppress(OSError), open_tls("localhost", universe.MQTT, context) as sock:
        sock.settimeout(20)
        sock.sendall(packet(0x10, text("MQTT") + b"\x04\x00\x00\x3c" + text(device.identity)))
        assert sock.recv(4) == b"\x20\x02\x00\x00"
        sock.sendall(packet(0x82, b"\x00\x01" + text(topic) + b"\x01"))
        sock.recv(16)
        for number in range(megabytes * 16):
            sock.sendall(packet(0x32, text(topic) + struct.pack(">H", number % 65535 + 1) + b"x" * 65000))
        return megabytes
    return 0


def slow_readers_do_not_take_the_machine():
    with Universe(broker_memory_mb=LIMIT_MB) as u:
        u.put_sensor()
        slow = [u.joined(f"slow{n}") for n in range(SLOW_READERS)]
        for device in slow:
            device.close()
        most, floods = 0, [threading.Thread(target=flood, args=(device, FLOOD_MB), daemon=True) for device in slow]
        for one in floods:
            one.start()
        while any(one.is_alive() for one in floods):
            most = max(most, memory_mb(u.child("mosquitto")))
            time.sleep(0.05)
        print(f"  the broker had at most {most} MB; limit {LIMIT_MB}, {SLOW_READERS} x {FLOOD_MB} MB were sent")
        assert 0 < most < LIMIT_MB + BESIDES_MB, most
        assert "broker.memory" in (u.dir / "log/holdfastd.log").read_text()
        until("the broker serves", u.up)
        u.serves()


if __name__ == "__main__":
    sys.exit(universe.run([("slow_readers_do_not_take_the_machine", slow_readers_do_not_take_the_machine)]))
