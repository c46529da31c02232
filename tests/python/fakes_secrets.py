"""HashiCorp Vault and AWS Secrets Manager as far as the gateway speaks with them.

They refuse what the real ones would: wrong tokens, expired leases, signatures that do not match what
was sent. Each runs in a thread of its own on a free port. Standard library only.
"""

import hashlib
import hmac
import json
import secrets
import threading
import time
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ROLE_ID, SECRET_ID = "role-7c1d", "secret-id-93ab"
ACCESS_KEY, SECRET_KEY, SESSION = "AKIATESTTESTTEST", "wJalrXUtnFEMI/K7MDENG+bPxRfiCY", "sess/+=tok"


class Fake:
    def __init__(self):
        self.requests = []  # (method, path, status)
        self.faults = []  # what was wrong with a request, for the test to assert on
        self.delay = 0.0
        self.down = False
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                if fake.delay:
                    time.sleep(fake.delay)
                status, reply = (503, {}) if fake.down else fake.handle(self, body)
                fake.requests.append((self.command, self.path, status))
                data = json.dumps(reply).encode()
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def count(self, method, path):
        return sum(r[0] == method and r[1] == path for r in self.requests)


class FakeVault(Fake):
    """Mounts: secret/ (KV 2), kv1/ (KV 1), database/ (leases that can be renewed)."""

    def __init__(self, token_ttl=3600):
        self.tokens = {}  # token → time at which it ends
        self.token_ttl = token_ttl
        self.kv2, self.kv1 = {}, {}
        self.leases = {}  # id → (end, ttl, renewals left)
        self.lease_ttl, self.renewals = 2, 2
        self.namespace = None
        self.may_list_mounts = True
        self.made = 0
        super().__init__()

    def token(self):
        t = "hvs." + secrets.token_urlsafe(18)
        self.tokens[t] = time.monotonic() + self.token_ttl
        return t

    def handle(self, rq, body):
        path = rq.path.removeprefix("/v1/")
        if rq.headers.get("x-vault-request") != "true":
            self.faults.append("no X-Vault-Request")
        if rq.headers.get("x-vault-namespace") != self.namespace:
            return 404, {"errors": ["no namespace"]}
        if path == "auth/approle/login" and rq.command == "POST":
            given = json.loads(body)
            if given != {"role_id": ROLE_ID, "secret_id": SECRET_ID}:
                return 400, {"errors": ["invalid role or secret ID"]}
            return 200, {"auth": {"client_token": self.token(), "renewable": True,
                                  "lease_duration": self.token_ttl}}
        token = rq.headers.get("x-vault-token", "")
        if self.tokens.get(token, 0) < time.monotonic():
            return 403, {"errors": ["permission denied"]}
        return self.allowed(rq, path, token, body)

    def allowed(self, rq, path, token, body):
        if path == "auth/token/renew-self" and rq.command == "POST":
            self.tokens[token] = time.monotonic() + self.token_ttl
            return 200, {"auth": {"client_token": token, "renewable": True,
                                  "lease_duration": self.token_ttl}}
        if path == "sys/leases/renew" and rq.command == "PUT":
            return self.renew(json.loads(body)["lease_id"])
        if rq.command != "GET":
            return 405, {"errors": ["method"]}
        if path.startswith("sys/internal/ui/mounts/"):
            return self.mount_of(path.removeprefix("sys/internal/ui/mounts/"))
        return self.read(path)

    def mount_of(self, path):
        mount = path.split("/")[0] + "/"
        options = {"secret/": {"version": "2"}, "kv1/": {"version": "1"}, "database/": None}
        if not self.may_list_mounts or mount not in options:
            return 403, {"errors": ["preflight capability check returned 403"]}
        return 200, {"data": {"path": mount, "type": "kv", "options": options[mount]}}

    def read(self, path):
        mount, _, rest = path.partition("/")
        if mount == "secret" and rest.startswith("data/") and rest[5:] in self.kv2:
            return 200, {"lease_id": "", "renewable": False, "lease_duration": 0,
                         "data": {"data": self.kv2[rest[5:]], "metadata": {"version": 1}}}
        if mount == "kv1" and rest in self.kv1:
            return 200, {"lease_id": "", "renewable": False, "lease_duration": 2764800,
                         "data": self.kv1[rest]}
        if mount == "database":
            self.made += 1
            lease = f"{path}/{secrets.token_hex(8)}"
            self.leases[lease] = (time.monotonic() + self.lease_ttl, self.renewals)
            return 200, {"lease_id": lease, "renewable": True, "lease_duration": self.lease_ttl,
                         "data": {"username": f"v-user-{self.made}", "password": f"pw-{self.made}"}}
        return 404, {"errors": []}

    def renew(self, lease):
        end, left = self.leases.get(lease, (0, 0))
        if end < time.monotonic():
            self.faults.append("a lease was renewed after its end")
            return 400, {"errors": ["lease not found"]}
        if not left:
            return 400, {"errors": ["lease is not renewable any more"]}
        self.leases[lease] = (time.monotonic() + self.lease_ttl, left - 1)
        return 200, {"lease_id": lease, "renewable": True, "lease_duration": self.lease_ttl}


