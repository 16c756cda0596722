#!/usr/bin/python3
"""revoke - how long a revoked device still hears anything.

A device joins and reads at once; another C2 server floods its topic as fast as the broker takes it; then the operator
revokes it. Measured is the time from the first byte of the answer to POST /api/v1/devices/ID/revoke to the last
application data that the device's socket gave, 0 if none came after the answer. Each run has a device of its own. The
device and the flood are processes of their own; times are of one clock. Everything that comes out of TLS counts, the
broker's DISCONNECT too.

  p99-ms, max-ms   of that time
  unconfirmed      answers that did not say "confirmed", and connections that were not cut within 5 s of it
  answer-p50-ms    how long the operator waits for the answer, under the flood
  heard-p50-ms     from the operator's request to the last data
  flood-per-s      messages/s that a device got before it was revoked, median
No peer: with mosquitto alone a new CRL and SIGHUP does not end a session at all.
"""
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
import stage
from stage import srup5

RUNS, RUNS_SMOKE = 200, 20
FLOOD_S = (0.05, 0.25)  # how long it lasts before the revocation
READ_S = FLOOD_S[1] + 10  # the answer comes within 5
TARGET_P99_MS, TARGET_MAX_MS = 50, 1000
MESSAGES = 64  # different ones in the flood
TYPE = {"name": "bench", "vendor": "Holdfast", "join": {"simple": "accept", "moderated": "refuse"}, "actions": [],
        "data": []}
NOTES = {
    "p99-ms": "last data to the device after the answer, 99th percentile (target: below); no peer",
    "max-ms": "the same, the worst run (target: below)",
    "unconfirmed": "answers without \"confirmed\", connections not cut",
    "answer-p50-ms": "from the request to its answer, under the flood",
    "heard-p50-ms": "from the request to the last data",
    "flood-per-s": "messages/s to the device before",
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


def victim(pipe, folder):
    """For each (client, server): joins, says "joined", reads until it is cut, reports what came and when."""
    stage.die_with_parent()
    while (task := pipe.recv()) is not None:
        client, server = task
        link = mqtt5.Link(stage.MQTT_PORT, context_of(folder, client["id"]), client["id"])
        link.subscribe(f"SRUP/{client['id']}")
        join(link, client, server)
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

def flood(pipe, folder, stop):
    """For each device id: publishes signed actions on its topic until stop is set; says "stopped"."""
    stage.die_with_parent()
    identity = (folder / "c2_server.id").read_text("ascii").strip()
    key = srup5.load_private((folder / "c2_server.pem").read_bytes())
    common = {"sender_id": int(identity, 16), "action_id": 1}
    raws = [srup5.encode("ACTION", {**common, "sequence_id": n + 1, "token": srup5.new_token()}, key)
            for n in range(MESSAGES)]
    link = mqtt5.Link(stage.MQTT_PORT, context_of(folder, "c2_server"), identity)
    while (device := pipe.recv()) is not None:
        burst = b"".join(mqtt5.publish(f"SRUP/{device}", raw) for raw in raws)
        pipe.send(len(burst) // MESSAGES)
        while not stop.is_set():
            link.sock.sendall(burst)
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


class Bench:
    """A universe with enrolled devices, a second C2 server, and the two helper processes."""

    def __init__(self, universe, clients):
        self.universe, self.clients, self.operator = universe, clients, Operator(universe)
        self.folder = universe.folder / "devices"
        self.folder.mkdir()
        universe.admin.ask("PUT", "/api/v1/types/bench", 200, TYPE)
        self.server = self._enrol()
        second = self._second_server()
        self.stop = multiprocessing.Event()
        self.victim = self._process(victim, self.folder)
        self.flood = self._process(flood, second, self.stop)

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

    def run(self, client):
        """One device's end: what was measured."""
        self.victim.send((client, self.server))
        self._hear(self.victim)
        self.stop.clear()
        self.flood.send(client["id"])
        message_len = self._hear(self.flood)
        time.sleep(random.uniform(*FLOOD_S))
        asked, answered, confirmed = self.operator.revoke(client["id"])
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


def measure(count):
    """Results of all runs."""
    clients = stage.identities(count)
    with stage.Universe() as universe:
        bench = Bench(universe, clients)
        results = [bench.run(client) for client in clients]
        bench.end()
    return results


def percentile(values, part):
    """The smallest value that at least that part of the values do not exceed."""
    values = sorted(values)
    return values[max(0, -(-len(values) * part // 100) - 1)]


def main():
    """Runs it."""
    options = stage.options(__doc__)
    results = measure(RUNS_SMOKE if options.smoke else RUNS)
    after = [each["after_ms"] for each in results]
    rows = [stage.row("revoke", "p99-ms", "ms", percentile(after, 99), TARGET_P99_MS, below=True),
            stage.row("revoke", "max-ms", "ms", max(after), TARGET_MAX_MS, below=True),
            stage.row("revoke", "unconfirmed", "runs", sum(each["failed"] for each in results), 0),
            stage.row("revoke", "answer-p50-ms", "ms", statistics.median(each["answer_ms"] for each in results)),
            stage.row("revoke", "heard-p50-ms", "ms", statistics.median(each["heard_ms"] for each in results)),
            stage.row("revoke", "flood-per-s", "1/s", statistics.median(each["per_s"] for each in results))]
    stage.show(rows, options.json, NOTES)
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    multiprocessing.set_start_method("fork")
    sys.exit(main())
