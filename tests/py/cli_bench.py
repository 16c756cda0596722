"""What the test_cli files need: a runner, the program, and a server on loopback that answers as it is told."""
import http.server
import json
import os
import ssl
import subprocess
import tempfile
import threading
import traceback
import unittest

CASES = []


def case(function):
    """A test; its name is printed when it passes."""
    CASES.append(function)
    return function


def as_unittest():
    """The cases as a class for those who run all tests of the folder with unittest."""
    methods = {"test_" + function.__name__: (lambda self, run=function: run()) for function in CASES}
    return type("Cases", (unittest.TestCase,), methods)


def run_cases():
    failed = 0
    for function in CASES:
        try:
            function()
            print("ok", function.__name__, flush=True)
        except Exception:  # a case that dies for whatever reason has failed
            failed += 1
            print("FAIL", function.__name__, traceback.format_exc(), flush=True)
    print(f"{len(CASES) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


HERE = os.path.dirname(os.path.abspath(__file__))
VECTORS = os.path.join(os.path.dirname(HERE), "vectors", "srup-v5")
BIN = os.environ.get("HOLDFAST_BIN", os.path.join(HERE, "..", "..", "build", "release", "bin"))
PROGRAM = os.path.abspath(os.path.join(BIN, "holdfast"))
ROOM = tempfile.TemporaryDirectory(prefix="holdfast-cli-")
DONE, REFUSED, USAGE, MISSING, UNCONFIRMED, UNREACHABLE = range(6)


def environment(**more):
    """No configuration of whoever runs the tests."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("HOLDFAST_")}
    env.update(HOME=ROOM.name, **more)
    return env


def holdfast(*args, stdin=b"", env=None):
    """Runs the program; gives its exit code, stdout and stderr."""
    p = subprocess.run([PROGRAM, *args], input=stdin, capture_output=True, env=env or environment(), timeout=60)
    return p.returncode, p.stdout.decode(), p.stderr.decode()


def expect(code, *args, says="", **more):
    """Runs it, checks the exit code and that it says something; gives what it printed."""
    got, out, err = holdfast(*args, **more)
    assert got == code, f"{args}: exit {got}, not {code}: {out}{err}"
    assert says in out + err, f"{args}: {says!r} is not in: {out}{err}"
    assert "runtime error" not in err and "Sanitizer" not in err, err
    return out


def path(*names):
    return os.path.join(ROOM.name, *names)


def universe():
    """The key folder that the cases share, with a C2 server main."""
    folder = path("keys")
    if not os.path.isdir(folder):
        expect(DONE, "keygen", "universe", folder, "--name", "pump.example.org", "--name", "192.0.2.7")
        expect(DONE, "keygen", "c2", "main", "--universe", folder)
    return folder


class Server:
    """An HTTPS server. replies: (method, path without query) -> list of (status, document), the last one repeats."""

    def __init__(self, replies):
        self.replies = replies
        self.calls = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def answer(self):
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.calls.append((self.command, self.path, body.decode(), self.headers.get("Authorization")))
                queue = server.replies.get((self.command, self.path.split("?")[0]),
                                           [(404, {"error": "NOT_FOUND", "message": "there is no such thing"})])
                status, document = queue.pop(0) if len(queue) > 1 else queue[0]
                text = document if isinstance(document, bytes) else json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(os.path.join(universe(), "web.crt"), os.path.join(universe(), "web.key"))
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.url = f"https://localhost:{self.http.server_address[1]}"
        threading.Thread(target=self.http.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.http.shutdown()
        self.http.server_close()

    def config(self):
        """A client.conf for this server; relative paths mean beside it."""
        with open(path("keys.token"), "w", encoding="ascii") as f:
            f.write("hft_secret\n")
        with open(path("client.conf"), "w", encoding="ascii") as f:
            f.write(f"# test\nserver = {self.url}\nca = keys/web_ca.crt\ntoken_file = keys.token\n")
        return environment(HOLDFAST_CONFIG=path("client.conf"))

    def expect(self, code, *args, **more):
        return expect(code, *args, env=self.config(), **more)
