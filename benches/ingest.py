#!/usr/bin/python3
"""ingest - signed version-5 readings: how many are stored for good in a second, what one costs, and whether control still gets
through meanwhile.

50 devices publish readings that were signed before, QoS 1, each in a TLS record of its own, as fast as the broker takes them.
Ours: until the last one is committed. The peer: a second broker with the same configuration, plugin and table, at which a
subscriber takes the same bytes from the same devices, acknowledges and does nothing else. In turns, in one run; medians.

  signed-v5         readings/s stored, RSA-2048 verified; peer: messages/s of the idle subscriber. Target: ratio >= 0.6
  full-of-normal    the same with database_sync = full; peer: a universe with normal. Target: ratio >= 0.8
  server-cpu, broker-cpu, generator-cpu   CPU a reading, user and system; peer: what stands there for it
  verify, decode, store, link             where the server's goes: the first three are measured without network by `parts`,
                                          link is the rest: MQTT, TLS, sockets, the loop
  join-seen-p99     under full ingest: a join request, from the publish to the server's taking it. Target: < 50 ms
  action-out-p99    under full ingest: from the request to the API to the ACTION at the device. Target: < 50 ms
  answer-p99        and until the server has the device's answer, which shares the readings' topic: printed only
"""
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import rig
import stage

DEVICES, JOINERS, WINDOW, PROBE_S = 50, 25, 20, 0.04
COUNT, ROUNDS, PROBED = 20000, 3, 80000
COUNT_SMOKE, ROUNDS_SMOKE, PROBED_SMOKE = 1000, 1, 2000
TARGET_RATIO, TARGET_SYNC, TARGET_MS = 0.6, 0.8, 50
NORMAL_BASE = stage.PORT_BASE + 1000
NOTES = {
    "signed-v5": "readings stored; peer: an idle subscriber, same bytes (target: of the ratio, at least)",
    "full-of-normal": "database_sync = full; peer: normal (target: of the ratio, at least)",
    "server-cpu": "of the server a reading; peer: of the idle subscriber",
    "broker-cpu": "of the broker a reading; peer: of the other broker",
    "generator-cpu": "of the load generator a reading",
    "verify": "of the server's: the RSA-2048 signature",
    "decode": "of the server's: parsing",
    "store": "of the server's: SQLite",
    "link": "of the server's: MQTT, TLS, sockets, loop",
    "join-seen-p50": "under ingest: join request, publish to taken",
    "join-seen-p99": "the same, 99th percentile (target: below)",
    "action-out-p50": "under ingest: API request to ACTION at the device",
    "action-out-p99": "the same, 99th percentile (target: below)",
    "answer-p99": "under ingest: until the server has the answer, behind the readings",
}


class Ours:
    """A universe with its devices and their publisher; a context manager."""

    def __init__(self, folder, clients, joiners, sync, port_base):
        self.folder, self.clients, self.joiners, self.open = folder, clients, joiners, []
        config = f"database_sync = {sync}\ncommands_open_max = 10000\n"
        self.universe = stage.Universe(self._prepare, config, port_base)

    def _prepare(self, universe):
        rig.fill(rig.database(universe),
                 [*(rig.line(client, "joined", universe.server_id) for client in self.clients),
                  *(rig.line(client, "registered") for client in self.joiners)])

    def __enter__(self):
        self.universe.__enter__()
        children, self.stored = self.universe.children(), 0
        self.publisher = self.load("publish", self.folder, WINDOW, *(each["id"] for each in self.clients[1:]))
        self.pids = {"server": children["holdfast-server"], "broker": children["mosquitto"],
                     "generator": self.publisher.pid}
        return self

    def load(self, command, *words):
        """A load process at its broker, ended with this."""
        self.open.append(rig.Load(command, self.universe.keys, self.universe.mqtt_port, *words))
        return self.open[-1]

    def round(self, count):
        """Readings/s."""
        self.publisher.order(count)
        self.stored += count
        end = rig.wait_stored(self.universe, self.stored)
        return count / (end - self.publisher.answer()[0]) * 1e9

    def __exit__(self, *_):
        for each in self.open:
            each.close()
        self.universe.__exit__()


class Peer:
    """A broker like that of a universe, the same publisher, and an idle subscriber; a context manager."""

    def __init__(self, ours):
        universe, ids = ours.universe, [each["id"] for each in ours.clients[1:]]
        self.broker, self.heard = rig.Broker(universe, rig.PEER_PORT).start(), 0
        self.publisher = rig.Load("publish", universe.keys, rig.PEER_PORT, ours.folder, WINDOW, *ids)
        self.subscriber = rig.Load("listen", universe.keys, rig.PEER_PORT, universe.server_id,
                                   universe.server_id + "/idle", "SRUP/+")
        self.pids = {"server": self.subscriber.pid, "broker": self.broker.pid, "generator": self.publisher.pid}

    def __enter__(self):
        return self

    def round(self, count):
        """Messages/s."""
        self.heard += count
        self.subscriber.order(self.heard)
        start = self.publisher.ask(count)[0]
        return count / (self.subscriber.answer()[0] - start) * 1e9

    def __exit__(self, *_):
        for each in (self.publisher, self.subscriber, self.broker):
            each.close()


