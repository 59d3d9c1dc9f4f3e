"""Corrections of a case before it is filed: which item is meant, and its new value. Pure."""

import re
from dataclasses import dataclass

from bot.digits import find_phone

ITEM_WORDS = {
    "contact": r"电话|手机|号码|联系方式|联系人|telephone|phone|number|contact",
    "where": r"地点|地址|位置|地方|小区名|楼号|门牌|place|address|location|where",
    "since": r"时间|日期|什么时候|哪天|time|date|since|when",
    "what": r"事情|内容|问题|情况|描述|what happened|matter|description|what",
}
TIME = (
    r"今天|昨天|前天|今早|昨晚|早上|上午|中午|下午|晚上|凌晨|上周|上个?月|去年|\d+号"
    r"|[一二三四五六七八九十两半几\d]+(个)?(天|周|月|年|小时|星期|礼拜)|星期|周[一二三四五六日天]|月份?|开始"
    r"|today|yesterday|week|month|days?|since"
)
PLACE = (
    r"区|县|街道?|路|巷|弄|胡同|小区|花园|村|镇|乡|栋|幢|楼|单元|号|室|广场|大厦|公园|学校|医院|站"
    r"|门口|附近|旁边|对面|district|street|road|building|estate"
)
DENIAL = re.compile(r"^(不对|不是|错了|说错了|搞错了|写错了|no|wrong|not right)[，,。.\s]*", re.IGNORECASE)
NEW_VALUE = re.compile(
    r"(?:不是[^是]{1,15}?[，,]?\s*而?是|应该是|应当是|改成|改为|换成|更正为|其实是|[，,]\s*是|^是"
    r"|should be|change (?:it )?to|it is|it's)"
    r"(?P<value>.+)$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Correction:
    """Which item is wrong (None: not said and not to be guessed), and what it should be (None: not said)."""

    item: str | None
    value: str | None


def read_correction(text: str) -> Correction:
    """What `text` corrects: 不对，是三号楼 -> where: 三号楼; 电话错了 -> contact, new value not said."""
    stripped = DENIAL.sub("", text.strip())
    named = next((item for item, words in ITEM_WORDS.items() if re.search(words, stripped, re.IGNORECASE)), None)
    phone = find_phone(text)
    if phone:
        return Correction("contact", phone)
    said = NEW_VALUE.search(text.strip()) or NEW_VALUE.search(stripped)
    value = clean(said["value"]) if said else None
    if value is None and named is None and stripped != text.strip():
        value = clean(stripped)
    if value is None and named is None:
        value = clean(stripped) if re.search(f"{PLACE}|{TIME}", stripped) else None
    return Correction(named or (guess_item(value) if value else None), value)


def guess_item(value: str) -> str | None:
    """Which item a new value looks like."""
    if re.search(TIME, value):
        return "since"
    if re.search(PLACE, value):
        return "where"
    return None


def corrected(old: str, new: str) -> str:
    """The item with its correction worked in: 软件园三号楼门口 and 五号楼 make 软件园五号楼门口.

    When the new value is one part of a place (a number or name with its unit) and the old value has one such part with
    the same unit, only that part is replaced; otherwise the new value is the whole item.
    """
    part = re.fullmatch(r"[\da-zA-Z零一二两三四五六七八九十百]+(?P<unit>号楼|栋|幢|单元|号院|号|室|楼|层|期|区)", new)
    if part is None:
        return new
    same = re.compile(rf"[\da-zA-Z零一二两三四五六七八九十百]+{part['unit']}(?!楼|院)")
    return same.sub(new, old, count=1) if len(same.findall(old)) == 1 else new


def clean(value: str) -> str | None:
    """The value without what is only said around it."""
    return value.strip(" ，。,.!！?？的吧啊呢了") or None
