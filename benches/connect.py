#!/usr/bin/python3
"""connect - what a connect costs the broker: TLS 1.3 with client certificate (P-256), CONNECT, CONNACK, DISCONNECT.

  plugin    CPU of a broker with the plugin a connect, user and system; peer: the same mosquitto without plugin, where
            require_certificate alone decides. Target: ratio <= 1.05
  per-s     connects/s of one client, one after the other; peer: the same
One after the other, in turns of 100; medians of the turns. Both brokers belong to the bench; the certificates come from the
universe's CA, and its table stands at the one with the plugin.
"""
import os
import statistics
import sys

import rig
import stage

TURN, TURNS, TURNS_SMOKE = 100, 31, 3
TARGET = 1.05
IDENTITY = "c000000000000001"
NOTES = {"plugin": "broker CPU a connect; peer: without plugin, require_certificate only (target: of the ratio, at most)",
         "per-s": "connects of one client, one after the other"}


class Way:
    """A broker and a client that connects to it."""

    def __init__(self, universe, broker):
        self.broker = broker.start()
        self.client = rig.Load("connect", universe.keys, broker.port, IDENTITY)
        self.cpu_us, self.per_s = [], []

    def turn(self):
        """TURN connects."""
        before = stage.cpu_ns(self.broker.pid)
        start, end = self.client.ask(TURN)
        self.cpu_us.append((stage.cpu_ns(self.broker.pid) - before) / 1e3 / TURN)
        self.per_s.append(TURN / (end - start) * 1e9)

    def close(self):
        """Ends both."""
        self.client.close()
        self.broker.close()


def measure(turns):
    """The two ways, with their figures."""
    with stage.Universe() as universe:
        ours = rig.Broker(universe, rig.PEER_PORT)
        ours.put(f"put {IDENTITY} device registered -")
        peer = rig.Broker(universe, rig.PEER_PORT + 1, drop=["plugin", "allow_anonymous"], add=["allow_anonymous true"])
        ways = [Way(universe, ours), Way(universe, peer)]
        for number in range(turns + 1):
            for way in ways if number % 2 else reversed(ways):
                way.turn()
        for way in ways:
            way.close()
            del way.cpu_us[0], way.per_s[0]  # the first one warms up
    return ways


def main():
    """Runs it."""
    options = stage.options(__doc__)
    ours, peer = measure(TURNS_SMOKE if options.smoke else TURNS)
    rows = [stage.pair("connect", "plugin", "us", statistics.median(ours.cpu_us), statistics.median(peer.cpu_us), TARGET,
                       most=True),
            stage.pair("connect", "per-s", "1/s", statistics.median(ours.per_s), statistics.median(peer.per_s))]
    stage.show(rows, options.json, NOTES)
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
