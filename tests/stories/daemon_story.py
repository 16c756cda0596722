#!/usr/bin/python3
"""daemon_story - holdfastd as a whole: refuses to start with a reason, starts, is ready, mends itself, stops, leaves nothing behind.

HOLDFAST_BIN: the directory of the programs. HOLDFAST_PORT_BASE: where ports are counted from. Arguments: names of tests (default
all). Prints "ok NAME" for each that passed; last line "N passed, N failed".
"""
import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import traceback

BIN = pathlib.Path(os.environ.get("HOLDFAST_BIN", pathlib.Path(__file__).resolve().parents[2] / "build/release/bin"))
BASE = int(os.environ.get("HOLDFAST_PORT_BASE", "18000"))
HTTPS, MQTT = BASE + 443, BASE + 883
DEADLINE_S = 30
CHILDREN = {"holdfast-server", "holdfast-signer", "mosquitto"}


def until(what, condition, seconds=DEADLINE_S):
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.05)
    return value


def alive(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False


def status_of(pid, field):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.split(":", 1)[1].strip() for line in lines if line.startswith(field + ":"))


class Universe:
    """A data folder with keys, and the holdfastd that was started on it."""

    def __init__(self, **more):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-daemon-"))
        self.keys, self.conf = self.folder / "keys", self.folder / "holdfast.conf"
        for words in (["universe", self.keys], ["c2", "main", "--universe", self.keys]):
            subprocess.run([BIN / "holdfast", "keygen", *words], check=True, stdout=subprocess.DEVNULL)
        settings = {"port_base": BASE, **more}
        self.conf.write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
        self.process = None
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.manager.bind(str(self.folder / "notify"))
        self.manager.settimeout(DEADLINE_S)

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            for name in ("holdfastd.log", "mosquitto.log", "signer.log"):
                with contextlib.suppress(OSError):
                    print(f"  {name}: " + f"\n  {name}: ".join((self.folder / "log" / name).read_text().splitlines()[-15:]))
        if self.process and self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(DEADLINE_S)
            self.process.kill()
            self.process.wait()
        self.manager.close()
        shutil.rmtree(self.folder)

    def run(self, *words):
        return subprocess.run([BIN / "holdfastd", "--config", self.conf, *words], capture_output=True, text=True, timeout=DEADLINE_S)

    def start(self):
        environment = {**os.environ, "NOTIFY_SOCKET": str(self.folder / "notify")}
        self.process = subprocess.Popen([BIN / "holdfastd", "--config", self.conf], env=environment, start_new_session=True)
        assert self.manager.recv(64) == b"READY=1"
        return self

    def children(self):
        """Names of the live children and their process ids."""
        names = {}
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):
                name, rest = path.read_text().split("(", 1)[1].rsplit(")", 1)
                state, parent = rest.split()[:2]
                if int(parent) == self.process.pid and state != "Z":
                    names[name] = int(path.parent.name)
        return names

    def all_children(self):
        return until("all children", lambda: (c := self.children()).keys() == CHILDREN and c)

    def log(self, name="holdfastd.log"):
        return (self.folder / "log" / name).read_text()

    def logged(self, text, times=1):
        until(f"{text} in the log", lambda: self.log().count(text) >= times)

    def stop(self):
        self.process.terminate()
        return self.process.wait(DEADLINE_S)


# --- tests ----------------------------------------------------------------------------------------------------------------

def a_command_line_is_checked():
    for words, code, text in ((["--version"], 0, "holdfastd "), (["--help"], 0, "--check-config"), ([], 2, "Usage"),
                              (["--bogus"], 2, "unknown option --bogus"), (["--config"], 2, "--config needs a FILE"),
                              (["--config", "/nonexistent"], 1, "/nonexistent: cannot read")):
        done = subprocess.run([BIN / "holdfastd", *words], capture_output=True, text=True, timeout=DEADLINE_S)
        assert done.returncode == code and text in done.stdout + done.stderr, (words, done)


def what_keeps_it_from_starting_is_said():
    with Universe() as u, socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", HTTPS))
        other.listen()
        (u.keys / "keyex.pem").chmod(0o644)
        (u.keys / "web.crt").unlink()
        for words in ([], ["--check-config"]):
            done = u.run(*words)
            assert done.returncode == 3 and done.stdout == ""
            assert f"port {HTTPS}, needed for HTTPS, is taken by" in done.stderr and f"(process {os.getpid()})" in done.stderr
            assert "keyex.pem is open to others (mode 644)" in done.stderr and "web.crt is missing" in done.stderr
        assert not (u.folder / "run").exists()


