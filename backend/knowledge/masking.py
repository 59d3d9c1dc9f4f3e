"""Personal data in what citizens say, covered up before editors read it or it becomes part of an article. Pure."""

import re
from typing import Final

import rjieba

COVER = "•••"

DIGITS: Final = "零〇一二两三四五六七八九幺"
NUMBER: Final = rf"(?:\d+|[{DIGITS}十百]+|[A-Za-z]\d*)"
PART: Final = rf"{NUMBER}(?:号楼|号院|号|栋|幢|座|单元|层|楼)"

PATTERNS: Final = (
    # Telephones, identity cards, bank cards, case numbers: seven digits or more, however they are grouped; dates aside.
    re.compile(r"(?<![\d-])(?!\d{4}-\d{1,2}-\d{1,2}(?!\d))\+?\d(?:[ \u3000-]?\d){6,}(?:[ -]?[XxＸ])?"),
    re.compile(rf"[{DIGITS}]{{7,}}"),
    re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    re.compile(
        r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-Za-z][·\s]?[A-Za-z0-9]{5,6}(?![A-Za-z0-9])"
    ),
    # Addresses down to the door: 三号楼2单元501, 3栋502室, 3-2-501, 1204室.
    re.compile(rf"(?:{PART}[,，、\s]*)+{NUMBER}(?:室|户|房)"),
    re.compile(rf"(?:{PART}[,，、\s]*)+(?:\d{{3,4}}|[{DIGITS}]{{3,4}})(?![\d年月日号天元块])"),
    re.compile(r"(?<![\d-])\d{1,3}-\d{1,3}-\d{2,4}(?![\d-])(?:室|户)?"),
    re.compile(rf"(?:\d{{3,4}}|[{DIGITS}]{{3,4}})(?:室|户|房)"),
)

CALLED: Final = re.compile(r"(?:我叫|我姓|本人叫|名叫|名字叫|名字是|姓名(?:是|为)?[:：]?|联系人(?:是)?[:：]?)\s*")
"""What comes next is a name, whatever it looks like."""
BEING: Final = re.compile(r"(?:我是|本人是|这里是|我家住户|本人)\s*")
"""What comes next is a name if the dictionary's tagger takes it for one (我是王大明, but not 我是外地户口)."""
ENGLISH_NAME: Final = re.compile(r"\b(my name is|my name's)\s+[A-Za-z'-]+(?:\s+[A-Z][A-Za-z'-]+)?", re.IGNORECASE)
BOUNDED: Final = re.compile(r"[\u4e00-\u9fff·]{1,4}?(?=[，,。.！!？?；;、\s]|$|想|要|住|电话|手机|请)")
LONGEST_NAME = 4


def mask(text: str) -> str:
    """`text` with telephone and card numbers, e-mail addresses, car plates, doors of addresses, and the names of people who
    introduce themselves covered up. Rather too much than too little."""
    for pattern in PATTERNS:
        text = pattern.sub(COVER, text)
    text = ENGLISH_NAME.sub(lambda match: f"{match[1]} {COVER}", text)
    for introduction, surely in ((CALLED, True), (BEING, False)):
        begin = 0
        while match := introduction.search(text, begin):
            length = name_length(text[match.end() :], surely)
            text = text[: match.end()] + (COVER if length else "") + text[match.end() + length :]
            begin = match.end() + (len(COVER) if length else 0)
    return text


def name_length(text: str, surely: bool) -> int:
    """How many characters of a name `text` begins with; 0 for none. `surely`: it follows 我叫 or the like."""
    words = rjieba.tag(text[:12])
    if not words:
        return 0
    word, tag = words[0]
    if tag.startswith("nr"):
        return len(word)
    following = words[1] if len(words) > 1 else ("", "")
    if following[1].startswith("nr") and 2 < len(word + following[0]) <= LONGEST_NAME and len(word) <= 2:
        return len(word + following[0])  # a surname of two characters is often taken for a place
    bounded = BOUNDED.match(text) if surely else None
    return len(bounded[0]) if bounded else 0
