"""A small OpenID Connect server: discovery, authorisation with PKCE, token, userinfo and keys, over real HTTP."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "plumbline", "client-secret"


class OidcServer:
    """`claims` is the person who signs in next; `audience` and `issuer` may be made wrong."""

    def __init__(self):
        self.claims = {
            "sub": "u1",
            "email": "dora@example.org",
            "email_verified": True,
            "preferred_username": "dora",
        }
        self.audience = CLIENT
        self.codes: dict[str, dict] = {}
        self.tokens: dict[str, dict] = {}
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, daemon=True).start()

    def stop(self):
        self.http.shutdown()
        self.http.server_close()

    def authorise(self, address: str) -> dict[str, str]:
        """What the person's browser does there: returns the parameters it brings back to the callback."""
        query = {k: v[0] for k, v in parse_qs(urlsplit(address).query).items()}
        assert query["client_id"] == CLIENT
        assert query["code_challenge_method"] == "S256"
        code = secrets.token_hex(8)
        self.codes[code] = {"challenge": query["code_challenge"], "claims": dict(self.claims)}
        return {"code": code, "state": query["state"]}

    def _id_token(self, claims: dict) -> str:
        now = int(time.time())
        body = {**claims, "iss": self.url, "aud": self.audience, "iat": now, "exp": now + 300}
        return jwt.encode(body, self.key, algorithm="RS256", headers={"kid": "k1"})

    def _token(self, form: dict) -> tuple[int, dict]:
        found = self.codes.pop(form.get("code", ""), None)
        verifier = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(verifier).rstrip(b"=").decode()
        if found is None or form.get("client_secret") != SECRET or found["challenge"] != challenge:
            return 400, {"error": "invalid_grant"}
        token = secrets.token_hex(8)
        self.tokens[token] = found["claims"]
        return 200, {
            "access_token": token,
            "token_type": "Bearer",
            "id_token": self._id_token(found["claims"]),
        }

    def _handler(self):
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *args):
                pass

            def _answer(self, status: int, body: dict):
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_GET(self):
                path = urlsplit(self.path).path
                if path == "/.well-known/openid-configuration":
                    names = ("authorization", "token", "userinfo")
                    ends = {f"{name}_endpoint": f"{server.url}/{name}" for name in names}
                    methods = ["client_secret_post"]
                    body = {"issuer": server.url, "jwks_uri": f"{server.url}/jwks", **ends,
                            "token_endpoint_auth_methods_supported": methods}  # fmt: skip
                    self._answer(200, body)
                elif path == "/jwks":
                    key = jwt.algorithms.RSAAlgorithm.to_jwk(server.key.public_key(), as_dict=True)
                    self._answer(200, {"keys": [{**key, "kid": "k1", "alg": "RS256", "use": "sig"}]})
                elif path == "/userinfo":
                    claims = server.tokens.get(self.headers.get("Authorization", "").removeprefix("Bearer "))
                    self._answer(200 if claims else 401, claims or {})
                else:
                    self._answer(404, {})

            def do_POST(self):
                length = int(self.headers.get("Content-Length") or 0)
                form = {k: v[0] for k, v in parse_qs(self.rfile.read(length).decode()).items()}
                self._answer(*server._token(form))

        return Handler
