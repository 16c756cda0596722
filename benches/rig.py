"""rig - what the benchmarks under load share: devices put straight into the database, the load generator, brokers to compare
with. Not a benchmark: it is not executable. Uses stage.py and the programs fill and load.
"""
import concurrent.futures
import contextlib
import os
import pathlib
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import time

import stage

PATIENCE_S = 120
PEER_PORT = stage.PORT_BASE + 1083
TYPE = "airmonitor"


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
    added, where FOLDER is its own; with the universe's table as it is now, if the plugin stays in."""

    def __init__(self, universe, port, drop=(), add=()):
        self.folder, self.port = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-peer-")), port
        text = (universe.folder / "run/mosquitto.conf").read_text("ascii")
        text = text.replace(str(universe.folder / "broker"), str(self.folder)).replace(f"listener {universe.mqtt_port}",
                                                                                      f"listener {port}")
        lines = [line for line in text.splitlines() if not line.startswith(tuple(drop) or "\0")]
        lines = [line.replace("FOLDER", str(self.folder)) for line in add] + lines
        (self.folder / "mosquitto.conf").write_text("\n".join(lines) + "\n", "ascii")
        for name in ("table", "journal"):
            if (universe.folder / "broker" / name).exists():
                shutil.copy(universe.folder / "broker" / name, self.folder)
        self.process = None

    def put(self, *lines, keep=True):
        """Adds rows to the table's snapshot, before the start; without keep instead of what is there."""
        path = self.folder / "table"
        head, *rows, _ = path.read_text("ascii").splitlines()
        rows = [*(rows if keep else []), *lines]
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

def database(universe):
    """Its file."""
    return universe.folder / "db/holdfast.db"


def key_hex(client):
    """The DER of a client's identity key, in hex."""
    return stage.unb64(client["body"]).hex()


def line(client, state, server=0, count=1):
    """What `fill` wants to know of a device."""
    return f"{client['id']} {count} {TYPE} {state} {server} {key_hex(client)}\n"


def fill(database, lines):
    """Registers devices in a database that nobody has open."""
    database.parent.mkdir(mode=0o700, exist_ok=True)
    subprocess.run([stage.BIN / "fill", database], input="".join(lines), text=True, check=True)


def write_keys(folder, clients):
    """Their identity keys, for `load`."""
    for client in clients:
        (folder / f"{client['id']}.pem").write_text(client["key"], "ascii")


def sign(folder, clients, count):
    """Writes count signed readings of each client into the folder, on all cores."""
    write_keys(folder, clients)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda client: subprocess.run([stage.BIN / "load", "sign", folder, client["id"], str(count)],
                                                    check=True), clients))


def ask(universe, sql):
    """Rows of the universe's database."""
    with contextlib.closing(sqlite3.connect(f"file:{database(universe)}?mode=ro", uri=True)) as db:
        return db.execute(sql).fetchall()


def stored(universe):
    """How many readings are committed."""
    return ask(universe, "SELECT COALESCE(MAX(id), 0) FROM reading")[0][0]


def wait_stored(universe, count):
    """Until so many readings are committed; the time."""
    end = time.monotonic() + PATIENCE_S
    while stored(universe) < count:
        if time.monotonic() > end:
            raise RuntimeError(f"{stored(universe)} of {count} readings are stored")
        time.sleep(0.01)
    return time.monotonic_ns()


def percentile(values, part):
    """The smallest value that at least that part of the values do not exceed."""
    values = sorted(values)
    return values[max(0, -(-len(values) * part // 100) - 1)]
