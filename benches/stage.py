"""stage - what the benchmarks with real processes share: a universe in a temporary folder, clients with ready-made
keys, CPU times, rows. Not a benchmark: it is not executable. Uses ../tests/py/srup5.py and ../tests/py/peer_base.py.
"""
import argparse
import concurrent.futures
import ctypes
import http.client
import json
import os
import pathlib
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time

from cryptography.hazmat.primitives.asymmetric import rsa

TOP = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(TOP / "tests/py"))

# pylint: disable=wrong-import-position
import srup5  # noqa: E402
from peer_base import b64_mime, make_csr, unb64  # noqa: E402

BIN = pathlib.Path(os.environ.get("HOLDFAST_BIN", TOP / "build/release/bin"))
PORT_BASE = int(os.environ.get("HOLDFAST_PORT_BASE", "19000"))
HTTPS_PORT, MQTT_PORT = PORT_BASE + 443, PORT_BASE + 883  # of the only or first universe
CACHE = TOP / "build/bench/identities.json"
DEADLINE_S = 30


# ---- rows --------------------------------------------------------------------------------------

def options(description):
    """--json, --smoke, --help."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="one object a line")
    parser.add_argument("--smoke", action="store_true", help="a short run: does it still work?")
    return parser.parse_args()


def row(bench, case, unit, ours, target=None, below=False):
    """A row without peer; met if ours <= target, with below if ours < target, null without target."""
    met = None if target is None else ours < target if below else ours <= target
    return {"bench": bench, "case": case, "unit": unit, "ours": round(ours, 3), "peer": None, "ratio": None,
            "target": target, "met": met}


def pair(bench, case, unit, ours, peer, target=None, most=False):
    """A row with peer; met if ours / peer >= target, with most if <= target, null without target."""
    ratio = ours / peer if peer else None
    met = None if target is None or ratio is None else ratio <= target if most else ratio >= target
    return {"bench": bench, "case": case, "unit": unit, "ours": round(ours, 3), "peer": round(peer, 3),
            "ratio": None if ratio is None else round(ratio, 4), "target": target, "met": met}


def show(rows, as_json, notes):
    """notes: case -> what the row says, in one line."""
    if as_json:
        for each in rows:
            print(json.dumps(each))
        return
    print(f"{'case':22}{'ours':>10}{'peer':>10}{'ratio':>8}  {'unit':11}{'target':>7}")
    for each in rows:
        verdict = {True: "met", False: "MISSED", None: "-"}[each["met"]]
        shown = ["-" if each[key] is None else f"{each[key]:.4g}" if key == "ratio" else f"{each[key]:.6g}"
                 for key in ("ours", "peer", "ratio", "target")]
        print(f"{each['case']:22}{shown[0]:>10}{shown[1]:>10}{shown[2]:>8}  {each['unit']:11}{shown[3]:>7}  "
              f"{verdict:7} {notes[each['case']]}")


# ---- clients' keys -----------------------------------------------------------------------------

def make_identity(_number=0):
    """What a client of the reference kind has before it asks: id, two RSA-2048 keys, CSR, its two signatures."""
    identity, key, access = srup5.id_text(srup5.new_id()), *(rsa.generate_private_key(65537, 2048) for _ in range(2))
    csr = make_csr(identity, access)
    return {"id": identity, "key": srup5.private_pem(key).decode(), "access": srup5.private_pem(access).decode(),
            "body": srup5.key_body(srup5.public_pem(key)), "csr": b64_mime(csr),
            "proof": b64_mime(srup5.sign_pss(identity.encode(), key)), "csr_proof": b64_mime(srup5.sign_pss(csr, key))}


def identities(count):
    """So many clients; made once, since that takes longer than the benchmark. To a new universe their ids are new."""
    have = json.loads(CACHE.read_text("ascii")) if CACHE.exists() else []
    if len(have) < count:
        print(f"making {count - len(have)} pairs of keys, once, in {CACHE.relative_to(TOP)}", file=sys.stderr)
        with concurrent.futures.ProcessPoolExecutor() as pool:
            have += pool.map(make_identity, range(count - len(have)), chunksize=4)
        CACHE.parent.mkdir(parents=True, exist_ok=True)
        part = CACHE.with_suffix(f".{os.getpid()}")
        with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="ascii") as file:
            json.dump(have, file)
        part.replace(CACHE)
    return have[:count]


# ---- HTTP --------------------------------------------------------------------------------------

class Https:
    """Requests to the universe; keep=True: on one connection, else each on its own."""

    def __init__(self, ca_file, keep, token=None, port=HTTPS_PORT):
        self.context, self.port = ssl.create_default_context(cafile=str(ca_file)), port
        self.keep, self.link = keep, None
        self.headers = {"Content-Type": "application/json"}
        if token:
            self.headers["Authorization"] = f"Bearer {token}"

    def ask(self, method, path, wanted, body=None):
        """The reply's JSON; RuntimeError unless the status is the wanted one."""
        self.link = self.link or http.client.HTTPSConnection("localhost", self.port, context=self.context,
                                                             timeout=DEADLINE_S)
        headers = self.headers if self.keep else {**self.headers, "Connection": "close"}
        self.link.request(method, path, None if body is None else json.dumps(body), headers)
        reply = self.link.getresponse()
        text = reply.read()
        if not self.keep:
            self.close()
        if reply.status != wanted:
            raise RuntimeError(f"{method} {path}: {reply.status} {text[:200]!r}")
        return json.loads(text)

    def close(self):
        """The next request opens a new connection."""
        if self.link:
            self.link.close()
            self.link = None


