#!/usr/bin/python3
"""data_story - readings out of a universe: exports, long polls and follows over crashes; old rows away; a nearly full disk; a clock
that is in doubt.

HOLDFAST_BIN: the directory of the programs. HOLDFAST_PORT_BASE: the ports +443 and +883 are used. Arguments: names of
tests (default all). Prints "ok NAME" for each that passed; last line "N passed, N failed".
"""
import contextlib
import csv
import json
import os
import pathlib
import signal
import sqlite3
import struct
import subprocess
import sys
import threading
import time

from universe import BIN, DEADLINE_S, SENSOR, Universe, run, until

MANY = 400_000
DAY_MS = 24 * 3600 * 1000
METER = {**SENSOR, "name": "meter", "data": [{"id": "COUNT", "kind": "int32", "unit": "m,3", "from": "device"},
                                            {"id": "BIG", "kind": "int64", "from": "device"},
                                            {"id": "NOTE", "kind": "text", "from": "device"},
                                            {"id": "T", "kind": "double", "from": "device"}]}


class Story:
    """Two devices: a meter whose readings the tests write, and one with a long past."""

    def __init__(self, universe):
        self.u = universe
        self.u.put_sensor()
        self.u.api.put("/types/meter", METER)
        self.meter = self.u.joined("meter", "meter")
        self.past = self.u.joined("past")
        self._write_past()

    # --- what the tests use -------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _database(self):
        """The database for writing, while the server is down."""
        self.u.stop()
        with contextlib.closing(sqlite3.connect(self.u.dir / "db/holdfast.db")) as db, db:
            yield db
        self.u.start()
        for device in (self.meter, self.past):
            self.u.connected(device)

    def _write_past(self):
        """Far too many readings, of which none is of 1970."""
        now = int(time.time() * 1000)
        with self._database() as db:
            series = db.execute("INSERT INTO series (device, name) VALUES (?, 'PM25')",
                                (self.u.key_of(self.past.identity),)).lastrowid
            db.executemany("INSERT INTO reading (series, at_ms, kind, number, bytes) VALUES (?, ?, 'double', ?, ?)",
                           ((series, now - MANY + i, 1.0, b"\0\0\0\0\0\0\xf0\x3f") for i in range(MANY)))

    def _export(self, *words, **more):
        return self.u.cli("data", "export", *words, **more).out

    def _table(self, device):
        """CSV as it is, through a file: a line end inside a text stays what it was."""
        file = self.u.dir / "table.csv"
        self._export(device.identity, "--output", str(file))
        with open(file, newline="", encoding="utf-8") as text:
            return list(csv.DictReader(text))

    def _rows(self, *words):
        return [json.loads(line) for line in self._export(*words, "--format", "jsonl").splitlines()]

    def _command(self, *words):
        """holdfast as a process of its own."""
        env = {**{k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")},
               "HOLDFAST_CONFIG": str(self.u.dir / "client.cfg"), "HOME": str(self.u.dir)}
        return subprocess.Popen([BIN / "holdfast", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, env=env, text=True, start_new_session=True)

    def _server(self):
        """Process id of the server, the child that has the database open."""
        for path in pathlib.Path("/proc").glob("[0-9]*/fd/*"):
            with contextlib.suppress(OSError):
                if os.readlink(path) == str(self.u.dir / "db/holdfast.db"):
                    return int(path.parts[2])
        return None

    def _memory_kib(self, what="VmRSS"):
        for line in pathlib.Path(f"/proc/{self._server()}/status").read_text().splitlines():
            if line.startswith(what):
                return int(line.split()[1])
        raise AssertionError("no such process")

    # --- exports ------------------------------------------------------------------------------------------------------

    def export_gives_back_what_was_sent(self):
        """64-bit integers, doubles and texts, through both forms."""
        device = self.meter
        for value in (2**63 - 1, -2**63):
            after = self.u.api.cursor(device.identity)
            device.send_data("BIG", struct.pack("<q", value))
            assert self.u.api.next_reading(device.identity, after, "BIG")["value"] == value
        for name, value in (("T", 0.1), ("T", 1e300), ("NOTE", 'say "yes",\r\nor not'), ("NOTE", "gr\u00fc\u00df dich")):
            self.u.report(device, value, name)
        self.u.report(device, -5, "COUNT")
        want = [2**63 - 1, -2**63, 0.1, 1e300, 'say "yes",\r\nor not', "gr\u00fc\u00df dich", -5]
        rows = self._rows(device.identity)
        assert [row["value"] for row in rows[-7:]] == want, rows
        table = self._table(device)
        assert [row["value"] for row in table[-7:]] == ["9223372036854775807", "-9223372036854775808", "0.1", "1e+300",
                                                        want[4], want[5], "-5"], table
        assert {row["unit"] for row in table if row["data"] == "COUNT"} == {"m,3"}
        assert [int(row["cursor"]) for row in table] == [row["cursor"] for row in rows]
        assert [(int(row["at_ms"]), row["device"]) for row in table] == [(row["at_ms"], device.identity) for row in rows]

    def W1_a_reading_is_no_formula(self):
        """What a device sends must not run in the spreadsheet of whoever opens the file."""
        device = self.meter
        evil = ['=cmd|"/c calc"!A1', "+1+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1"]
        for text in evil:
            self.u.report(device, text, "NOTE")
        device.send_data("=HYPERLINK(1)", "x")
        until("the name is stored", lambda: any(r["data"] == "=HYPERLINK(1)" for r in self.u.api.readings(device.identity)))
        table = self._table(device)
        assert [row["value"] for row in table[-7:-1]] == ["'" + text for text in evil], table[-7:]
        assert table[-1]["data"] == "'=HYPERLINK(1)"
        assert [row["value"] for row in self._rows(device.identity)[-7:-1]] == evil
        assert all(row["value"][0] != "'" for row in table if row["data"] in ("COUNT", "T"))  # -5 is a number

    def export_chooses(self):
        """By series, time, type and scope."""
        device = self.meter
        self.u.report(device, 5, "COUNT")
        rows = self._rows(device.identity)
        middle = rows[len(rows) // 2]["at_ms"]
        assert self._rows(device.identity, "--series", "COUNT") == [r for r in rows if r["data"] == "COUNT"]
        assert self._rows(device.identity, "--since", str(middle)) == [r for r in rows if r["at_ms"] >= middle]
        assert self._rows(device.identity, "--until", str(middle)) == [r for r in rows if r["at_ms"] < middle]
        assert self._rows(device.identity, "--since", "-1h") == rows
        assert self._rows(device.identity, "--since", "2100-01-01") == []
        assert self._rows("--type", "meter") == rows
        assert [r for r in self._rows("--all") if r["device"] == device.identity] == rows
        self.u.cli("token", "new", "one meter", "--role", "viewer", "--scope", f"device:{device.identity}")
        token = self.u.api.post("/tokens", {"name": "one", "role": "viewer", "scope": f"device:{device.identity}"}, 201)
        file = self.u.dir / "one.token"
        file.write_text(token["token"])
        seen = self._export("--all", "--format", "jsonl", token_file=file)
        assert [json.loads(line) for line in seen.splitlines()] == rows
        self.u.cli("data", "export", self.past.identity, token_file=file, want=1, says="you may not do that")

    def refusals_are_sentences(self):
        for words, want, says in (((), 2, "--all"), ((self.meter.identity, "--all"), 2, "of which devices"),
                                  (("xyz",), 2, "no device id"), (("4242",), 1, "no such"),
                                  (("--all", "--since", "yesterday"), 2, "is no time"),
                                  (("--all", "--since", "2026-02-30"), 2, "is no time"),
                                  (("--all", "--format", "xml"), 2, "neither csv nor jsonl"),
                                  (("--all", "--output", "/nowhere/x"), 3, "cannot be written"),
                                  (("--all", "--json"), 2, "--format jsonl"),
                                  ((self.meter.identity, "--series", "NONE"), 0, "no such readings")):
            self.u.cli("data", "export", *words, want=want, says=says)
        for query in ("format=xml", "since_ms=x", "until_ms=--1", "since_ms=99999999999999999999", "type=" + "x" * 64):
            assert "?" in self.u.api.get(f"/export?{query}", 400)["message"], query
        self.u.cli("data", "get", self.meter.identity, "--until", "1970-01-02", says="No readings in that time")
        self.u.cli("data", "get", self.meter.identity, "--series", "NONE", says="No readings of that name")

    def a_long_export_takes_little_memory(self):
        """And a file is whole: as many lines as there are readings, in order."""
        file = self.u.dir / "past.csv"
        before = self._memory_kib()
        said = self.u.json("data", "export", self.past.identity, "--output", str(file))
        assert said["readings"] == MANY and said["bytes"] == file.stat().st_size, said
        grown = self._memory_kib("VmHWM") - before
        with open(file, newline="") as text:
            cursors = [int(row["cursor"]) for row in csv.DictReader(text)]
        assert len(cursors) == MANY and cursors == sorted(set(cursors))
        assert file.stat().st_mode & 0o777 == 0o600
        print(f"  {MANY} readings, {said['bytes']} bytes; the server's memory grew by {grown} KiB")
        assert grown < 32 * 1024 or "asan" in str(BIN), grown

    def a_long_search_holds_nobody_up(self):
        """Others are answered while the whole past is looked through in vain, and while it is exported."""
        def answers_during(work):
            thread, times, start = threading.Thread(target=work), [], time.monotonic()
            thread.start()
            while thread.is_alive():
                asked = time.monotonic()
                self.u.api.call("GET", "/healthz")
                times.append(time.monotonic() - asked)
            return time.monotonic() - start, times

        self.u.api.call("GET", "/healthz")
        for what, path in (("search", f"/devices/{self.past.identity}/data?until_ms=1000"),
                           ("export", f"/devices/{self.past.identity}/export")):
            took, times = answers_during(lambda path=path: self.u.api.call("GET", "/api/v1" + path))
            print(f"  {what}: {took * 1000:.0f} ms, in which {len(times)} others were answered; "
                  f"the slowest took {max(times) * 1000:.0f} ms")
            assert len(times) >= 4, (took, times)

    def a_client_that_goes_away_is_forgotten(self):
        exporters = [self._command("data", "export", "--all") for _ in range(16)]
        try:
            until("16 exports are under way", lambda: self.u.metrics()["exports"] == 16)
            self.u.cli("data", "export", "--all", want=1, says="16 exports are under way")
            assert self.u.metrics()["exports_refused_total"] >= 1
        finally:
            for exporter in exporters:
                exporter.kill()
                exporter.communicate()
        until("all are forgotten", lambda: self.u.metrics()["exports"] == 0, 40)
        self.u.serves()

    def no_half_file(self):
        """The server dies in the middle: the old file stays, and nothing lies beside it."""
        folder = self.u.dir / "out"
        folder.mkdir()
        file = folder / "all.csv"
        file.write_text("old")
        exporter = self._command("data", "export", "--all", "--output", str(file))
        until("it writes", lambda: any(f.stat().st_size > 100_000 for f in folder.iterdir() if f != file))
        os.kill(self._server(), signal.SIGKILL)
        _, said = exporter.communicate(timeout=DEADLINE_S)
        assert exporter.returncode == 5, (exporter.returncode, said)
        assert [f.name for f in folder.iterdir()] == ["all.csv"] and file.read_text() == "old"
        until("the server is up again", self.u.up)
        exporter = self._command("data", "export", "--all", "--output", str(file))
        until("it writes", lambda: any(f.stat().st_size > 100_000 for f in folder.iterdir() if f != file))
        exporter.send_signal(signal.SIGINT)
        _, said = exporter.communicate(timeout=DEADLINE_S)
        assert exporter.returncode == 1 and "stopped before the end" in said, (exporter.returncode, said)
        assert [f.name for f in folder.iterdir()] == ["all.csv"] and file.read_text() == "old"

    # --- follow -------------------------------------------------------------------------------------------------------

    def follow_survives_kill_9(self):
        """The server is killed, then the whole universe stopped: what was followed is what is stored, once each."""
        device, after = self.meter, self.u.api.cursor(self.meter.identity)
        follower = self._command("data", "follow", device.identity, "--json", "--limit", "1")
        lines = []
        reader = threading.Thread(target=lambda: lines.extend(follower.stdout), daemon=True)
        reader.start()
        until("it follows", lambda: lines)
        for value in range(100, 110):
            self.u.report(device, value, "COUNT")
        os.kill(self._server(), signal.SIGKILL)
        for value in range(110, 120):  # the broker keeps them
            device.send_data("COUNT", value)
        until("the server is up again", self.u.up)
        self.u.connected(device)
        self.u.report(device, 120, "COUNT")
        self.u.restart(signal.SIGKILL)
        self.u.connected(device)
        for value in range(121, 130):
            self.u.report(device, value, "COUNT")
        stored = [row for row in self._rows(device.identity) if row["cursor"] > after]
        until(lambda: f"{len(stored)} lines, not {lines[1:]}", lambda: len(lines) > len(stored))
        follower.send_signal(signal.SIGINT)
        said = follower.stderr.read()
        assert follower.wait(DEADLINE_S) == 0, said
        assert [json.loads(line) for line in lines[1:]] == stored, (lines, stored)
        assert {row["value"] for row in stored} >= set(range(100, 130)), stored
        assert "waiting for it" in said and "the server is back" in said, said

    def follow_ends_with_its_reader(self):
        follower = self._command("data", "follow", self.meter.identity)
        assert follower.stdout.readline()
        follower.stdout.close()
        assert follower.wait(DEADLINE_S) == 0
        follower.stderr.close()

    def a_reading_ends_every_wait(self):
        """Many long polls at once, all answered by the one reading."""
        device, cursor, found = self.meter, self.u.api.cursor(self.meter.identity), []
        polls = [threading.Thread(target=lambda: found.append(self.u.api.next_reading(device.identity, cursor, "COUNT")))
                 for _ in range(20)]
        for poll in polls:
            poll.start()
        time.sleep(0.3)
        device.send_data("COUNT", 77)
        for poll in polls:
            poll.join(DEADLINE_S)
        assert [row["value"] for row in found] == [77] * 20
        assert self.u.api.readings(device.identity, after=found[0]["cursor"], wait_ms=300) == []

    # --- rows that are old --------------------------------------------------------------------------------------------

    def _age(self, db, days):
        """Makes all that there is older."""
        for table, column in (("reading", "at_ms"), ("inbound", "at_ms"), ("event", "at_ms")):
            db.execute(f"UPDATE {table} SET {column} = {column} - ?", (days * DAY_MS,))

    def old_rows_go_and_honest_traffic_goes_on(self):
        """The replay window stays whole: what the device sends next is taken, and what it sent before is not."""
        device = self.meter
        for value in range(70):
            device.send_data("COUNT", value)
        until("the last one is stored", lambda: [r["value"] for r in self.u.api.readings(device.identity, limit=1)] == [69])
        key = self.u.key_of(device.identity)
        with self._database() as db:
            self._age(db, 60)
            rows = db.execute("SELECT COUNT(*) FROM inbound WHERE device = ?", (key,)).fetchone()[0]
        assert rows > 64
        self.u.conf.write_text(self.u.conf.read_text() + "readings_days = 40\nevents_days = 50\n")
        self.u.restart()
        self.u.connected(device)
        until("the readings are gone", lambda: self.u.metrics()['rows_removed_total{table="readings"}'] >= MANY, 120)
        until("all is swept", lambda: self.u.query("SELECT 1 FROM event WHERE event = 'retention.removed'"), 60)
        assert self.u.query("SELECT COUNT(*) FROM inbound WHERE device = ?", key) == [(64,)]
        assert self.u.query("SELECT COUNT(*) FROM event WHERE at_ms < ?", int(time.time() * 1000) - 50 * DAY_MS) == [(0,)]
        wal = (self.u.dir / "db/holdfast.db-wal").stat().st_size
        status = self.u.api.get("/status")["database"]
        print(f"  {MANY} readings removed; the write-ahead log has {wal} bytes; {status['empty_bytes']} bytes stand empty")
        assert wal < 32 * 1024 * 1024 and status["empty_bytes"] > 0
        self.u.report(device, 71, "COUNT")
        self.u.cli("status", says="oldest reading")

    def a_clock_in_doubt_removes_nothing(self):
        """At the last note it was a year earlier: perhaps the clock is wrong now."""
        device = self.meter
        with self._database() as db:
            self._age(db, 60)
            db.execute("UPDATE setting SET value = value - ? WHERE name = 'clock_ms'", (365 * DAY_MS,))
        before = self.u.query("SELECT COUNT(*) FROM reading")
        assert self.u.metrics()["clock_doubted"] == 1
        self.u.cli("status", says="nothing is removed by age")
        time.sleep(12)  # the first sweep comes ten seconds after the start
        assert self.u.query("SELECT COUNT(*) FROM reading") == before
        self.u.report(device, 72, "COUNT")

    def a_full_disk_is_told(self):
        """The reserve is larger than any disk."""
        self.u.conf.write_text(self.u.conf.read_text() + "disk_reserve_mb = 1048576\n")
        self.u.restart()
        until("the alert is there", lambda: [a for a in self.u.api.get("/alerts")["alerts"] if a["kind"] == "disk-space"])
        self.u.cli("status", says="nearly full")
        self.u.cli("alert", "list", says="disk-space")
        assert self.u.metrics()["disk_low"] == 1


def main():
    with Universe() as universe:
        story = Story(universe)
        code = run([(name, getattr(story, name)) for name in vars(Story) if not name.startswith("_")])
        if code:
            universe.complain()
    return code


if __name__ == "__main__":
    sys.exit(main())