def measure_rates(ways, count, rounds):
    """Medians for each way: messages/s, and CPU µs a message of its processes."""
    found = {name: {"rate": []} for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            before = {process: stage.cpu_ns(pid) for process, pid in way.pids.items()}
            found[name]["rate"].append(way.round(count))
            for process, pid in way.pids.items():
                found[name].setdefault(process, []).append((stage.cpu_ns(pid) - before[process]) / count / 1e3)
    return {name: {what: statistics.median(values) for what, values in figures.items()}
            for name, figures in found.items()}


# ---- under ingest --------------------------------------------------------------------------------

def probe(ours, count):
    """Join requests and actions while count readings come in; ms of each: joins seen, actions out, answers."""
    universe, acting = ours.universe, ours.clients[0]["id"]
    joins = ours.load("join", ours.folder, universe.server_id, *(each["id"] for each in ours.joiners))
    device, arrived = ours.load("device", ours.folder, acting), []
    reader = threading.Thread(target=lambda: [arrived.append(int(line)) for line in device.process.stdout], daemon=True)
    reader.start()
    asked, sent, ending = [], [], threading.Event()
    universe.admin.close()  # it has been idle for too long
    ours.publisher.order(count)
    ours.stored += count
    threading.Thread(target=lambda: (rig.wait_stored(universe, ours.stored), ending.set()), daemon=True).start()
    while not ending.wait(PROBE_S):
        asked.append(joins.ask(len(asked)))
        sent.append(time.monotonic_ns())
        universe.admin.ask("POST", f"/api/v1/devices/{acting}/actions", 202, {"action": 1})
    ours.publisher.answer()
    time.sleep(2)  # the last answers
    answers = rig.ask(universe, "SELECT answered_ms - created_ms FROM command WHERE answered_ms IS NOT NULL")
    if len(arrived) != len(sent) or len(answers) != len(sent):
        raise RuntimeError(f"{len(sent)} actions, {len(arrived)} at the device, {len(answers)} answers")
    return join_times(ours, asked), [(at - start) / 1e6 for start, at in zip(sent, arrived)], [row[0] for row in answers]


def join_times(ours, asked):
    """ms until each join request was taken; the clock of both has whole ms, so at most one more."""
    rows = rig.ask(ours.universe, "SELECT device, sequence, at_ms FROM inbound WHERE type = 11")
    taken = {(device % 2**64, sequence + 2**63): at for device, sequence, at in rows}
    return [taken[int(ours.joiners[number]["id"], 16), sequence] + 1 - at for number, sequence, at in asked]


def measure_parts(folder, clients, count):
    """µs of CPU a reading: decode, verify, store."""
    database, ids = folder / "parts/holdfast.db", [each["id"] for each in clients]
    rig.fill(database, [rig.line(client, "joined", 1) for client in clients])
    done = subprocess.run([stage.BIN / "parts", database, folder, str(count), *ids], check=True, text=True,
                          stdout=subprocess.PIPE)
    return [int(word) / 1e3 for word in done.stdout.split()]


# ---- rows ----------------------------------------------------------------------------------------

def rows_of(rates, parts, probes):
    """All rows."""
    ours, peer, normal = rates["ours"], rates["peer"], rates["normal"]
    decode, verify, store = parts
    row = stage.row
    rows = [stage.pair("ingest", "signed-v5", "readings/s", ours["rate"], peer["rate"], TARGET_RATIO),
            stage.pair("ingest", "full-of-normal", "readings/s", ours["rate"], normal["rate"], TARGET_SYNC)]
    rows += [stage.pair("ingest", f"{what}-cpu", "us", ours[what], peer[what]) for what in ("server", "broker", "generator")]
    rows += [row("ingest", "verify", "us", verify), row("ingest", "decode", "us", decode),
             row("ingest", "store", "us", store), row("ingest", "link", "us", ours["server"] - decode - verify - store)]
    for name, values in zip(("join-seen", "action-out"), probes):
        rows += [row("ingest", f"{name}-p50", "ms", rig.percentile(values, 50)),
                 row("ingest", f"{name}-p99", "ms", rig.percentile(values, 99), TARGET_MS, below=True)]
    return rows + [row("ingest", "answer-p99", "ms", rig.percentile(probes[2], 99))]


def main():
    """Runs it."""
    options = stage.options(__doc__)
    count, rounds, probed = ((COUNT_SMOKE, ROUNDS_SMOKE, PROBED_SMOKE) if options.smoke else (COUNT, ROUNDS, PROBED))
    clients = stage.identities(1 + DEVICES + JOINERS)
    clients, joiners = clients[:1 + DEVICES], clients[1 + DEVICES:]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-ingest-"))
    try:
        rig.sign(folder, clients[1:], (count * rounds + probed) // DEVICES + 1)
        rig.write_keys(folder, [clients[0], *joiners])
        with (Ours(folder, clients, joiners, "full", stage.PORT_BASE) as ours,
              Ours(folder, clients, joiners, "normal", NORMAL_BASE) as normal, Peer(ours) as peer):
            rates = measure_rates({"ours": ours, "peer": peer, "normal": normal}, count, rounds)
            probes = probe(ours, probed)
        parts = measure_parts(folder, clients[1:], count)
    finally:
        shutil.rmtree(folder)
    stage.show(rows_of(rates, parts, probes), options.json, NOTES)
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