class FakeSecretsManager(Fake):
    """Checks Signature Version 4 by computing it anew from what arrived."""

    def __init__(self, region="eu-central-1", session=""):
        self.secrets = {}  # name → text, or bytes
        self.region, self.session = region, session
        super().__init__()

    def handle(self, rq, body):
        fault = self.check_signature(rq, body)
        if fault:
            self.faults.append(fault)
            return 400, {"__type": "com.amazon.coral.service#InvalidSignatureException",
                         "message": "The request signature we calculated does not match"}
        if rq.headers.get("x-amz-target") != "secretsmanager.GetSecretValue":
            return 400, {"__type": "UnknownOperationException"}
        name = json.loads(body)["SecretId"]
        if name not in self.secrets:
            return 400, {"__type": "ResourceNotFoundException",
                         "Message": "Secrets Manager can't find the specified secret."}
        value = self.secrets[name]
        return 200, {"Name": name, "VersionId": "v1", "SecretString": value}

    def check_signature(self, rq, body):
        words = dict(part.strip().split("=", 1) for part in
                     rq.headers.get("authorization", "").removeprefix("AWS4-HMAC-SHA256 ").split(",")
                     if "=" in part)
        when = rq.headers.get("x-amz-date", "")
        scope = f"{when[:8]}/{self.region}/secretsmanager/aws4_request"
        if words.get("Credential") != f"{ACCESS_KEY}/{scope}":
            return f"credential {words.get('Credential')}"
        sent = datetime.strptime(when, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        if abs(datetime.now(timezone.utc) - sent) > timedelta(minutes=5):
            return "the date is off"
        if rq.headers.get("x-amz-security-token", "") != self.session:
            return "session token"
        signed = words["SignedHeaders"].split(";")
        needed = {"host", "x-amz-date", "x-amz-target", "content-type"}
        if not needed <= set(signed) or signed != sorted(signed):
            return f"signed headers {signed}"
        if self.session and "x-amz-security-token" not in signed:
            return "the session token is not signed"
        canonical = "\n".join([
            rq.command, rq.path, "",
            *[f"{name}:{' '.join(rq.headers[name].split())}" for name in signed], "",
            ";".join(signed), hashlib.sha256(body).hexdigest()])
        to_sign = "\n".join(["AWS4-HMAC-SHA256", when, scope,
                             hashlib.sha256(canonical.encode()).hexdigest()])
        key = ("AWS4" + SECRET_KEY).encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        want = hmac.digest(key, to_sign.encode(), "sha256").hex()
        return None if hmac.compare_digest(want, words["Signature"]) else "signature"
