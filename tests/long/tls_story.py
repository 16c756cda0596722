#!/usr/bin/python3
"""tls_story - testssl.sh against each listener of a running universe. Some minutes long, so only ./check --long runs it.

HOLDFAST_BIN, HOLDFAST_PORT_BASE: as in the stories. Prints what testssl.sh found above OK, "ok NAME" for each listener that
passed; last line "N passed, N failed".
"""
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "stories"))
from universe import HTTPS, MQTT, Universe, run  # noqa: E402

PATIENCE_S = 1500
FINE = ("OK", "INFO", "LOW")
EXCEPTIONS = {
    "cert_revocation": "a private CA without CRL and OCSP: who is revoked is kept out by the broker's table",
}
OWN_TROUBLE = ("WARN", "DEBUG")  # what testssl.sh says of itself


def audit(universe, port, ca):
    """Fails on a finding above LOW that is no exception."""
    out = universe.dir / f"testssl-{port}.json"
    done = subprocess.run(["testssl", "--quiet", "--color", "0", "--warnings", "batch", "--add-ca", universe.keys / ca, "--jsonfile",
                           out, f"localhost:{port}"], capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE_S)
    findings = json.loads(out.read_text())
    assert len(findings) > 100, f"testssl.sh did not get far: {done.stdout[-2000:]}"
    bad = []
    for found in findings:
        name, severity = found["id"].split(" ")[0], found["severity"]
        if severity not in ("OK", "INFO"):
            print(f"  {port} {severity} {name}: {found['finding']}" + (f" ({EXCEPTIONS[name]})" if name in EXCEPTIONS else ""))
        if severity not in FINE + OWN_TROUBLE and name not in EXCEPTIONS:
            bad.append(name)
    assert not bad, bad


def main():
    with Universe() as universe:
        return run([("K9_testssl_https", lambda: audit(universe, HTTPS, "web_ca.crt")),
                    ("K9_testssl_mqtt", lambda: audit(universe, MQTT, "broker_ca.crt"))])


if __name__ == "__main__":
    sys.exit(main())
