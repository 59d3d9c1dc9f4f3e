"""Photos that come by WeChat or MMS: the message has an address, the photo is fetched from the outbox, with its tries.

Only hosts of the providers are asked, only over TLS, only at public addresses; where they redirect to is held to the same.
"""

import base64
from dataclasses import dataclass, field
from urllib.parse import urljoin

import httpcore

from backend import outbox
from backend.attachments import BYTES_LIMIT, accept
from backend.chat import gateway
from backend.errors import Refused
from backend.outbox import NotSent, OutgoingMessage
from backend.parts import Parts
from backend.webhooks import TIMEOUT, GuardedNetwork, address_parts

HOSTS = {
    "wechat": ("mmbiz.qpic.cn", "mmbiz.qlogo.cn"),
    "sms": ("api.twilio.com", "media.twiliocdn.com", "mms.twiliocdn.com", "s3-external-1.amazonaws.com"),
}
"""channel -> where its photos are (WeChat's PicUrl; Twilio: messaging/guides/accepting-mms and where that redirects to)."""
WITH_PASSWORD = "api.twilio.com"
REDIRECTS = 3


def guarded_pool() -> httpcore.ConnectionPool:
    """Connections to public addresses only."""
    return httpcore.ConnectionPool(network_backend=GuardedNetwork(()))


@dataclass(frozen=True)
class PhotoFetcher:
    """Fetches the photos of the outbox and puts them into their conversations."""

    parts: Parts
    pool: httpcore.ConnectionPool = field(default_factory=guarded_pool)

    def send(self, message: OutgoingMessage) -> None:
        """Fetch one photo and keep it; a citizen whose photo can't be kept is told. Raises NotSent."""
        channel: gateway.TextChannel = "sms" if message.body["channel"] == "sms" else "wechat"
        peer, key = str(message.body["peer"]), str(message.body["key"])
        content = self.fetch(message.recipient, HOSTS[channel])
        try:
            file = accept(content, pictures_only=True)
            gateway.keep_photo(self.parts, gateway.conversation_with(self.parts, channel, peer, "zh", key), file, key)
        except Refused as refusal:
            told = {"text": refusal.sentence("zh")}
            with self.parts.database.write() as session:
                outbox.put(session, f"{key}:refused", channel, peer, told, self.parts.clock())

    def fetch(self, url: str, hosts: tuple[str, ...]) -> bytes:
        """What is at the address. Raises NotSent."""
        for _ in range(REDIRECTS + 1):
            found = address_parts(url)
            if found is None or found.scheme != "https" or found.hostname not in hosts or found.port not in (None, 443):
                raise NotSent("a photo at an address that is not the provider's", final=True)
            status, location, content = self.get(url, found.hostname)
            if status in (301, 302, 303, 307, 308):
                url = urljoin(url, location)
                continue
            if status != 200:
                raise NotSent(f"photo: HTTP {status}", final=status in (403, 404, 410))
            return content
        raise NotSent("a photo that is always elsewhere", final=True)

    def get(self, url: str, host: str) -> tuple[int, str, bytes]:
        """Status, where it redirects to, and the content. Raises NotSent."""
        headers = [("Host", host), ("User-Agent", "civic-line")]
        if host == WITH_PASSWORD:
            headers.append(("Authorization", f"Basic {self.credentials()}"))
        timeout = dict.fromkeys(("connect", "read", "write", "pool"), TIMEOUT)
        content = bytearray()
        try:
            with self.pool.stream("GET", url, headers=headers, extensions={"timeout": timeout}) as response:
                location = next(
                    (value.decode("latin-1") for name, value in response.headers if name.lower() == b"location"), ""
                )
                if response.status == 200:
                    for part in response.iter_stream():
                        content += part
                        if len(content) > BYTES_LIMIT:  # accept refuses it, in words that the citizen is told
                            break
                return response.status, location, bytes(content)
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise NotSent(f"photo: {type(error).__name__}") from error

    def credentials(self) -> str:
        """Of the account that the message came to."""
        settings = self.parts.settings
        name = settings.twilio_api_key or settings.twilio_account_sid
        secret = settings.twilio_api_secret or settings.twilio_auth_token
        return base64.b64encode(f"{name}:{secret}".encode()).decode()
