"""rig - what the benchmarks under load share: devices put straight into the database, the load generator, brokers to compare
with. Not a benchmark: it is not executable. Uses stage.py and the programs fill and load.
"""
import concurrent.futures
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time

import stage
from stage import srup5

PEER_PORT = stage.PORT_BASE + 1083
TYPE = {"name": "bench", "vendor": "Holdfast", "join": {"simple": "accept", "moderated": "ask"},
        "actions": [{"id": 1, "name": "act"}], "data": [{"id": "PM25", "kind": "double", "from": "device"}]}


# ---- processes -----------------------------------------------------------------------------------

class Load:
    """A `load` that takes orders: a number in, numbers out."""

    def __init__(self, command, keys, port, *words):
        self.process = subprocess.Popen([stage.BIN / "load", command, keys, str(port), *map(str, words)], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        preexec_fn=stage.die_with_parent)
        if self.line() != "ready":
            raise RuntimeError(f"load {command} did not start")

    @property
    def pid(self):
        """Its process id."""
        return self.process.pid

    def line(self):
        """What it says next."""
        return self.process.stdout.readline().strip()

    def order(self, number):
        """Sends an order without waiting for the answer."""
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()

    def answer(self):
        """The numbers of its next line."""
        numbers = [int(word) for word in self.line().split()]
        if not numbers:
            raise RuntimeError("load gave up; what it said stands above")
        return numbers

    def ask(self, number):
        """An order and its answer."""
        self.order(number)
        return self.answer()

    def close(self):
        """Ends it."""
        self.process.terminate()
        self.process.wait(stage.DEADLINE_S)


class Broker:
    """A mosquitto of the bench's own: the configuration of the universe's broker with another port, and lines taken out or
    added; with the universe's table as it is now, if the plugin stays in."""

    def __init__(self, universe, port, drop=(), add=()):
        self.folder, self.port = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-peer-")), port
        text = (universe.folder / "run/mosquitto.conf").read_text("ascii")
        text = text.replace(str(universe.folder / "broker"), str(self.folder)).replace(f"listener {stage.MQTT_PORT}",
                                                                                      f"listener {port}")
        lines = [line for line in text.splitlines() if not line.startswith(tuple(drop) or "\0")]
        (self.folder / "mosquitto.conf").write_text("\n".join([*add, *lines]) + "\n", "ascii")
        for name in ("table", "journal"):
            if (universe.folder / "broker" / name).exists():
                shutil.copy(universe.folder / "broker" / name, self.folder)
        self.process = None

    def put(self, *lines):
        """Adds rows to the table's snapshot, before the start."""
        path = self.folder / "table"
        head, *rows, _ = path.read_text("ascii").splitlines()
        rows += lines
        path.write_text("\n".join([head, *rows, f"end {len(rows)}"]) + "\n", "ascii")

    def start(self):
        """Runs it until close."""
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(["/usr/sbin/mosquitto", "-c", self.folder / "mosquitto.conf"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=stage.die_with_parent)
        end = time.monotonic() + stage.DEADLINE_S
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("the peer's broker does not start:\n" + (self.folder / "log").read_text()[-1000:])

    @property
    def pid(self):
        """Its process id."""
        return self.process.pid

    def close(self):
        """Ends it and removes its folder."""
        if self.process:
            self.process.terminate()
            self.process.wait(stage.DEADLINE_S)
        shutil.rmtree(self.folder)


# ---- devices -------------------------------------------------------------------------------------

def key_hex(client):
    """The DER of a client's identity key, in hex."""
    return stage.unb64(client["body"]).hex()


def fill(universe, lines):
    """Registers devices before the universe starts; a line as `fill` wants it: id, count, type, state, controller, key."""
    (universe.folder / "db").mkdir(mode=0o700, exist_ok=True)
    text = "".join(" ".join(map(str, line)) + "\n" for line in lines)
    subprocess.run([stage.BIN / "fill", universe.folder / "db/holdfast.db"], input=text, text=True, check=True)


def sign(folder, clients, count):
    """Writes count signed readings of each client into the folder, on all cores."""
    for client in clients:
        (folder / f"{client['id']}.pem").write_text(client["key"], "ascii")
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda client: subprocess.run([stage.BIN / "load", "sign", folder, client["id"], str(count)],
                                                    check=True), clients))


def stored(universe):
    """How many readings are committed."""
    with sqlite3.connect(f"file:{universe.folder}/db/holdfast.db?mode=ro", uri=True) as db:
        return db.execute("SELECT COALESCE(MAX(id), 0) FROM reading").fetchone()[0]


def percentile(values, part):
    """The smallest value that at least that part of the values do not exceed."""
    values = sorted(values)
    return values[max(0, -(-len(values) * part // 100) - 1)]


__all__ = ["Broker", "Load", "PEER_PORT", "TYPE", "fill", "key_hex", "percentile", "sign", "srup5", "stored"]
