#!/usr/bin/python3
"""revoke - how long a revoked device still hears anything.

A device joins and reads at once; another C2 server floods its topic, about 20,000 messages/s at most; then the operator
revokes it. Measured is the time from the first byte of the answer to POST /api/v1/devices/ID/revoke to the last
application data that the device's socket gave, 0 if none came after the answer. Each run has a device of its own. The
device and the flood are processes of their own; times are of one clock. Everything that comes out of TLS counts, the
broker's DISCONNECT too.

  p99-ms, max-ms   of that time
  unconfirmed      answers that did not say "confirmed", and connections that were not cut within 5 s of it
  answer-p50-ms    how long the operator waits for the answer, under the flood
  heard-p50-ms     from the operator's request to the last data
  flood-per-s      messages/s that a device got before it was revoked, median
  crl-still-heard  runs in which a client still heard 5 s after its certificate stood in a broker's CRL and SIGHUP was sent, in
                   percent: what mosquitto alone does
Peer, in turns: mosquitto's own dynamic-security plugin; the same flood, "disableClient" instead of the API, from the admin's PUBLISH
to the response. Neither stores anything first, and it leaves the victim's session and queue.
"""
import functools
import http.client
import json
import multiprocessing
import os
import random
import ssl
import statistics
import sys
import time

import mqtt5
import rig
import rivals
import stage
from stage import srup5

RUNS, RUNS_SMOKE, CRL_RUNS = 200, 20, 3
FLOOD_S = (0.05, 0.25)  # how long it lasts before the revocation
READ_S = FLOOD_S[1] + 10  # the answer comes within 5
TARGET_P99_MS, TARGET_MAX_MS = 50, 1000
MESSAGES = 64  # different ones in the flood, sent in one burst
BURST_S = 0.003  # between bursts: QoS 0 that is not read fills the broker's memory, which has an end
TYPE = {"name": "bench", "vendor": "Holdfast", "join": {"simple": "accept", "moderated": "refuse"}, "actions": [],
        "data": []}
NOTES = {
    "p99-ms": "last data to the device after the answer, 99th percentile (target: below)",
    "max-ms": "the same, the worst run (target: below)",
    "unconfirmed": "answers without \"confirmed\", connections not cut (target: below)",
    "answer-p50-ms": "from the request to its answer, under the flood",
    "heard-p50-ms": "from the request to the last data",
    "flood-per-s": "messages/s to the device before",
    "crl-still-heard": "of the runs with a new CRL and SIGHUP the client heard on, after 5 s",
}


# ---- the device: a process -----------------------------------------------------------------------

def context_of(folder, name):
    """TLS with an access certificate."""
    context = ssl.create_default_context(cafile=str(folder / "broker_ca.crt"))
    context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    return context


def join(link, client, server):
    """A simple join; ConnectionError unless it is accepted."""
    fields = {"sequence_id": 1, "sender_id": int(client["id"], 16), "token": srup5.new_token()}
    raw = srup5.encode("JOIN_REQ", fields, srup5.load_private(client["key"].encode()))
    link.sock.sendall(mqtt5.publish(f"SRUP/servers/{server}/{client['id']}", raw, packet_id=2))
    body = link.wait(mqtt5.PUBLISH)
    if body[-1] != srup5.JOIN_ACCEPTED:
        raise ConnectionError(f"join of {client['id']}: status {body[-1]:#x}")


def enter(folder, task):
    """Connects (client, server)'s client and joins; the connection."""
    client, server = task
    link = mqtt5.Link(stage.MQTT_PORT, context_of(folder, client["id"]), client["id"])
    link.subscribe(f"SRUP/{client['id']}")
    join(link, client, server)
    return link


def victim(pipe, come_in):
    """For each task: come_in(task) gives a connection; says "joined", reads until it is cut, reports what came and when."""
    stage.die_with_parent()
    while (task := pipe.recv()) is not None:
        link = come_in(task)
        pipe.send("joined")
        seen = {"first": 0, "last": 0, "bytes": 0}

        def on_chunk(size, now, seen=seen):
            seen["first"] = seen["first"] or now
            seen["last"] = now
            seen["bytes"] += size

        seen["cut"] = link.read_to_end(on_chunk, READ_S)
        link.sock.close()
        pipe.send(seen)


