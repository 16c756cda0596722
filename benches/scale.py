#!/usr/bin/python3
"""scale - a large fleet: 100,000 registered devices, then 10,000 of them connected.

  start-s             from the start of holdfastd until the API says that the broker has the table. Target: < 2 s
  server-rss-mib      the server's memory then, after pages were read. Target: < 64 MiB
  page-p50-ms         GET /api/v1/devices?limit=100 at places all over the fleet, one kept TLS connection. Target: < 10 ms
  all-s               the whole list, page by page of 1000
  table-bytes         memory of the plugin's table an identity: the growth of a broker's memory with the table (peer: the same
                      broker with a table of one), divided. Target: <= 200 bytes
  connection-kib      memory of the broker a connection: TLS, session, one subscription; peer: without plugin
  connect-per-s       connects a second while they came, one after the other; peer: without plugin
Memory is Pss. The devices are put into the database by the server's own verbs before its first start; all but the first have keys
that nobody owns. The brokers of the last three rows belong to the bench, with the universe's table.
"""
import os
import pathlib
import statistics
import sys
import time

import rig
import stage

REGISTERED, CONNECTED, PAGES = 100000, 10000, 200
REGISTERED_SMOKE, CONNECTED_SMOKE, PAGES_SMOKE = 2000, 100, 20
FIRST_ID = 0x1000000000000001
BLOCK = 500  # connects before the other broker's turn
NOTES = {"start-s": "start until the broker has the table (target: below)",
         "server-rss-mib": "memory of the server (target: below)",
         "page-p50-ms": "100 devices by the API (target: below)",
         "all-s": "all devices by the API, 1000 a page",
         "table-bytes": "memory of the plugin's table an identity (target: at most)",
         "connection-kib": "memory of the broker a connection; peer: without plugin",
         "connect-per-s": "one after the other; peer: without plugin"}


def pss_bytes(pid):
    """Memory of a process, its share of what others map too."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no Pss")


class Fleet:
    """A universe with so many devices, all joined."""

    def __init__(self, count):
        self.count, self.started = count, 0
        self.universe = stage.Universe(self._prepare)

    def _prepare(self, universe):
        key = rig.key_hex(stage.identities(1)[0])
        rig.fill(rig.database(universe),
                 [f"{FIRST_ID:016x} {self.count} {rig.TYPE} joined {universe.server_id} {key}\n"])
        self.started = time.monotonic()

    def page_ms(self, number, pages):
        """The time of a page; places are spread over the fleet."""
        after = FIRST_ID + self.count * number // pages
        start = time.monotonic()
        page = self.universe.admin.ask("GET", f"/api/v1/devices?limit=100&after={after:016x}", 200)
        took = time.monotonic() - start
        if not page["devices"]:
            raise RuntimeError("an empty page")
        return took * 1e3

    def read_all(self):
        """Seconds for the whole list."""
        start, found, after = time.monotonic(), 0, ""
        while after is not None:
            page = self.universe.admin.ask("GET", f"/api/v1/devices?limit=1000{after}", 200)
            found += len(page["devices"])
            after = page["next"] and f"&after={page['next']}"
        if found != self.count:
            raise RuntimeError(f"{found} of {self.count} devices")
        return time.monotonic() - start


def hold(universe, brokers, count):
    """(memory a connection, connects a second) of each broker, all with so many connections."""
    clients = [rig.Load("hold", universe.keys, broker.port, f"{FIRST_ID:016x}") for broker in brokers]
    before, took = [pss_bytes(broker.pid) for broker in brokers], [0] * len(brokers)
    for _ in range(0, count, BLOCK):
        for number, client in enumerate(clients):
            start, end = client.ask(min(BLOCK, count))
            took[number] += (end - start) / 1e9
    made = -(-count // BLOCK) * min(BLOCK, count)
    figures = [((pss_bytes(broker.pid) - was) / made, made / seconds)
               for broker, was, seconds in zip(brokers, before, took)]
    for client in clients:
        client.close()
    return figures


def measure_brokers(universe, registered, connected):
    """Bytes of table an identity, and what hold gives with and without plugin."""
    small = rig.Broker(universe, rig.PEER_PORT)
    small.put(f"put {FIRST_ID:016x} device joined {universe.server_id}", keep=False)
    brokers = [rig.Broker(universe, rig.PEER_PORT + 1),
               rig.Broker(universe, rig.PEER_PORT + 2, drop=["plugin", "allow_anonymous"], add=["allow_anonymous true"])]
    for broker in [small, *brokers]:
        broker.start()
    table = (pss_bytes(brokers[0].pid) - pss_bytes(small.pid)) / registered
    figures = hold(universe, brokers, connected)
    for broker in [small, *brokers]:
        broker.close()
    return table, figures


def main():
    """Runs it."""
    options = stage.options(__doc__)
    registered, connected, pages = ((REGISTERED_SMOKE, CONNECTED_SMOKE, PAGES_SMOKE) if options.smoke
                                    else (REGISTERED, CONNECTED, PAGES))
    fleet = Fleet(registered)
    with fleet.universe as universe:
        start_s = time.monotonic() - fleet.started
        page_ms = [fleet.page_ms(number, pages) for number in range(pages)]
        all_s = fleet.read_all()
        rss = pss_bytes(universe.children()["holdfast-server"])
        table, (ours, peer) = measure_brokers(universe, registered, connected)
    rows = [stage.row("scale", "start-s", "s", start_s, 2, below=True),
            stage.row("scale", "server-rss-mib", "MiB", rss / 2**20, 64, below=True),
            stage.row("scale", "page-p50-ms", "ms", statistics.median(page_ms), 10, below=True),
            stage.row("scale", "all-s", "s", all_s),
            stage.row("scale", "table-bytes", "bytes", table, 200),
            stage.pair("scale", "connection-kib", "KiB", ours[0] / 1024, peer[0] / 1024),
            stage.pair("scale", "connect-per-s", "1/s", ours[1], peer[1])]
    stage.show(rows, options.json, NOTES)
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
