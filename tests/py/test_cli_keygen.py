"""What holdfast keygen makes, judged by the openssl command. Uses: cli_bench, openssl, HOLDFAST_BIN."""
import base64
import hashlib
import json
import os
import stat
import subprocess
import sys

from cli_bench import (DONE, MISSING, REFUSED, ROOM, USAGE, VECTORS, as_unittest, case, expect, path, run_cases,
                       universe)

PRIVATE = ["keyex.pem", "broker_ca.key", "broker.key", "web_ca.key", "web.key"]
PUBLIC = ["keyex_pub.pem", "keyex.id", "broker_ca.crt", "broker.crt", "web_ca.crt", "web.crt", "MANIFEST"]
C2_PRIVATE = ["c2_server.pem", "c2_server.key"]
C2_PUBLIC = ["c2_server_pub.pem", "c2_server.id", "c2_server.stk", "c2_server.crt", "MANIFEST"]


def openssl(*args):
    p = subprocess.run(["openssl", *args], capture_output=True, timeout=60)
    assert p.returncode == 0, (args, p.stderr)
    return p.stdout.decode()


def modes(folder):
    return {name: stat.S_IMODE(os.lstat(os.path.join(folder, name)).st_mode) for name in os.listdir(folder)}


@case
def keygen_files_and_permissions():
    folder = universe()
    c2 = os.path.join(folder, "c2", "main")
    expected = {**{name: 0o600 for name in PRIVATE}, **{name: 0o644 for name in PUBLIC}, "c2": 0o700}
    assert modes(folder) == expected, modes(folder)
    assert modes(c2) == {**{name: 0o600 for name in C2_PRIVATE}, **{name: 0o644 for name in C2_PUBLIC}}
    assert all(stat.S_IMODE(os.stat(d).st_mode) == 0o700 for d in (folder, c2))
    assert not [name for name in os.listdir(ROOM.name) if ".tmp-" in name]


@case
def keygen_certificates_by_openssl():
    folder = universe()
    for kind, chain in (("broker", 1), ("web", 2)):
        ca, cert, key = (os.path.join(folder, kind + tail) for tail in ("_ca.crt", ".crt", ".key"))
        openssl("verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", "pump.example.org", "-CAfile",
                ca, cert)
        openssl("verify", "-verify_ip", "192.0.2.7", "-CAfile", ca, cert)
        text = openssl("x509", "-in", cert, "-noout", "-text")
        for part in ("DNS:pump.example.org, IP Address:192.0.2.7, DNS:localhost, "
                     "IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1",
                     "TLS Web Server Authentication", "CA:FALSE", "X509v3 Basic Constraints: critical"):
            assert part in text, (part, text)
        assert "TLS Web Client" not in text
        assert openssl("x509", "-in", cert, "-noout", "-pubkey") == openssl("pkey", "-in", key, "-pubout")
        assert openssl("x509", "-in", ca, "-noout", "-checkend", str(1800 * 86400))
        with open(cert, encoding="ascii") as f:
            assert f.read().count("BEGIN CERTIFICATE") == chain
    assert "Private-Key: (2048 bit" in openssl("rsa", "-in", os.path.join(folder, "keyex.pem"), "-noout", "-text")


@case
def keygen_c2_by_openssl():
    folder = universe()
    c2 = os.path.join(folder, "c2", "main")
    with open(os.path.join(c2, "c2_server.id"), encoding="ascii") as f:
        name = f.read()
    assert name.endswith("\n") and 1 <= len(name.strip()) <= 16 and name[0] in "123456789abcdef"
    cert = os.path.join(c2, "c2_server.crt")
    openssl("verify", "-x509_strict", "-purpose", "sslclient", "-CAfile", os.path.join(folder, "broker_ca.crt"), cert)
    assert openssl("x509", "-in", cert, "-noout", "-subject").strip().endswith("CN = " + name.strip())
    assert "TLS Web Server" not in openssl("x509", "-in", cert, "-noout", "-text")


@case
def keygen_token_by_openssl():
    """K7: what the token signs, rebuilt here and checked by the openssl command with the maximum salt."""
    folder = universe()
    c2 = os.path.join(folder, "c2", "main")
    with open(os.path.join(c2, "c2_server.stk"), encoding="ascii") as f:
        version, name, expiry, signature = f.read().rstrip("\n").split(".", 3)
    der = subprocess.run(["openssl", "pkey", "-pubin", "-in", os.path.join(c2, "c2_server_pub.pem"), "-outform",
                          "DER"],
                         capture_output=True, check=True).stdout
    with open(path("token.signed"), "wb") as f:
        f.write(b"\0".join([b"HOLDFAST server token", name.encode(), expiry.encode(), hashlib.sha256(der).digest()]))
    with open(path("token.signature"), "wb") as f:
        f.write(base64.b64decode(signature, validate=True))
    openssl("dgst", "-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:222", "-verify",
            os.path.join(folder, "keyex_pub.pem"), "-signature", path("token.signature"), path("token.signed"))
    assert version == "hf1"