def enrol(https, client, device_type):
    """A whole version-5 enrolment, four requests; server id, and the PEM of certificate and broker CA."""
    https.ask("GET", "/KeyEx/register/status", 200)
    body = {"identity": client["id"], "key": client["body"], "type": device_type}
    server = https.ask("POST", "/KeyEx/register/register", 201, body)["default_c2"]
    https.ask("POST", "/KeyEx/register/validate", 200, {"identity": client["id"], "signature": client["proof"]})
    body = {"identity": client["id"], "csr": client["csr"], "signature": client["csr_proof"]}
    reply = https.ask("POST", "/KeyEx/register/access", 200, body)
    return server, unb64(reply["certificate"]), unb64(reply["CA_certificate"])


# ---- processes ---------------------------------------------------------------------------------

def die_with_parent():
    """For children: a benchmark that is killed leaves nothing behind."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG


def cpu_ns(pid):
    """CPU time of a process, user and system, in nanoseconds."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text("ascii").split()[0])
    return total


class Universe:
    """A new universe in a temporary folder, running; a context manager. prepare(universe) is called before the start; config:
    further lines of holdfast.conf; port_base: for a second one."""

    def __init__(self, prepare=None, config="", port_base=PORT_BASE):
        self.prepare, self.config = prepare, f"port_base = {port_base}\n{config}"
        self.https_port, self.mqtt_port = port_base + 443, port_base + 883
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="holdfast-bench-"))
        self.keys, self.process = self.folder / "keys", None
        self.web_ca = self.keys / "web_ca.crt"

    def keygen(self, *words):
        """holdfast keygen."""
        subprocess.run([BIN / "holdfast", "keygen", *words], check=True, stdout=subprocess.DEVNULL)

    def __enter__(self):
        try:
            self.keygen("universe", self.keys, "--name", "localhost")
            self.keygen("c2", "main", "--universe", self.keys)
            (self.folder / "holdfast.conf").write_text(self.config, "ascii")
            if self.prepare:
                self.prepare(self)
            with open(self.folder / "out", "wb") as out:
                command = [BIN / "holdfastd", "--config", self.folder / "holdfast.conf"]
                environment = {k: v for k, v in os.environ.items() if k != "HOLDFAST_PORT_BASE"}  # the file counts
                self.process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL,
                                                env=environment, start_new_session=True, preexec_fn=die_with_parent)
            self._wait_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait_up(self):
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end and self.process.poll() is None:
            try:
                self.admin = self.https(keep=True, token=(self.folder / "admin.token").read_text("ascii").strip())
                if self.admin.ask("GET", "/api/v1/status", 200)["broker"]["up"]:
                    return
            except (OSError, RuntimeError, ValueError):
                pass
            time.sleep(0.1)
        raise RuntimeError("the server is not up:\n" + (self.folder / "out").read_text()[-2000:])

    def __exit__(self, *_):
        if self.process:
            self.process.terminate()
            try:
                self.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder)

    def https(self, keep, token=None):
        """See Https."""
        return Https(self.web_ca, keep, token, self.https_port)

    @property
    def server_id(self):
        """The id of its C2 server."""
        return (self.keys / "c2/main/c2_server.id").read_text("ascii").strip()

    def children(self):
        """Names of the processes and their ids."""
        found = {}
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                name, rest = path.read_text().split("(", 1)[1].rsplit(")", 1)
            except OSError:
                continue
            if int(rest.split()[1]) == self.process.pid:
                found[name] = int(path.parent.name)
        return found