# ---- the flood: a process ------------------------------------------------------------------------

def signed_actions(folder):
    """Its id and messages of a C2 server."""
    identity = (folder / "c2_server.id").read_text("ascii").strip()
    key = srup5.load_private((folder / "c2_server.pem").read_bytes())
    common = {"sender_id": int(identity, 16), "action_id": 1}
    return identity, [srup5.encode("ACTION", {**common, "sequence_id": n + 1, "token": srup5.new_token()}, key)
                      for n in range(MESSAGES)]


def flood(pipe, begin, stop):
    """begin() gives a connection and the messages. For each topic: publishes them until stop is set; says "stopped"."""
    stage.die_with_parent()
    link, raws = begin()
    while (topic := pipe.recv()) is not None:
        burst = b"".join(mqtt5.publish(topic, raw) for raw in raws)
        pipe.send(len(burst) // MESSAGES)
        try:
            while not stop.wait(BURST_S):
                link.sock.sendall(burst)
        except OSError:  # a broker may hang up on who goes on publishing what it refuses
            stop.wait()
            link, raws = begin()
        pipe.send("stopped")


# ---- the operator --------------------------------------------------------------------------------

class Operator:
    """Revokes, and notes when the first byte of the answer came."""

    def __init__(self, universe):
        self.context = ssl.create_default_context(cafile=str(universe.web_ca))
        self.token = universe.admin.headers["Authorization"]

    def revoke(self, device):
        """(when asked, when answered, whether confirmed); on a new connection, opened before the time is taken."""
        link = http.client.HTTPSConnection("localhost", stage.HTTPS_PORT, context=self.context,
                                           timeout=stage.DEADLINE_S)
        link.connect()
        asked = time.monotonic_ns()
        link.request("POST", f"/api/v1/devices/{device}/revoke", headers={"Authorization": self.token})
        first = link.sock.recv(1)
        answered = time.monotonic_ns()
        text = first
        while b"\r\n\r\n" not in text or not text.rstrip().endswith(b"}"):
            part = link.sock.recv(65536)
            if not part:
                break
            text += part
        link.close()
        head, _, body = text.partition(b"\r\n\r\n")
        return asked, answered, b" 200 " in head.split(b"\r\n")[0] and json.loads(body)["confirmed"] is True


class Arena:
    """The two helper processes, and one device's end in front of them."""

    def __init__(self, come_in, begin):
        self.stop = multiprocessing.Event()
        self.victim = self._process(victim, come_in)
        self.flood = self._process(flood, begin, self.stop)

    @staticmethod
    def _process(target, *args):
        ours, theirs = multiprocessing.Pipe()
        process = multiprocessing.Process(target=target, args=(theirs, *args), daemon=True)
        process.start()
        theirs.close()
        return ours

    @staticmethod
    def _hear(pipe):
        if not pipe.poll(stage.DEADLINE_S):
            raise RuntimeError("a helper process is silent")
        return pipe.recv()

    def run(self, task, topic, revoke):
        """One device's end: what was measured. revoke() gives when it was asked, when answered, whether confirmed."""
        self.victim.send(task)
        self._hear(self.victim)
        self.stop.clear()
        self.flood.send(topic)
        message_len = self._hear(self.flood)
        time.sleep(random.uniform(*FLOOD_S))
        asked, answered, confirmed = revoke()
        seen = self._hear(self.victim)  # the flood goes on meanwhile
        self.stop.set()
        self._hear(self.flood)
        heard_s = max(1, asked - seen["first"]) / 1e9
        return {"after_ms": max(0, seen["last"] - answered) / 1e6, "answer_ms": (answered - asked) / 1e6,
                "heard_ms": (seen["last"] - asked) / 1e6,
                "failed": int(not (confirmed and seen["cut"])), "per_s": seen["bytes"] / message_len / heard_s}

    def end(self):
        """Sends the helpers home."""
        self.victim.send(None)
        self.flood.send(None)


class Bench:
    """A universe with enrolled devices and a second C2 server."""

    def __init__(self, universe, clients):
        self.universe, self.clients, self.operator = universe, clients, Operator(universe)
        self.folder = universe.folder / "devices"
        self.folder.mkdir()
        universe.admin.ask("PUT", "/api/v1/types/bench", 200, TYPE)
        self.server = self._enrol()
        second = self._second_server()

        def begin():
            identity, raws = signed_actions(second)
            return mqtt5.Link(stage.MQTT_PORT, context_of(second, "c2_server"), identity), raws

        self.second = second
        self.arena = Arena(functools.partial(enter, self.folder), begin)

    def _enrol(self):
        web = self.universe.https(keep=True)
        for client in self.clients:
            server, certificate, authority = stage.enrol(web, client, "bench")
            (self.folder / f"{client['id']}.crt").write_bytes(certificate)
            (self.folder / f"{client['id']}.key").write_text(client["access"], "ascii")
            (self.folder / "broker_ca.crt").write_bytes(authority)
        web.close()
        return server

    def _second_server(self):
        self.universe.keygen("c2", "second", "--universe", self.universe.keys)
        folder = self.universe.keys / "c2/second"
        (folder / "broker_ca.crt").write_bytes((self.universe.keys / "broker_ca.crt").read_bytes())
        body = {"identity": (folder / "c2_server.id").read_text("ascii").strip(),
                "key": srup5.key_body((folder / "c2_server_pub.pem").read_bytes()),
                "signature": (folder / "c2_server.stk").read_text("ascii").strip()}
        self.universe.admin.ask("POST", "/KeyEx/register/c2/", 201, body)
        return folder

    def run(self, client):
        """One device's end."""
        return self.arena.run((client, self.server), f"SRUP/{client['id']}",
                              lambda: self.operator.revoke(client["id"]))


class Rival:
    """The same with mosquitto's dynamic-security plugin."""

    def __init__(self, bench):
        names = [client["id"] for client in bench.clients]
        self.dynsec = rivals.Dynsec(bench.universe, names)
        dynsec, second = self.dynsec, bench.second

        def come_in(name):
            link = dynsec.link(name)
            link.subscribe(f"SRUP/{name}")
            return link

        self.arena = Arena(come_in, lambda: (dynsec.link("flood"), signed_actions(second)[1]))

    def run(self, client):
        """One client's end."""
        return self.arena.run(client["id"], f"SRUP/{client['id']}", lambda: self.dynsec.revoke(client["id"]))


def measure(count, crl_runs):
    """Results of all runs, ours and the peer's; the share of CRL runs in which the client went on hearing, in percent."""
    clients = stage.identities(count)
    with stage.Universe() as universe:
        bench = Bench(universe, clients)
        rival = Rival(bench)
        results = [(bench.run(client), rival.run(client)) for client in clients]
        bench.arena.end()
        rival.arena.end()
        rival.dynsec.close()
        heard = [rivals.crl_run(universe) for _ in range(crl_runs)]
    ours, peer = zip(*results)
    return ours, peer, 100 * sum(heard) / len(heard)


def versus(case, unit, figure, results, target=None):
    """A row with the peer's figure; the target is one of ours. figure(results) -> number."""
    row = stage.pair("revoke", case, unit, *(figure(each) for each in results))
    row["target"], row["met"] = target, None if target is None else row["ours"] < target
    return row


def main():
    """Runs it."""
    options = stage.options(__doc__)
    runs, crl_runs = (RUNS_SMOKE, 1) if options.smoke else (RUNS, CRL_RUNS)
    *results, heard = measure(runs, crl_runs)

    def median_of(what):
        return lambda result: statistics.median(each[what] for each in result)

    def share_of(part):
        return lambda result: rig.percentile([each["after_ms"] for each in result], part)

    rows = [versus("p99-ms", "ms", share_of(99), results, TARGET_P99_MS),
            versus("max-ms", "ms", share_of(100), results, TARGET_MAX_MS),
            versus("unconfirmed", "runs", lambda result: sum(each["failed"] for each in result), results, 1),
            versus("answer-p50-ms", "ms", median_of("answer_ms"), results),
            versus("heard-p50-ms", "ms", median_of("heard_ms"), results),
            versus("flood-per-s", "1/s", median_of("per_s"), results),
            stage.row("revoke", "crl-still-heard", "%", heard)]
    stage.show(rows, options.json, NOTES)
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    multiprocessing.set_start_method("fork")
    sys.exit(main())
