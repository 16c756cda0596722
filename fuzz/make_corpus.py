#!/usr/bin/python3
"""make_corpus - writes the seed corpora of fuzz/corpus from the vectors and from a few texts by hand.

Usage: fuzz/make_corpus.py     (from anywhere; what a corpus folder holds of its own stays, unless it has the same name)
Needs the openssl command for requests, certificates and signatures.
"""
import base64
import hashlib
import json
import pathlib
import re
import subprocess
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
VECTORS = ROOT / "tests/vectors/srup-v5"
CORPUS = ROOT / "fuzz/corpus"
A_CORPUS_MAX, A_FILE_MAX = 60, 4096
IDS = ("1", "2a", "d1", "fedcba9876543210")
TOPICS = ("SRUP/{0}", "SRUP/{0}/#", "SRUP/+", "SRUP/servers/{0}/+", "SRUP/servers/{0}/#", "SRUP/servers/{0}/{0}")
STRANGE_TOPICS = ("", "SRUP", "SRUP/", "SRUP//", "SRUP/0", "SRUP/01", "SRUP/D1", "SRUP/{device}", "SRUP/servers/5e",
                  "SRUP/servers/5e/d1/", "SRUP/12345678901234567", "#", "+/+", "$SYS/#", "$share/x/SRUP/+",
                  "$CONTROL/holdfast/v1", "$CONTROL/holdfast/v1/", "$holdfast/v1/events")
HEAD = "holdfast-table 1 7\nput 5e server joined -\nput a1 device joined 5e\nput b2 device registered -\nend 3\n"
TABLES = {
    "snapshot": HEAD + "\0\0",
    "journal": HEAD + "\0holdfast-journal 1 7\ndel b2\nput c3 device joined 5e\nrevoke a1\n\0put d4 reference joined -\n",
    "torn": HEAD + "\0holdfast-journal 1 7\nrevoke a1\nput c3 dev\0del a1\n",
    "other-generation": HEAD + "\0holdfast-journal 1 6\nrevoke a1\nput e5 server joined -\n\0revoke b2\n",
    "fill": HEAD + "\0\0reset\nput 5e server joined -\nput a1 device joined 5e\ncommit 8\n",
    "empty": "\0\0reset\ncommit 1\n",
    "bad-count": HEAD.replace("end 3", "end 4") + "\0\0put a1 device registered -\n",
    "bad-line": HEAD + "\0\0put A1 device joined 5e\nput a1 device joined\nrevoke 0\ncommit 18446744073709551616\n",
}
PROFILES = {
    "least": '{"name":"a"}',
    "all": '{"name":"box","vendor":"v","join":{"simple":"accept","moderated":"refuse"},"actions":[{"id":0,"name":"on",'
           '"dangerous":true},{"id":255,"name":"off"}],"data":[{"id":"T","kind":"double","unit":"C","from":"device"},'
           '{"id":"L","kind":"int32","from":"server","min":-1,"max":2.5}],"heartbeat_s":60,"certificate_days":90}',
    "twice": '{"name":"a","actions":[{"id":1,"name":"x"},{"id":1,"name":"y"}]}',
    "wrong": '{"name":"a/b","join":{"simple":7},"data":{},"certificate_days":0}',
    "list": "[1,2,3]",
    "broken": '{"name":"\\ud800',
}


# Bodies of the routes that take one, by handler; what KeyEx takes is made below.
BODIES = {
    "join_approve": '{"compared":true}',
    "action": '{"action":1}',
    "data_send": '{"data":"LIMIT","value":1.5,"kind":"double"}',
    "type_put": PROFILES["all"].replace("box", "airmonitor"),
    "token_new": '{"name":"n","role":"viewer","scope":"all","days":1}',
}
PLACES = {"{device}": "d1", "{id}": "d1", "{command}": "1", "{type}": "airmonitor", "{token}": "1", "{alert}": "1"}
ADMIN = "Authorization: Bearer @admin\n\n"
STRANGE_REQUESTS = {
    "no-token": "GET /api/v1/status\n\n",
    "another-token": "GET /api/v1/status\nAuthorization: Bearer hft_" + "0" * 64 + "\n\n",
    "token-of-one-device": "GET /api/v1/devices/d1\nAuthorization: Bearer @device\n\n",
    "token-of-another-device": "POST /api/v1/devices/d3/revoke\nAuthorization: Bearer @device\n\n",
    "enrolment-path": "GET /e//healthz\n\n",
    "slashes": "GET //KeyEx/register/status\n\n",
    "escapes": "GET /api/v1/devices/%64%31%00\n" + ADMIN,
    "dots": "GET /api/v1/../healthz\n" + ADMIN,
    "two-lengths": "POST /api/v1/tokens\nContent-Length: 2\nContent-Length: 3\n" + ADMIN + "{}",
    "no-object": "POST /api/v1/tokens\n" + ADMIN + "[]",
    "query": "GET /api/v1/devices/d1/data?series=NOTE&since_ms=0&until_ms=9&after=0&limit=5&wait_ms=1\n" + ADMIN,
    "numbers": "GET /api/v1/devices/d1/data?since_ms=-1&limit=18446744073709551616&after=\n" + ADMIN,
    "choice": "GET /api/v1/devices?state=joined&type=airmonitor\n" + ADMIN,
    "events": "GET /api/v1/events?device=d1&limit=3\n" + ADMIN,
    "export": "GET /api/v1/export?format=csv&type=airmonitor\n" + ADMIN,
    "wait": "GET /api/v1/commands/1?wait_ms=1000\n" + ADMIN,
    "code": "POST /api/v1/devices/d3/join/approve\n" + ADMIN + '{"code":"00112233445566778899aabbccddeeff"}',
}
TOKEN_END_S = 4102444800