def printed_configuration_is_one():
    with Universe(http_timeout_s=20) as u:
        printed = u.run("--print-config").stdout
        assert "\nhttp_timeout_s = 20\n" in printed and f"\ndata_dir = {u.folder}\n" in printed
        u.conf.write_text(printed)
        assert u.run("--print-config").stdout == printed and u.run("--check-config").returncode == 0


def starts_and_stops_in_order():
    with Universe() as u:
        u.start()
        u.all_children()
        u.logged("link.up", 3)  # the fenced broker lets the fenced server in
        assert u.run("--check-config").returncode == 0
        assert u.stop() == 0
        assert u.manager.recv(64) == b"STOPPING=1"
        ends = [line.split("child=")[1].split()[0] for line in u.log().splitlines() if " child.stopped " in line]
        assert set(ends[:2]) == {"server", "signer"} and ends[2:] == ["broker"], ends  # the signer ends with its socket
        for port in (HTTPS, MQTT):
            assert socket.socket().connect_ex(("127.0.0.1", port)) != 0


def a_second_one_is_refused():
    with Universe() as u:
        u.start()
        done = u.run()
        assert done.returncode == 1 and f"a holdfastd runs here already (process {u.process.pid})" in done.stderr
        assert u.all_children()


def the_dead_are_replaced():
    with Universe() as u:
        u.start()
        before = u.all_children()
        os.kill(before["mosquitto"], signal.SIGKILL)
        u.logged("child.started child=broker", 2)
        after = u.all_children()
        assert {name for name in CHILDREN if before[name] != after[name]} == {"mosquitto"}
        for times, victim in enumerate(("holdfast-signer", "holdfast-server"), 1):
            u.logged("server.started", times)
            before = u.all_children()
            os.kill(before[victim], signal.SIGKILL)
            until("a new pair", lambda: (c := u.children()).keys() == CHILDREN and c["holdfast-signer"] != before["holdfast-signer"] and
                  c["holdfast-server"] != before["holdfast-server"])
            assert u.all_children()["mosquitto"] == before["mosquitto"]
        u.logged("server.started", 3)
        assert u.stop() == 0


def children_die_with_the_parent():
    with Universe() as u:
        u.start()
        children = u.all_children()
        u.process.kill()
        u.process.wait()
        until("the end of all", lambda: not any(map(alive, children.values())))


def K8_processes_are_fenced():
    with Universe() as u:
        u.start()
        for name, pid in u.all_children().items():
            until(f"{name} in its fence", lambda: status_of(pid, "Seccomp") == "2")
            assert status_of(pid, "NoNewPrivs") == "1" and int(status_of(pid, "CapEff"), 16) & ~4 == 0, name
            assert int(status_of(pid, "CapPrm"), 16) & ~4 == 0, name


def K8_server_inherits_no_key():
    """Its open files lie in db/ and log/: the web key's descriptor is closed once it was read, the keys' folder was never open."""
    with Universe() as u:
        u.start()
        pid = u.all_children()["holdfast-server"]
        opened = []
        for entry in pathlib.Path(f"/proc/{pid}/fd").iterdir() if os.geteuid() == 0 else []:
            with contextlib.suppress(OSError):
                opened.append(os.readlink(entry))
        assert not [path for path in opened if path.startswith(str(u.keys))], opened
        assert u.log("signer.log").count("sandbox.entered") == 1


def main():
    tests = [value for name, value in globals().items() if callable(value) and getattr(value, "__module__", "") == "__main__"
             and name not in ("main", "until", "alive", "status_of", "Universe")]
    chosen = [t for t in tests if not sys.argv[1:] or t.__name__ in sys.argv[1:]]
    failed = 0
    for test in chosen:
        try:
            test()
            print(f"ok {test.__name__}", flush=True)
        except Exception:  # whatever it was, the others run
            failed += 1
            print(f"FAILED {test.__name__}\n{traceback.format_exc()}", flush=True)
    print(f"{len(chosen) - failed} passed, {failed} failed")
    return 1 if failed or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
