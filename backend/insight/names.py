"""What categories, agencies, districts, channels and urgencies are called in figures, in Chinese and English."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.city import city
from backend.directory.models import Agency, Category

CHANNELS: Final = {
    "phone": ("电话", "Telephone"),
    "chat": ("网上", "Web chat"),
    "wechat": ("微信", "WeChat"),
    "sms": ("短信", "Text messages"),
    "operator": ("坐席登记", "Operator"),
    "api": ("接口", "Interface"),
    "open311": ("Open311", "Open311"),
}
URGENCIES: Final = {
    "emergency": ("紧急", "Emergency"),
    "urgent": ("加急", "Urgent"),
    "normal": ("一般", "Normal"),
    "complex": ("疑难", "Complex"),
}
UNKNOWN: Final = ("不详", "Not known")


@dataclass(frozen=True)
class Names:
    """The names in one language, by dimension and value."""

    of_dimension: dict[str, dict[str, str]]
    unknown: str
    english: bool

    @property
    def districts(self) -> list[str]:
        """The values of the districts of the city."""
        return list(self.of_dimension["district"])

    def of(self, dimension: str, value: str) -> str:
        """What a value is called: one that nobody has named as it is, an empty one (in a slice "-") as not known."""
        return self.unknown if value in ("", "-") else self.of_dimension[dimension].get(value, value)


def names(session: Session, locale: str) -> Names:
    """All names in this language. Agencies have Chinese names only."""
    english = locale == "en"
    categories = session.execute(select(Category.code, Category.name, Category.name_en).order_by(Category.code))
    return Names(
        {
            "district": {name: name_en if english else name for name, name_en in city()["districts"].items()},
            "category": {code: name_en if english else name for code, name, name_en in categories},
            "agency": {code: name for code, name in session.execute(select(Agency.code, Agency.name))},
            "channel": {code: both[english] for code, both in CHANNELS.items()},
            "urgency": {code: both[english] for code, both in URGENCIES.items()},
        },
        UNKNOWN[english],
        english,
    )