def slug(text):
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:40] or "plain"


def write(corpus, files):
    """Files by name; the same bytes are written once."""
    folder, seen = CORPUS / corpus, set()
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in list(files.items()):
        if content not in seen and len(content) <= A_FILE_MAX and len(seen) < A_CORPUS_MAX:
            (folder / name).write_bytes(content)
            seen.add(content)
    print(f"{corpus}: {len(seen)} files")


def vectors():
    with open(VECTORS / "visible.jsonl", encoding="ascii") as lines:
        return [json.loads(line) for line in lines]


def wire(rows):
    """The shortest message of each type, and one of each way to be wrong."""
    files = {}
    for row in sorted(rows, key=lambda row: (len(row["message"]), row["id"])):
        good = row["expect"] == "accept"
        name = f"{slug(row['type'])}-ok" if good else slug(row.get("note", row["stage"]))
        if row["message"]:
            files.setdefault(name, bytes.fromhex(row["message"]))
    good_first = sorted(files, key=lambda name: (not name.endswith("-ok"), name))
    return {name: files[name] for name in good_first}


def envelopes(rows):
    """What lies in the envelope fields: of good messages by length, of damaged ones by what is damaged."""
    files = {}
    for row in rows:
        sealed = row.get("fields", {}).get("encrypted")
        if row["expect"] == "accept" and sealed:
            files.setdefault(f"good-{len(sealed) // 2}", bytes.fromhex(sealed))
        elif row.get("stage") == "decrypt" and row["type"] == "SYND_REQUEST":  # head, token, signature, one envelope
            message = bytes.fromhex(row["message"])
            at = 20 + int.from_bytes(message[18:20], "big")
            at += 2 + int.from_bytes(message[at:at + 2], "big") + 2
            files.setdefault(slug(row["note"]), message[at:])
    return files


def openssl(*arguments):
    return subprocess.run(("openssl", *arguments), check=True, capture_output=True).stdout


def requests():
    files = {}
    for name, digest in (("vis-a", "sha256"), ("vis-b", "sha512"), ("vis-c3072", "sha1")):
        key = str(VECTORS / f"{name}.key.pem")
        request = ("req", "-new", "-key", key, f"-{digest}", "-subj", "/C=UK/O=SRUP_DEVICE/CN=2a")
        files[f"rsa-{digest}"] = openssl(*request)
        files[f"rsa-{digest}-der"] = openssl(*request, "-outform", "DER")
    files["not-a-request"] = (VECTORS / "vis-a.pub.pem").read_bytes()
    files["cut"] = files["rsa-sha256"][:300]
    return files


def key_bodies():
    files = {"empty": b"", "not-base64": b"????", "not-a-key": base64.b64encode(b"\x30\x03\x02\x01\x05")}
    for path in sorted(VECTORS.glob("*.pub.pem")):
        lines = path.read_text().strip().splitlines()
        files[path.name.split(".")[0]] = "".join(lines[1:-1]).encode()
        files[path.name.split(".")[0] + "-lines"] = "\n".join(lines[1:-1]).encode()
    return files


