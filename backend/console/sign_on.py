"""Logging in with the city's own identity provider, by OpenID Connect (code flow with PKCE), beside passwords.

There only where OIDC_ISSUER is set. Authlib holds to the protocol: state, nonce, PKCE, signature, issuer, audience and time
of the token (OpenID Connect Core 1.0, 3.1.3.7). Who somebody is stays with the line: an administrator has added them, under
the user name that the provider tells, and their role, a closed account and a second factor of the line count as ever.
"""

import logging
from typing import Any

from authlib.common.errors import AuthlibBaseError
from authlib.integrations.flask_client import OAuth
from flask import Flask, current_app, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from joserfc.errors import JoseError
from requests import RequestException

from backend.console.log_in import go_on, safe_next
from backend.directory import service
from backend.errors import Refused
from backend.locale import current_locale
from backend.parts import parts
from backend.settings import Settings

log = logging.getLogger(__name__)
ANSWERS_WITHIN = 8.0
"""Seconds to wait for the provider."""


def set_up(app: Flask, settings: Settings) -> None:
    """Register the city's provider, if it has one; nothing is asked of it yet."""
    if settings.oidc_issuer:
        OAuth(app).register(
            "city",
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret,
            server_metadata_url=f"{settings.oidc_issuer.rstrip('/')}/.well-known/openid-configuration",
            client_kwargs={
                "scope": "openid profile",
                "code_challenge_method": "S256",
                "default_timeout": ANSWERS_WITHIN,
            },
        )


def provider() -> Any:
    """The city's provider, as Authlib sees it. Raises Refused where there is none."""
    if not parts().settings.oidc_issuer:
        raise Refused("not_found", 404)
    return current_app.extensions["authlib.integrations.flask_client"].city


def begin() -> ResponseReturnValue:
    """Send the browser to the provider."""
    city = provider()
    session["wanted"] = safe_next(request.args.get("next"))
    try:
        away: ResponseReturnValue = city.authorize_redirect(
            parts().settings.base_url + url_for("console.sign_on_back"),
        )
    except (AuthlibBaseError, RequestException, RuntimeError, ValueError) as error:
        return refused_page(Refused("provider_away", 502), error)
    return away


def come_back() -> ResponseReturnValue:
    """The browser is back with a code: let in whom the provider names."""
    city, settings = provider(), parts().settings
    wanted = session.get("wanted", "")
    expected = {
        "iss": {"essential": True, "value": settings.oidc_issuer},
        "aud": {"essential": True, "value": settings.oidc_client_id},
    }
    try:
        claims = city.authorize_access_token(claims_options=expected).get("userinfo") or {}
    except (RequestException, RuntimeError) as error:
        return refused_page(Refused("provider_away", 502), error)
    except (AuthlibBaseError, JoseError, ValueError) as error:
        return refused_page(Refused("sign_on_failed", 401), error)
    try:
        with parts().database.read() as record:
            staff = service.known_elsewhere(record, str(claims.get(settings.oidc_claim) or ""))
    except Refused as refused:
        return refused_page(refused)
    return go_on(staff, wanted, by_provider=True)


def refused_page(refused: Refused, why: Exception | None = None) -> ResponseReturnValue:
    """The log-in page again. What the provider sent stays out of the log: only the kind of the error is written."""
    if why:
        log.warning("no log-in by the identity provider: %s", type(why).__name__)
    sentence = refused.sentence(current_locale())
    return render_template("console/log_in.html", wanted="", username="", refusal=sentence), refused.status
