"""An OpenID Connect provider on loopback: discovery, keys, authorization with PKCE, codes that are good once, signed tokens.

It refuses what a real one refuses (OpenID Connect Core 1.0, RFC 6749, RFC 7636): another client, a wrong secret, an address
that was not registered, a missing state, a code that was used or a verifier that doesn't fit.
"""

import base64
import hashlib
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, jsonify, redirect, request
from flask.typing import ResponseReturnValue
from joserfc import jwt
from joserfc.jwk import RSAKey
from werkzeug.serving import make_server

CLIENT, SECRET = "line", "a secret of the line"


class IdentityProvider:
    """Who logs in there is `user`; `wrong` replaces claims of its tokens, `key` signs them."""

    def __init__(self, back: str) -> None:
        self.back, self.issuer, self.user = back, "", "operator1"
        self.wrong: dict[str, Any] = {}
        self.published = self.key = RSAKey.generate_key(2048, {"use": "sig", "alg": "RS256", "kid": "one"})
        self.codes: dict[str, dict[str, str]] = {}
        self.app = Flask(__name__)
        self.app.add_url_rule("/.well-known/openid-configuration", view_func=self.discovery)
        self.app.add_url_rule("/keys", view_func=self.keys)
        self.app.add_url_rule("/authorize", view_func=self.authorize)
        self.app.add_url_rule("/token", view_func=self.token, methods=["POST"])

    def discovery(self) -> Response:
        return jsonify(
            issuer=self.issuer,
            authorization_endpoint=f"{self.issuer}/authorize",
            token_endpoint=f"{self.issuer}/token",
            jwks_uri=f"{self.issuer}/keys",
            response_types_supported=["code"],
            subject_types_supported=["public"],
            id_token_signing_alg_values_supported=["RS256"],
            token_endpoint_auth_methods_supported=["client_secret_basic"],
            code_challenge_methods_supported=["S256"],
        )

    def keys(self) -> Response:
        return jsonify(keys=[self.published.as_dict(private=False)])

    def authorize(self) -> ResponseReturnValue:
        asked = request.args.to_dict()
        if asked.get("client_id") != CLIENT or asked.get("redirect_uri") != self.back:
            return "unknown client or address", 400
        if asked.get("response_type") != "code" or "openid" not in asked.get("scope", "").split():
            return redirect(f"{self.back}?{urlencode({'error': 'invalid_request', 'state': asked.get('state', '')})}")
        if not asked.get("state") or not asked.get("nonce") or asked.get("code_challenge_method") != "S256":
            return "state, nonce and PKCE are wanted here", 400
        code = secrets.token_urlsafe(16)
        self.codes[code] = asked
        return redirect(f"{self.back}?{urlencode({'code': code, 'state': asked['state']})}")

    def token(self) -> ResponseReturnValue:
        who = request.authorization
        if who is None or (who.username, who.password) != (CLIENT, SECRET):
            return jsonify(error="invalid_client"), 401
        asked = self.codes.pop(request.form.get("code", ""), None)
        digest = hashlib.sha256(request.form.get("code_verifier", "").encode()).digest()
        fits = asked and base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == asked["code_challenge"]
        if asked is None or not fits or request.form.get("redirect_uri") != self.back:
            return jsonify(error="invalid_grant"), 400
        now = int(time.time())
        claims = {
            "iss": self.issuer,
            "sub": "248289761001",
            "aud": CLIENT,
            "iat": now,
            "exp": now + 300,
            "nonce": asked["nonce"],
            "preferred_username": self.user,
        } | self.wrong
        signed = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self.key)
        return jsonify(access_token=secrets.token_urlsafe(16), token_type="Bearer", expires_in=300, id_token=signed)


@contextmanager
def running(back: str) -> Iterator[IdentityProvider]:
    """A provider at which the line is registered with the address `back`, on a port of its own."""
    provider = IdentityProvider(back)
    server = make_server("127.0.0.1", 0, provider.app, threaded=True)
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