def signed(name, text):
    """RSASSA-PSS as KeyEx wants it, base64."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(text)
        file.flush()
        return base64.b64encode(openssl("dgst", "-sha256", "-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:max",
                                        "-sign", str(VECTORS / f"{name}.key.pem"), file.name)).decode()


def server_token(identity, name):
    """What lets a C2 server with that key register at a KeyEx whose key is vis-r."""
    der = openssl("pkey", "-pubin", "-in", str(VECTORS / f"{name}.pub.pem"), "-outform", "DER")
    text = f"HOLDFAST server token\0{identity}\0{TOKEN_END_S}\0".encode() + hashlib.sha256(der).digest()
    return f"hf1.{identity}.{TOKEN_END_S}.{signed('vis-r', text)}"


def keyex_bodies():
    """Good ones for what fuzz_http.c has: d4 with key vis-c3072 has proven it, vis-b is new."""
    key = key_bodies()["vis-b"].decode()
    csr = openssl("req", "-new", "-key", str(VECTORS / "vis-b.key.pem"), "-sha256", "-subj", "/CN=d4")
    register = {"identity": "e1", "key": key, "type": "airmonitor"}
    validate = {"identity": "d4", "signature": signed("vis-c3072", b"d4")}
    access = {"identity": "d4", "csr": base64.b64encode(csr).decode(), "signature": signed("vis-c3072", csr)}
    server = {"identity": "5f", "key": key, "signature": server_token("5f", "vis-b")}
    return {"keyex_register": register, "keyex_validate": validate, "keyex_access": access, "keyex_c2": server}


def http():
    """Each route with what it needs, then requests that are odd."""
    bodies = BODIES | {handler: json.dumps(body) for handler, body in keyex_bodies().items()}
    files = {}
    rows = re.findall(r'^ROUTE\("(\w+)", "([^"]+)", (\w+),', (ROOT / "server/api/routes.def").read_text(), re.M)
    for method, pattern, handler in rows:
        path = re.sub(r"\{\w+\}", lambda place: PLACES.get(place[0], "1"), pattern)
        files.setdefault(slug(handler), f"{method} {path}\n{ADMIN}{bodies.get(handler, '')}".encode())
    return {name: text.encode() for name, text in STRANGE_REQUESTS.items()} | files


def pem():
    files = {path.name: path.read_bytes() for path in sorted(VECTORS.glob("vis-[ac]*.pem"))}
    with tempfile.TemporaryDirectory() as folder:
        key, cert = f"{folder}/key", f"{folder}/cert"
        files["p256"] = openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout")
        pathlib.Path(key).write_bytes(files["p256"])
        files["p256-pkcs8"] = openssl("pkcs8", "-topk8", "-nocrypt", "-in", key)
        files["p256-public"] = openssl("pkey", "-in", key, "-pubout")
        files["p256-public-der"] = openssl("pkey", "-in", key, "-pubout", "-outform", "DER")
        files["certificate"] = openssl("req", "-x509", "-key", key, "-subj", "/CN=2a", "-days", "30000", "-addext",
                                       "subjectAltName=DNS:localhost,IP:127.0.0.1")
        pathlib.Path(cert).write_bytes(files["certificate"])
        files["certificate-der"] = openssl("x509", "-in", cert, "-outform", "DER")
    files["bundle"] = files["certificate"] + files["certificate"]
    files["key-and-certificate"] = files["p256"] + files["certificate"]
    files["crlf"] = files["certificate"].replace(b"\n", b"\r\n")
    files["token"] = server_token("5e", "vis-a").encode()
    files["locked"] = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n"
    return files


def fields(rows):
    """A short message of each type, its fields in the order of fuzz_fields.c."""
    files = {}
    for number, name in enumerate(re.findall(r"^MSG0?\((\w+),", (ROOT / "lib/wire/messages.def").read_text(), re.M)):
        files[slug(name)] = bytes([number]) + bytes(range(16)) + b"\0\x01t" + b"\0\x02ab" * 40
    assert len(files) == len({row["type"] for row in rows if row["expect"] == "accept"})
    return files


def lines(rows):
    """Lines for decode and for encode, of the vectors."""
    files = {}
    for row in sorted(rows, key=lambda row: len(row["message"])):
        accepted = row["expect"] == "accept"
        name = f"{slug(row['type'])}-{'ok' if accepted else row.get('stage')}"
        if row["type"] in ("GENERIC", "ACTION", "DATA", "SYND_REQUEST", "HM_JOIN_RESP", "SYND_DEV_LIST"):
            files.setdefault(name, (json.dumps(row) + "\n").encode())
    files["sealed-here"] = (b'{"type":"HM_JOIN_RESP","key":"vis-a","recipient_key":"vis-r","plaintext":"6162","fields":'
                            b'{"sequence_id":"1","sender_id":"000000000000002a","token":"74"}}\n')
    files["hex"] = rows[1]["message"].encode() + b"\r\n \n0\nzz\n{}\n[]\n"
    return files


def main():
    rows = vectors()
    write("wire", wire(rows))
    write("envelope", envelopes(rows))
    topics = [pattern.format(text) for pattern in TOPICS for text in IDS] + list(STRANGE_TOPICS)
    write("topics", {f"{number:02}-{slug(text)}": text.encode() for number, text in enumerate(topics)})
    write("table", {name: text.encode() for name, text in TABLES.items()})
    write("profile", {name: text.encode() for name, text in PROFILES.items()})
    write("csr", requests())
    write("keybody", key_bodies())
    write("http", http())
    write("pem", pem())
    write("fields", fields(rows))
    write("lines", lines(rows))


if __name__ == "__main__":
    main()
