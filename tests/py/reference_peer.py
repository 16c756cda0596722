"""Test stand-ins for the reference's own client: a device and a C2 server that behave as pySRUP does.

Uses peer_base.py, srup5.py and links.py.  "S5" .. "S9" name sections of the SRUP version 5 notes.
Faults of the reference that a peer can see are played too; each is named where it is made.
"""

import ast
import configparser
import hashlib
import http.client
import json
import pathlib
import ssl
import time
import urllib.error
import urllib.request

from cryptography.hazmat.primitives.asymmetric import rsa

import srup5
from links import MqttLink, client_context
from peer_base import Answer, KeyExClient, Peer, RestError, b64, b64_mime, make_csr, unb64
from srup5 import c_string, id_text

MQTT_PORT = 8883  # fixed in the reference (S7)
ANSWER_DELAY_S = 1.0  # what a handler sends leaves this much later (S7)
VALUE_DELAY_S = 0.5  # more of it before HM_JOIN_RESP and OBS_JOIN_RESP (S7)
SUBSCRIBE_DELAY_S = 1.0  # after a join command (S7)
SOFTWARE = "pySRUP version 2.0"  # default answer to ID_REQ (S9)


# ---- device ------------------------------------------------------------------------------------


class ReferenceDevice(Peer):
    """A device of the reference kind: register() or a saved config, connect(), then join.

    Callbacks, all optional, run in the network thread: on_action(action id), on_data(data id
    bytes, data bytes), on_value(32 hex digits), on_observe(joining id text, 32 hex digits) -> status
    or None for no answer, on_activate(path).
    status is the last join status received, joined says whether it was 0x50, value is the last
    identity-confirmation value.
    """

    HANDLERS = {
        "INIT": ("_on_init", True),
        "RESPONSE": ("_on_response", False),
        "ACTIVATE": ("_on_activate", True),
        "ACTION": ("_on_action", False),
        "DATA": ("_on_data", False),
        "ID_REQ": ("_on_id_req", False),
        "JOIN_CMD": ("_on_join_cmd", False),
        "HM_JOIN_RESP": ("_on_join_value", False),
        "OBS_JOIN_RESP": ("_on_join_value", False),
        "OBSERVE_REQ": ("_on_observe_req", False),
        "TERMINATE_CMD": ("_on_terminate", True),
        "DEREGISTER_CMD": ("_on_deregister", True),
    }

    def __init__(self, base_url, web_ca_file, state_dir, *, device_type="default", identity=None,
                 answer_delay_s=ANSWER_DELAY_S, mqtt_port=MQTT_PORT, download_ca_file=None):
        """state_dir keeps keys and config; a config found there is loaded.

        identity: id text to use instead of a random one; download_ca_file: the CA for update
        downloads, None for the system's.
        """
        super().__init__(KeyExClient(base_url, web_ca_file), answer_delay_s, mqtt_port)
        self.dir = pathlib.Path(state_dir)
        self.device_type = device_type
        self.wanted_identity = identity
        self.download_context = ssl.create_default_context(cafile=download_ca_file)
        self.update_path = self.dir / "update.bin"
        self.software = SOFTWARE
        self.server_id = None  # text; a program may set it
        self.access_key = None
        self.joined, self.status, self.value = False, None, None
        self.pending_update = None  # (sender id text, token)
        self.on_action = self.on_data = self.on_value = self.on_observe = self.on_activate = None
        self._join_kind = None
        if self.config_path.exists():
            self._load()

    # -- registration (S8)

    def new_identity(self):
        """Fresh id and RSA-2048 pairs: every attempt at registration starts so."""
        self.identity = self.wanted_identity or id_text(srup5.new_id())
        self.identity_key = rsa.generate_private_key(65537, 2048)
        self.access_key = None

    def register_body(self):
        key = srup5.key_body(srup5.public_pem(self.identity_key))
        return {"identity": self.identity, "key": key, "type": self.device_type}

    def validate_body(self):
        signature = srup5.sign_pss(self.identity.encode(), self.identity_key)
        return {"identity": self.identity, "signature": b64_mime(signature)}

    def access_body(self):
        """Makes the second RSA-2048 key, if there is none yet."""
        self.access_key = self.access_key or rsa.generate_private_key(65537, 2048)
        csr = make_csr(self.identity, self.access_key)
        signature = srup5.sign_pss(csr, self.identity_key)
        return {"identity": self.identity, "csr": b64_mime(csr), "signature": b64_mime(signature)}

    def register(self):
        """The whole registration; RestError or KeyError at the first step that fails, no config then."""
        self.new_identity()
        self.rest_status()
        self.rest_register()
        self.rest_validate()
        self.rest_access()
        self.save()

    def rest_status(self):
        """The reply is not acted on: an inactive KeyEx is asked all the same (S8)."""
        return json.loads(self.keyex.call("GET", "status", 200))

    def rest_register(self):
        """Exactly 201 with broker, default_c2 and key; key is filed under the default server."""
        reply = json.loads(self.keyex.call("POST", "register", 201, self.register_body()))
        self.broker, self.server_id = reply["broker"], reply["default_c2"]
        self.remote_keys[self.server_id] = unb64(reply["key"])

    def rest_validate(self):
        """The signature that KeyEx returns is ignored, as the reference does; the reply is returned."""
        return json.loads(self.keyex.call("POST", "validate", 200, self.validate_body()))

    def rest_access(self):
        """Get the broker certificate; writes the key files <short>.prv .pub .key .csr .crt .ca."""
        body = self.access_body()
        reply = json.loads(self.keyex.call("POST", "access", 200, body))
        files = {"prv": srup5.private_pem(self.identity_key), "pub": srup5.public_pem(self.identity_key),
                 "key": srup5.private_pem(self.access_key), "csr": unb64(body["csr"]),
                 "crt": unb64(reply["certificate"]), "ca": unb64(reply["CA_certificate"])}
        self.dir.mkdir(parents=True, exist_ok=True)
        for suffix, data in files.items():
            self.file(suffix).write_bytes(data)

    def fetch_key(self, identity):
        """Ask KeyEx for a server's key and file it."""
        self.remote_keys[identity] = self.keyex.get_key(identity)

    # -- config (S8)

    @property
    def config_path(self):
        return self.dir / "device.cfg"

    def file(self, suffix):
        """A key file of this device."""
        return self.dir / f"{srup5.short_name(self.identity)}.{suffix}"

    def save(self):
        """Write the config, counters too; apart from register() and activate nothing calls this."""
        config = configparser.ConfigParser(interpolation=None)
        config.optionxform = str
        config["Device"] = {"identity": self.identity, "registration_url": self.keyex.base_url,
                            "short_name": srup5.short_name(self.identity)}
        counters = {id_text(number): last for number, last in self.counters.items()}
        config["SRUP"] = {"broker": self.broker, "server_identity": self.server_id or "",
                          "Seq_IDs": repr(counters)}
        keys = {identity: b64(pem) for identity, pem in self.remote_keys.items()}
        config["Keys"] = {"local_public": self.file("pub"), "local_private": self.file("prv"),
                          "remote_keys": repr(keys)}
        config["Access"] = {"key": self.file("key"), "certificate": self.file("crt"),
                            "ca_certificate": self.file("ca")}
        with open(self.config_path, "w", encoding="utf-8") as file:
            config.write(file)

    def _load(self):
        config = configparser.ConfigParser(interpolation=None)
        config.read(self.config_path, encoding="utf-8")
        self.identity = config["Device"]["identity"]
        self.broker = config["SRUP"]["broker"]
        self.server_id = config["SRUP"]["server_identity"] or None
        counters = ast.literal_eval(config["SRUP"]["Seq_IDs"])
        self.counters = {int(peer, 16): last for peer, last in counters.items()}
        keys = ast.literal_eval(config["Keys"]["remote_keys"])
        self.remote_keys = {identity: unb64(text) for identity, text in keys.items()}
        self.identity_key = srup5.load_private(self.file("prv").read_bytes())
        self.access_key = srup5.load_private(self.file("key").read_bytes())

    # -- connection

    @property
    def topic(self):
        return f"SRUP/{self.identity}"

    def topics(self):
        return [self.topic]

    def tls_context(self):
        return client_context(self.file("ca"), self.file("crt"), self.file("key"))

    def link_as(self, client_id=None, **options):
        """Another MqttLink (not opened) with this device's certificate; options as MqttLink's."""
        client_id = f"SRUP Client: {self.identity}" if client_id is None else client_id
        host = self.broker.removeprefix("mqtt://")
        return MqttLink(host, self.mqtt_port, self.tls_context(), client_id, **options)

    # -- sending

    def send(self, name, token=None, **fields):
        """Build for the present server and publish on the own topic."""
        return self.publish(self.topic, self.build(name, self.server_id, token, **fields))

    def _join_message(self, name, **fields):
        topic = f"SRUP/servers/{self.server_id}/{self.identity}"
        return topic, self.build(name, self.server_id, **fields)

    def _start_join(self, kind):
        self._join_kind, self.joined, self.status, self.value = kind, False, None, None

    def send_simple_join(self):
        self._start_join("simple")
        return self.publish(*self._join_message("JOIN_REQ"))

    def send_human_join(self):
        """Asks KeyEx for the server's key first, as before every human or observed join (S8)."""
        self._start_join("human")
        self.fetch_key(self.server_id)
        return self.publish(*self._join_message("HM_JOIN_REQ"))

    def send_observed_join(self, observer):
        """observer: id text."""
        self._start_join("observed")
        self.fetch_key(self.server_id)
        return self.publish(*self._join_message("OBS_JOIN_REQ", observer_id=int(observer, 16)))

    def send_data(self, data_id, value):
        """data_id: text; value: int (int32), float (double) or str (UTF-8), see srup5.data_bytes()."""
        return self.send("DATA", data_id=data_id.encode(), data=srup5.data_bytes(value))

    def send_resign(self):
        """Forgets the server, keeps its key."""
        self.send("RESIGN_REQ")
        self.server_id, self.joined = None, False

    def send_deregister(self):
        """Forgets the server and its key."""
        self.send("DEREGISTER_REQ")
        self._forget_server()

    def wait_status(self, timeout_s=15):
        """The status byte of the next RESPONSE."""
        return self.expect("RESPONSE", timeout_s).fields["status"]

    def wait_value(self, timeout_s=15):
        """The 32 hex digits of the next HM_JOIN_RESP; None if the envelope could not be opened."""
        return self._open_value(self.expect("HM_JOIN_RESP", timeout_s))

    # -- receiving

    def subject(self, topic, header):
        return id_text(header.sender_id) if topic == self.topic else None

    def sender_allowed(self, message, peer):
        return peer == self.server_id or message.name == "JOIN_CMD"

    def find_key(self, name, peer):
        if name == "JOIN_CMD" and peer not in self.remote_keys:
            try:
                self.fetch_key(peer)
            except (RestError, OSError, ValueError):
                return None
        return self.remote_keys.get(peer)

    def _answer(self, name, peer, token=None, **fields):
        return Answer(self.topic, self.build(name, peer, token, **fields), 0)

    def _on_response(self, message, _peer):
        """The token is never checked and other statuses are ignored (S6)."""
        status = message.fields["status"]
        if status not in (srup5.JOIN_ACCEPTED, srup5.JOIN_REFUSED, srup5.JOIN_FAILED):
            return None
        self.joined, self.status = status == srup5.JOIN_ACCEPTED, status
        if status == srup5.JOIN_REFUSED and self._join_kind == "simple":
            return self._moderated_join()
        return None

    def _moderated_join(self):
        """The human-moderated join that follows 0x5E (S5)."""
        self._join_kind = "human"
        self.fetch_key(self.server_id)
        return Answer(*self._join_message("HM_JOIN_REQ"), 0)

    def _on_join_value(self, message, _peer):
        self.value = self._open_value(message)
        if self.on_value and self.value is not None:
            self.on_value(self.value)

    def _on_observe_req(self, message, peer):
        value = self._open_value(message)
        joining = id_text(message.fields["joining_device_id"])
        status = self.on_observe(joining, value) if self.on_observe else None
        if status is None:
            return None
        return self._answer("RESPONSE", peer, message.fields["token"], status=status)

    def _on_action(self, message, _peer):
        if self.on_action:
            self.on_action(message.fields["action_id"])

    def _on_data(self, message, _peer):
        if self.on_data:
            self.on_data(message.fields["data_id"], message.fields["data"])

    def _on_id_req(self, _message, peer):
        """The answer has a new token (S6)."""
        return self._answer("DATA", peer, data_id=srup5.IDENTIFICATION_ID, data=self.software.encode())

    def _on_join_cmd(self, message, peer):
        if message.fields["device_id"] == int(self.identity, 16):
            self.server_id, self.joined = peer, True

    def _on_terminate(self, _message, _peer):
        self.server_id, self.joined = None, False

    def _on_deregister(self, _message, _peer):
        self._forget_server()

    def _forget_server(self):
        self.remote_keys.pop(self.server_id, None)
        self.server_id, self.joined = None, False

    # -- software update (S9)

    def _on_init(self, message, peer):
        status = self._download(c_string(message.fields["url"]), c_string(message.fields["digest"]))
        if status == srup5.UPDATE_OK:
            self.pending_update = (peer, message.fields["token"])
        return self._answer("RESPONSE", peer, message.fields["token"], status=status)

    def _download(self, url, digest):
        """Status of one GET into update_path; a url without scheme or no file ends the thread."""
        try:
            with urllib.request.urlopen(url.decode(), context=self.download_context, timeout=30) as reply:
                data = reply.read()
        except urllib.error.HTTPError:
            return srup5.UPDATE_FILE
        except (OSError, http.client.HTTPException):
            return srup5.UPDATE_UNREACHABLE
        except ValueError:
            return self._die()
        try:
            self.update_path.write_bytes(data)
        except OSError:
            return self._die()
        if hashlib.sha256(data).hexdigest().encode() != digest:
            self.update_path.unlink()
            return srup5.UPDATE_DIGEST
        return srup5.UPDATE_OK

    def _on_activate(self, message, peer):
        """Only the remembered token of that sender is acted on; saves the settings (S9)."""
        if self.pending_update != (peer, message.fields["token"]):
            return
        self.pending_update = None
        self.save()
        if self.on_activate:
            self.on_activate(self.update_path)