@case
def keygen_never_overwrites():
    folder = universe()
    before = {name: open(os.path.join(folder, name), "rb").read() for name in PRIVATE}
    expect(REFUSED, "keygen", "universe", folder, says="is not empty")
    expect(REFUSED, "keygen", "universe", folder + "/", says="nothing was changed")
    expect(REFUSED, "keygen", "c2", "main", "--universe", folder, says="is not empty")
    expect(REFUSED, "keygen", "universe", os.path.join(folder, "keyex.pem"), says="no folder")
    assert before == {name: open(os.path.join(folder, name), "rb").read() for name in PRIVATE}
    os.makedirs(path("one"))
    open(path("one", "note"), "w", encoding="ascii").close()
    expect(REFUSED, "keygen", "universe", path("one"), says="note is there")
    assert os.listdir(path("one")) == ["note"]
    assert not [name for name in os.listdir(ROOM.name) if ".tmp-" in name]


@case
def keygen_takes_an_empty_folder():
    os.makedirs(path("empty"))
    expect(DONE, "keygen", "universe", path("empty") + "/", says="MANIFEST")
    assert sorted(os.listdir(path("empty"))) == sorted(PRIVATE + PUBLIC)
    assert stat.S_IMODE(os.stat(path("empty")).st_mode) == 0o700


@case
def keygen_refuses_bad_names():
    for name in ("a b", "a,DNS:b", "", "https://x", "h\u00f6"):
        expect(USAGE, "keygen", "universe", path("bad"), "--name", name, says="no host name")
    for name in ("../x", "", "A", "x" * 33, "a/b", "."):
        expect(USAGE, "keygen", "c2", name, "--universe", universe(), says="a server's name")
    expect(USAGE, "keygen", "c2", "x", says="--universe")
    expect(MISSING, "keygen", "c2", "x", "--universe", path("nowhere"), says="cannot be read")
    expect(REFUSED, "keygen", "universe", path("no", "such", "parent"), says="cannot be made")
    assert not os.path.exists(path("bad"))


@case
def keygen_show():
    expect(DONE, "keygen", "universe", path("shown"))
    expect(DONE, "keygen", "c2", "main", "--universe", path("shown"))
    for name, mode in (("web.key", 0o640), ("keyex.id", 0o666)):
        os.chmod(path("shown", name), mode)
    os.unlink(path("shown", "broker.crt"))
    with open(path("shown", "web.crt"), "w", encoding="ascii") as f:
        f.write("no certificate")
    out = expect(DONE, "keygen", "--show", path("shown"))
    rows = {row["file"]: row for row in json.loads(expect(DONE, "keygen", "--show", path("shown"),
                                                          "--json"))["files"]}
    assert len(rows) == 19 and all(row["purpose"] and row["purpose"] in out for row in rows.values())
    states = {name: row["state"] for name, row in rows.items() if row["state"] != "ok"}
    assert states == {"web.key": "TOO OPEN: chmod 600", "keyex.id": "TOO OPEN: chmod 644", "broker.crt": "MISSING",
                      "web.crt": "DAMAGED"}
    assert rows["broker_ca.crt"]["ends"].startswith("20") and rows["c2/main/c2_server.stk"]["ends"].startswith("20")
    assert rows["web_ca.key"]["paper"] == "web_ca.key" and rows["keyex.id"]["paper"] == "-"
    expect(DONE, "keygen", "--show", path("shown", "c2", "main"), says="c2_server.stk")
    expect(MISSING, "keygen", "--show", path("nowhere"))
    expect(MISSING, "keygen", "--show", VECTORS, says="holds no keys")
    with open(path("shown", "MANIFEST"), encoding="ascii") as f:
        manifest = f.read()
    assert all(name in manifest for name in PRIVATE + PUBLIC) and "eight" in manifest


@case
def keygen_renews_certificates():
    folder = universe()
    for kind in ("web", "broker"):
        ca, cert, key = (os.path.join(folder, kind + tail) for tail in ("_ca.crt", ".crt", ".key"))
        before = [openssl("x509", "-in", cert, "-noout", part) for part in ("-serial", "-pubkey")]
        names = openssl("x509", "-in", cert, "-noout", "-ext", "subjectAltName")
        expect(DONE, "keygen", kind, folder, says="is good until")
        after = [openssl("x509", "-in", cert, "-noout", part) for part in ("-serial", "-pubkey")]
        assert after[0] != before[0] and after[1] == before[1]
        assert openssl("x509", "-in", cert, "-noout", "-ext", "subjectAltName") == names
        openssl("verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", ca, cert)
        expect(DONE, "keygen", kind, folder, "--name", "new.example.org", says="new.example.org localhost")
        openssl("verify", "-verify_hostname", "new.example.org", "-CAfile", ca, cert)
        assert stat.S_IMODE(os.stat(cert).st_mode) == 0o644 and stat.S_IMODE(os.stat(key).st_mode) == 0o600
    expect(USAGE, "keygen", "web", folder, "--name", "no host", says="is no host name")
    os.unlink(os.path.join(folder, "web_ca.key"))
    expect(MISSING, "keygen", "web", folder, says="web_ca.key cannot be read")


Cases = as_unittest()

if __name__ == "__main__":
    sys.exit(run_cases())
