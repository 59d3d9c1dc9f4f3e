"""A telephone service for tests, as far as the line uses it: Twilio's REST API over WSGI, which refuses what the real one
refuses (voice/api/call-resource, messaging/api/message-resource, api/errors)."""

import base64
import json
import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from werkzeug.wrappers import Request, Response

ACCOUNT = "AC" + "1" * 32
LINE = "+8655112345"


@dataclass
class TelephoneService:
    """Keeps what it was asked for. `broken` is what it answers everything with, while set: (HTTP status, error code)."""

    token: str = "t" * 32
    account: str = ACCOUNT
    scheme: str = "Basic"
    prefix: str = "/2010-04-01"
    asked: list[tuple[str, str, dict[str, list[str]]]] = field(default_factory=list)
    recordings: list[dict[str, Any]] = field(default_factory=list)
    callers: dict[str, str] = field(default_factory=dict)  # call SID -> number
    broken: tuple[int, int] | None = None
    stop_words_from: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)  # numbers that there are not

    def __call__(self, environ: Any, start: Any) -> Any:
        return self.answer(Request(environ))(environ, start)

    def posts(self, end: str) -> list[dict[str, list[str]]]:
        """The forms that were posted to paths with this end."""
        return [form for method, path, form in self.asked if method == "POST" and path.endswith(end)]

    def answer(self, request: Request) -> Response:
        """What the service answers."""
        name, secret = self.account, self.token
        basic = "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode()
        if request.headers.get("Authorization") not in (basic if self.scheme == "Basic" else f"Bearer {secret}",):
            return refusal(401, 20003)
        if self.broken:
            return refusal(*self.broken)
        form = parse_qs(request.get_data(as_text=True)) or request.args.to_dict(flat=False)
        self.asked.append((request.method, request.path, form))
        root = re.escape(f"{self.prefix}/Accounts/{self.account}")
        path = re.sub(f"^{root}", "", request.path)
        if path == request.path:
            return refusal(404, 20404)
        if request.method == "POST" and path in ("/Calls.json", "/Messages.json"):
            return self.create(path, form)
        if found := re.fullmatch(r"/Calls/(CA\w+)\.json", path):
            return told({"sid": found[1], "status": "in-progress", "from": self.callers.get(found[1], ""), "to": LINE})
        if path == "/Conferences.json":
            return told({"conferences": [{"sid": "CF1", "status": "in-progress"}], "next_page_uri": None})
        if re.fullmatch(r"/Conferences/\w[\w-]*/Participants(/CA\w+)?\.json", path):
            return Response(status=204) if request.method == "DELETE" else told({"call_sid": "CA77"}, 201)
        if path == "/Recordings.json":
            return told({"recordings": self.recordings, "next_page_uri": None})
        if re.fullmatch(r"/Recordings/RE\w+", path):
            return Response(b"RIFF", content_type="audio/x-wav")
        return refusal(404, 20404)

    def create(self, path: str, form: dict[str, list[str]]) -> Response:
        """A call or a message, or why not."""
        if "To" not in form:
            return refusal(400, 21201 if path == "/Calls.json" else 21604)
        if form["To"][0] in self.unknown or not re.fullmatch(r"\+[1-9]\d{6,14}|client:\w+", form["To"][0]):
            return refusal(400, 21211)
        if form.get("From") != [LINE]:
            return refusal(400, 21606 if path == "/Messages.json" else 21210)
        if path == "/Calls.json":
            if not ({"Url", "Twiml", "ApplicationSid"} & form.keys()):
                return refusal(400, 21205)
            return told({"sid": f"CA{len(self.asked):032}", "status": "queued"}, 201)
        if form["To"][0] in self.stop_words_from:
            return refusal(400, 21610)
        if len(form.get("Body", [""])[0]) > 1600:
            return refusal(400, 21617)
        return told({"sid": f"SM{len(self.asked):032}", "status": "queued"}, 201)


def told(body: dict[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(body), status=status, content_type="application/json")


def refusal(status: int, code: int) -> Response:
    """An error as Twilio shapes it (usage/twilios-response)."""
    return told({"code": code, "message": "refused", "more_info": "", "status": status}, status)