# ---- C2 server ---------------------------------------------------------------------------------


class ReferenceServer(Peer):
    """A C2 server of the reference kind.

    Callbacks, optional, in the network thread: on_join(device id text, type text) -> status for
    simple joins (default: accept); on_human_join(device id text, 32 hex digits) after which the
    test calls finish_join() (default: human joins are answered 0x5F).
    devices holds the ids of joined devices, types the type of every device asked for.
    """

    HANDLERS = {
        "JOIN_REQ": ("_on_join_req", False),
        "HM_JOIN_REQ": ("_on_hm_join_req", False),
        "OBS_JOIN_REQ": ("_on_obs_join_req", False),
        "RESPONSE": ("_on_report", False),
        "DATA": ("_on_report", False),
        "RESIGN_REQ": ("_on_resign", False),
        "DEREGISTER_REQ": ("_on_deregister", False),
        "SYND_REQUEST": ("_on_report", False),
        "SYND_ACTION": ("_on_report", False),
        "SYND_ID_REQ": ("_on_report", False),
        "SYND_C2_REQ": ("_on_report", False),
        "SYND_END_REQ": ("_on_report", False),
        "SYND_DATA": ("_on_report", False),
        "SYND_DEV_COUNT": ("_on_report", False),
        "SYND_DEV_LIST": ("_on_report", False),
        "SYND_TERMINATE": ("_on_report", False),
    }
    JOINS = ("JOIN_REQ", "HM_JOIN_REQ", "OBS_JOIN_REQ")

    def __init__(self, directory, base_url, web_ca_file, broker, broker_ca_file, *,
                 answer_delay_s=ANSWER_DELAY_S, mqtt_port=MQTT_PORT):
        """directory holds c2_server.id, .pem, _pub.pem, .stk, .key and .crt (S8.1)."""
        super().__init__(KeyExClient(base_url, web_ca_file), answer_delay_s, mqtt_port)
        self.dir = pathlib.Path(directory)
        self.broker, self.broker_ca_file = broker, broker_ca_file
        self.identity = (self.dir / "c2_server.id").read_text("ascii").strip()
        self.identity_key = srup5.load_private((self.dir / "c2_server.pem").read_bytes())
        self.devices, self.types = set(), {}
        self.pending_joins = {}  # device id text -> token of the RESPONSE to come
        self.on_join = self.on_human_join = None

    # -- KeyEx

    def check(self):
        """Status of c2_check: 200 known, 404 not yet, 400 not an id for a server (S8)."""
        return self.keyex.request("GET", f"c2_check/{self.identity}").status

    def register_body(self, token=None):
        """token: text of the server token, None for that of c2_server.stk."""
        if token is None:
            token = (self.dir / "c2_server.stk").read_text("ascii").strip()
        pem = (self.dir / "c2_server_pub.pem").read_bytes()
        return {"identity": self.identity, "key": srup5.key_body(pem), "signature": token}

    def register(self, token=None):
        """Register unless KeyEx knows this server; RestError if it refuses."""
        reply = self.keyex.request("GET", f"c2_check/{self.identity}")
        if reply.status == 200:
            return
        if reply.status != 404:
            raise RestError("c2_check", reply)
        self.keyex.call("POST", "c2/", 201, self.register_body(token))

    # -- connection

    def topics(self):
        return [f"SRUP/servers/{self.identity}/#"]

    def tls_context(self):
        return client_context(self.broker_ca_file, self.dir / "c2_server.crt", self.dir / "c2_server.key")

    # -- sending

    def send(self, device, name, token=None, **fields):
        """Build for a device (id text) and publish on its topic."""
        return self.publish(f"SRUP/{device}", self.build(name, device, token, **fields))

    def send_action(self, device, action_id):
        return self.send(device, "ACTION", action_id=action_id)

    def send_data(self, device, data_id, value):
        """value as srup5.data_bytes() takes it."""
        return self.send(device, "DATA", data_id=data_id.encode(), data=srup5.data_bytes(value))

    def send_id_request(self, device):
        return self.send(device, "ID_REQ")

    def send_update(self, device, url, digest, token=None):
        """INIT with the trailing NULs of pySRUP; the token, which the RESPONSE and ACTIVATE repeat."""
        token = token or srup5.new_token()
        self.send(device, "INIT", token, url=url.encode() + b"\0", digest=digest.encode() + b"\0")
        return token

    def send_activate(self, device, token):
        return self.send(device, "ACTIVATE", token)

    def send_join_command(self, device):
        """Takes the device on, then subscribes to its exact topic one second later (S7)."""
        self.learn(device)
        self.devices.add(device)
        self.send(device, "JOIN_CMD", device_id=int(device, 16))
        time.sleep(SUBSCRIBE_DELAY_S)
        self.link.subscribe(f"SRUP/{device}")

    def send_terminate(self, device):
        self.send(device, "TERMINATE_CMD")
        self._forget(device)

    def send_deregister(self, device):
        """The topic stays subscribed (S7)."""
        self.send(device, "DEREGISTER_CMD")
        self._forget(device)

    def finish_join(self, device, status=srup5.JOIN_ACCEPTED):
        """Answer a human or observed join, with the token of HM_JOIN_RESP or OBS_JOIN_RESP (S6).

        Only once the device has that message: it leaves a delay after the request came in.
        """
        self._note_join(device, status)
        return self.send(device, "RESPONSE", self.pending_joins.pop(device), status=status)

    # -- receiving

    def subject(self, topic, header):
        """The shape of a join topic is checked; other topics are SRUP/<device id> (S7)."""
        sender = id_text(header.sender_id)
        name = srup5.TYPES.get(header.code, (None,))[0]
        wanted = f"SRUP/servers/{self.identity}/{sender}" if name in self.JOINS else f"SRUP/{sender}"
        return sender if topic == wanted else None

    def learn(self, device):
        """Fetch key and type of a device that is new."""
        if device not in self.remote_keys:
            self.remote_keys[device] = self.keyex.get_key(device)
            self.types[device] = self.keyex.get_type(device)

    def find_key(self, name, peer):
        if name in self.JOINS:
            try:
                self.learn(peer)
            except (RestError, OSError, ValueError):
                return None
        return self.remote_keys.get(peer)

    def _note_join(self, device, status):
        if status == srup5.JOIN_ACCEPTED:
            self.devices.add(device)
            self.link.subscribe_nowait(f"SRUP/{device}/#")

    def _answer(self, device, name, token=None, delay_s=0, **fields):
        return Answer(f"SRUP/{device}", self.build(name, device, token, **fields), delay_s)

    def _on_join_req(self, message, device):
        status = self.on_join(device, self.types[device]) if self.on_join else srup5.JOIN_ACCEPTED
        self._note_join(device, status)
        return self._answer(device, "RESPONSE", message.fields["token"], status=status)

    def _send_value(self, device, name):
        """The sealed value under a new token, which the last RESPONSE will repeat."""
        value, token = srup5.new_value(), srup5.new_token()
        self.pending_joins[device] = token
        blob = srup5.seal(value, srup5.load_public(self.remote_keys[device]))
        return value.decode(), self._answer(device, name, token, VALUE_DELAY_S, encrypted=blob)

    def _on_hm_join_req(self, message, device):
        if self.on_human_join is None:
            token = message.fields["token"]
            return self._answer(device, "RESPONSE", token, status=srup5.JOIN_FAILED)
        value, answer = self._send_value(device, "HM_JOIN_RESP")
        self.on_human_join(device, value)
        return answer

    def _on_obs_join_req(self, _message, device):
        """Fault of the reference: OBSERVE_REQ is never published (S9)."""
        return self._send_value(device, "OBS_JOIN_RESP")[1]

    def _on_report(self, _message, _device):
        """Nothing to do but to show it: see expect()."""

    def _on_resign(self, _message, device):
        self._forget(device)
        self.link.unsubscribe(f"SRUP/{device}/#")

    def _on_deregister(self, _message, device):
        """The reference only takes the device off its list (S9)."""
        self.devices.discard(device)

    def _forget(self, device):
        self.devices.discard(device)
        self.remote_keys.pop(device, None)
