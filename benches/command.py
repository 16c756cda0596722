#!/usr/bin/python3
"""command - how long a command takes, idle: ACTION out, done by the device, seen by the server.

  server-v5        from the request to the API (one kept TLS connection) until the API tells the device's answer: HTTP in, database,
                   RSA-2048 signature of the server, broker, device, its signature, broker, verified, database, HTTP out.
                   Peer: a bare MQTT echo, QoS 1, of as many bytes, through a broker with the same configuration, plugin and TLS
  server-v5-p99    the same, 99th percentile
  action-out       from the request until the ACTION is at the device, p50
The device is `load device`: it does nothing, and keeps nothing. In turns of 10 commands and 10 echoes.
"""
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import threading
import time

import rig
import stage

TURN, TURNS, TURNS_SMOKE = 10, 40, 2
MESSAGE_LEN = 317  # of an ACTION, 36 bytes of token, RSA-2048
REFERENCE, ECHO = "e000000000000001", "e000000000000002"
NOTES = {"server-v5": "p50, through the whole server and back; peer: bare MQTT echo, QoS 1",
         "server-v5-p99": "the same, 99th percentile",
         "action-out": "p50, API request to the ACTION at the device"}


class Device:
    """A device that acts, and when it was told to."""

    def __init__(self, universe, folder, client):
        self.id, self.arrived = client["id"], []
        self.load = rig.Load("device", universe.keys, universe.mqtt_port, folder, self.id)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.load.process.stdout:
            self.arrived.append(int(line))


def command(api, device):
    """Times: asked, told that it was done."""
    asked = time.monotonic_ns()
    number = api.ask("POST", f"/api/v1/devices/{device}/actions", 202, {"action": 1})["command"]
    reply = api.ask("GET", f"/api/v1/commands/{number}?wait_ms=10000", 200)
    if reply["state"] != "answered":
        raise RuntimeError(f"command {number}: {reply}")
    return asked, time.monotonic_ns()


def measure(folder, turns):
    """µs of each: commands, actions at the device, echoes."""
    client = stage.identities(1)[0]
    rig.write_keys(folder, [client])

    def prepare(universe):
        rig.fill(rig.database(universe), [rig.line(client, "joined", universe.server_id)])

    with stage.Universe(prepare) as universe:
        broker = rig.Broker(universe, rig.PEER_PORT)
        broker.put(f"put {REFERENCE} reference joined -", f"put {ECHO} device joined {REFERENCE}")
        broker.start()
        device = Device(universe, folder, client)
        echo = rig.Load("echo", universe.keys, rig.PEER_PORT, REFERENCE, ECHO, MESSAGE_LEN)
        times, echoes = [], []
        for _ in range(turns):
            times += [command(universe.admin, device.id) for _ in range(TURN)]
            echoes += [took / 1e3 for took in echo.ask(TURN)]
        for each in (device.load, echo, broker):
            each.close()
    return ([(told - asked) / 1e3 for asked, told in times],
            [(at - asked) / 1e3 for (asked, _), at in zip(times, device.arrived, strict=True)], echoes)


def main():
    """Runs it."""
    options = stage.options(__doc__)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-command-"))
    try:
        commands, outs, echoes = measure(folder, TURNS_SMOKE if options.smoke else TURNS)
    finally:
        shutil.rmtree(folder)
    rows = [stage.pair("command", "server-v5", "us", statistics.median(commands), statistics.median(echoes)),
            stage.pair("command", "server-v5-p99", "us", rig.percentile(commands, 99), rig.percentile(echoes, 99)),
            stage.row("command", "action-out", "us", statistics.median(outs))]
    stage.show(rows, options.json, NOTES)
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
