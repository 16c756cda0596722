#!/usr/bin/python3
"""Story: holdfast doctor. Each fault is made on purpose, and its sentence read; without a server and with one. Uses universe.py."""
import contextlib
import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time

import universe
from universe import BIN, HTTPS, Universe


class Patient(Universe):
    """A universe that was started once and stopped, so that all its files are there."""

    def __init__(self, run=False, **settings):
        super().__init__(**settings)
        self.run_first = run

    def __enter__(self):
        if self.run_first:
            super().__enter__()
            self.stop()
        return self

    def doctor(self, *says):
        """Its findings hold each of these texts; with none given there are no findings."""
        command = [BIN / "holdfast", "doctor", "--json", "--config", self.conf]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        found = [f"{f['check']}: {f['text']}" for f in json.loads(done.stdout)["findings"]]
        assert done.returncode == (1 if found else 0), (done.returncode, done.stderr)
        for text in says:
            assert any(text in finding for finding in found), f"{text!r} is not in {found}"
        assert says or not found, found

    def configure(self, **settings):
        lines = {"port_base": universe.BASE, **settings}
        self.conf.write_text("".join(f"{key} = {value}\n" for key, value in lines.items()))


def nothing_wrong_is_said_so():
    with Patient(run=True) as u:
        u.doctor()
        done = u.cli("doctor", "--config", u.conf, says="11 checks, 0 findings; holdfastd does not run")
        assert done.err == ""


def a_server_that_runs_is_asked():
    with Universe() as u:
        u.cli("doctor", "--config", u.conf, says="10 checks, 0 findings; holdfastd runs")
        (u.dir / "admin.token").rename(u.dir / "token")
        u.cli("doctor", "--config", u.conf, want=1, says="server: holdfastd runs, but https://127.0.0.1:")
        (u.dir / "token").rename(u.dir / "admin.token")


def a_configuration_that_cannot_be_read():
    with Patient() as u:
        u.configure(joins_max="many")
        u.cli("doctor", "--config", u.conf, want=3, says='joins_max: "many" is not a whole number')
        u.cli("doctor", "--config", "/nonexistent", want=3, says="cannot read this configuration file")


def faults_of_files():
    with Patient(run=True) as u:
        (u.keys / "keyex.pem").chmod(0o644)
        (u.dir / "db").chmod(0o777)
        (u.keys / "c2/main/c2_server.stk").unlink()
        u.doctor("conf: the key", "keyex.pem is open to others (mode 644): chmod 600", "can be written by others (mode 777): chmod go-w",
                 "c2_server.stk is missing")


def keys_that_do_not_belong_together():
    with Patient() as u:
        u.keygen("universe", u.dir / "other", "--name", "localhost")
        for name in ("web.key", "broker_ca.crt", "keyex_pub.pem"):
            shutil.copy(u.dir / "other" / name, u.keys / name)
        (u.keys / "broker.key").write_text("nothing\n")
        u.doctor("pairs: ", "web.key and ", "do not belong together: holdfast keygen web", "broker_ca.key and", "keyex.pem and",
                 "the key " + str(u.keys / "broker.key") + " cannot be used")


def certificates_near_their_end():
    with Patient() as u:
        ca = ["-CA", u.keys / "web_ca.crt", "-CAkey", u.keys / "web_ca.key", "-CAcreateserial"]
        request = subprocess.run(["openssl", "req", "-new", "-key", u.keys / "web.key", "-subj", "/CN=localhost"], check=True,
                                 capture_output=True, timeout=30).stdout
        (u.keys / "web.crt").write_bytes(subprocess.run(["openssl", "x509", "-req", "-days", "9", *ca], input=request, check=True,
                                                        capture_output=True, timeout=30).stdout)
        u.doctor("ends: " + str(u.keys / "web.crt") + " ends in ", "holdfast keygen web makes another; then reload")
        u.cli("keygen", "web", u.keys, "--name", "localhost", says="is good until")
        u.doctor()


def clock_that_was_set_back():
    with Patient(run=True) as u:
        later = time.time() + 86400
        os.utime(u.dir / "db/holdfast.db", (later, later))
        u.doctor("clock: the clock was set back")


def names_that_lead_nowhere():
    with Patient() as u:
        u.configure(name="localhost no-such-host.invalid", broker="external", broker_host="nowhere.invalid")
        u.doctor("names: name: no-such-host.invalid leads to no address", "broker_host: nowhere.invalid leads to no address")


def too_few_files():
    with Patient() as u:
        u.configure(http_connections_max=10000)
        done = subprocess.run(["sh", "-c", f"ulimit -n 1024; exec {BIN}/holdfast doctor --config {u.conf}"], capture_output=True,
                              text=True, timeout=60, stdin=subprocess.DEVNULL)
        assert done.returncode == 1 and "limits: a process may open 1024 files" in done.stdout, done


def fences_that_are_down():
    with Patient() as u:
        u.configure(sandbox="off")
        u.doctor("fences: sandbox = off")


def table_that_is_damaged():
    with Patient(run=True) as u:
        (u.dir / "broker/table").write_text("holdfast-table 1 7\nput")
        u.doctor("table: the broker's table", "is damaged: remove it")


def database_that_is_damaged():
    with Patient(run=True) as u:
        path = u.dir / "db/holdfast.db"
        with open(path, "r+b") as db:
            db.seek(4096 * 3)
            db.write(os.urandom(4096 * 4))
        u.doctor("database: the database", "is damaged (")


def database_of_another_day():
    with Patient(run=True) as u:
        with contextlib.closing(sqlite3.connect(u.dir / "db/holdfast.db")) as db:
            db.execute("UPDATE setting SET value = 0 WHERE name = 'broker-table'")
            db.commit()
            u.doctor("database: the database is older than the broker's table: was it restored?")
            db.execute("PRAGMA user_version = 99")
            db.commit()
        u.doctor("was made by a newer holdfastd")


def broker_that_does_not_fit():
    with Patient() as u:
        plugin = u.dir / "plugin.so"
        plugin.write_text("nothing")
        u.configure(broker_plugin=plugin)
        u.doctor("broker: /usr/sbin/mosquitto does not start with the plugin")
        other = u.dir / "mosquitto"
        other.write_text("#!/bin/sh\necho mosquitto version 1.6.9 starting; echo mosquitto version 1.6.9 running; sleep 9\n")
        other.chmod(0o755)
        u.configure(broker_program=other)
        u.doctor("is not mosquitto 2.0")


def ports_that_are_taken():
    with Patient() as u, socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", HTTPS))
        other.listen()
        u.doctor(f"conf: port {HTTPS}, needed for HTTPS, is taken by", f"(process {os.getpid()})")


TESTS = [(name, value) for name, value in list(globals().items())
         if callable(value) and getattr(value, "__module__", "") == "__main__" and not isinstance(value, type)]

if __name__ == "__main__":
    sys.exit(universe.run(TESTS))
