"""What a voice can say: numbers as people say them, whole sentences, no longer than a caller can keep in mind. Pure."""

import re
from typing import Literal

import cn2an

from bot.digits import said

Problem = Literal["address", "table", "list", "number", "letters", "brackets", "long"]

SYLLABLES_PER_SECOND = 4.0
"""Read Mandarin has 5.2 (Pellegrino, Coupé and Marsico 2011, Language 87, table 1); a telephone voice with its pauses is
taken to be slower. An estimate: the voices of the telephone provider were not timed."""
ENGLISH_WORDS_PER_SECOND = 2.5
"""150 words a minute, at which English is commonly read aloud. An estimate like the above."""
LONGEST_SECONDS = 20.0

ADDRESS = re.compile(r"https?:|www\.|[\w.+-]+@[\w-]+\.\w+|\b[\w-]+\.(?:cn|com|org|net)\b", re.IGNORECASE | re.ASCII)
TABLE = re.compile(r"[|\t│]|-{3,}|={3,}|\*\*|`|^#+ |\]\(", re.MULTILINE)
BULLET = re.compile(r"^\s*(?:[-*•·●○■□▪◆]|\d+[.、)）])\s*", re.MULTILINE)
NUMBER = re.compile(r"[0-9０-９%％‰℃°￥¥$㎡²³]")
LETTERS = re.compile(r"[A-Za-z]{2,}")
BRACKETS = re.compile(r"[《》〈〉（）()〔〕【】\[\]「」『』{}<>/\\~^_=+#*]")

MEASURES = "个|次|年|天|周|种|名|位|份|张|项|户|小时|分钟|家|人|条|岁|块|元|倍|层|间|处|批|类|万|千|亿"
"""Words before which 2 is 两."""
SIGNS = {
    "℃": "摄氏度", "㎡": "平方米", "m²": "平方米", "m2": "平方米", "km²": "平方公里", "m³": "立方米", "km": "公里",
    "kg": "公斤", "kWh": "度", "cm": "厘米", "mm": "毫米",
}  # fmt: skip
"""Units as they are said after a number."""
SIGN = "|".join(sorted(map(re.escape, SIGNS), key=len, reverse=True))


def problems(speech: str, language: str = "zh") -> list[Problem]:
    """Why a voice can't say this, in a fixed order; empty when it can. 'number': digits and signs that a voice may misread,
    to be written in words; 'letters': Latin words and unspaced abbreviations; 'long': above LONGEST_SECONDS. An English
    voice may be given letters and numbers."""
    found: dict[Problem, bool] = {
        "address": bool(ADDRESS.search(speech)),
        "table": bool(TABLE.search(speech)),
        "list": bool(BULLET.search(speech)),
        "number": language != "en" and bool(NUMBER.search(speech)),
        "letters": language != "en" and bool(LETTERS.search(speech)),
        "brackets": bool(BRACKETS.search(speech)),
        "long": seconds(speech, language) > LONGEST_SECONDS,
    }
    return [problem for problem, there in found.items() if there]


def seconds(speech: str, language: str = "zh") -> float:
    """How long saying this takes: a syllable for each Chinese character and each Latin letter of its spoken form; in English
    so many words."""
    if language == "en":
        return len(speech.split()) / ENGLISH_WORDS_PER_SECOND
    return len(re.findall(r"[一-鿿〇A-Za-z]", spoken(speech))) / SYLLABLES_PER_SECOND


def spoken(text: str) -> str:
    """`text` with its numbers, dates, telephone numbers, 文号, units and abbreviations as people say them in Mandarin.

    Telephone numbers and all numbers of seven digits or with a zero in front go digit by digit, 1 as 幺. Quotation marks
    go; other brackets become commas.
    """
    for pattern, say in SAYINGS:
        text = pattern.sub(say, text)
    return text


def short_speech(text: str) -> str:
    """The beginning of a longer text as a voice can say it: its first whole sentences up to LONGEST_SECONDS, or, if already
    the first is longer, its first clauses. Sentences that can't be said (addresses, tables, foreign words) are left out;
    empty when nothing can be said."""
    said_so_far = ""
    for sentence in re.findall(r"[^。！？；\n]+[。！？；]?", BULLET.sub("", text)):
        aloud = spoken(sentence.strip())
        if not re.search(r"\w", aloud) or set(problems(aloud)) - {"long"}:
            continue
        if seconds(said_so_far + aloud) > LONGEST_SECONDS:
            return said_so_far or first_clauses(aloud)
        said_so_far += aloud if aloud[-1] in "。！？；" else f"{aloud}。"
    return said_so_far


def first_clauses(sentence: str) -> str:
    """The clauses of a long sentence that fit into LONGEST_SECONDS, as a sentence; empty when the first one doesn't."""
    fitting = ""
    for clause in re.findall(r"[^，、：,]+[，、：,]?", sentence):
        if seconds(fitting + clause) > LONGEST_SECONDS:
            break
        fitting += clause
    return f"{fitting.rstrip('，、：,')}。" if fitting else ""


# --- one saying each ----------------------------------------------------------------------------------------------


def counted(number: str) -> str:
    """A number as it is counted: 12 十二, 3.5 三点五, 20000 两万."""
    whole = number.replace(",", "").replace("，", "")
    if "." not in whole and ((len(whole) >= 7 and not whole.endswith("0000")) or re.match(r"0\d", whole)):
        return said(whole)
    words: str = cn2an.an2cn(whole, "low")
    words = re.sub(r"^一十", "十", words)
    return re.sub(r"^二(?=[千万亿])|(?<=万)二(?=千)", "两", words)


def one_by_one(digits: str) -> str:
    """A year or a page: digit by digit, 1 as 一."""
    return said(digits).replace("幺", "一")


def before_measure(number: str) -> str:
    """A number before a measure word: 2 is 两."""
    return "两" if number == "2" else counted(number)


def time_of_day(hour: str, minute: str) -> str:
    """9:05 as 九点零五分; the full hour has no minutes."""
    oclock = f"{before_measure(str(int(hour)))}点"
    if minute == "00":
        return oclock
    return f"{oclock}{'零' if minute[0] == '0' else ''}{counted(str(int(minute)))}分"


N = r"\d+(?:,\d{3})*(?:\.\d+)?"
DIGITS = "零一二两三四五六七八九十"
EDGE, END = r"(?<![\d.A-Za-z-])", r"(?![\d])"
SAYINGS = [
    (re.compile(r"[０-９]"), lambda m: str(int(m[0]))),
    # 国办发〔2020〕53号: the year digit by digit, the number counted
    (re.compile(r"[〔\[（(](\d{4})[〕\]）)]第?(\d+)号"), lambda m: f"{one_by_one(m[1])}{counted(m[2])}号"),
    (
        re.compile(rf"{EDGE}((?:19|20)\d\d)[-/.年](1[0-2]|0?[1-9])[-/.月](3[01]|[12]\d|0?[1-9])日?{END}"),
        lambda m: f"{one_by_one(m[1])}年{counted(str(int(m[2])))}月{counted(str(int(m[3])))}日",
    ),
    (re.compile(rf"{EDGE}((?:19|20)\d\d)(?=年|[—–~～-](?:19|20)\d\d年)"), lambda m: one_by_one(m[1])),
    (re.compile(rf"(?<!\d)([01]?\d|2[0-4])[:：]([0-5]\d){END}"), lambda m: time_of_day(m[1], m[2])),
    # telephone numbers: mobile, area code and number, 400 and 800, short numbers of services; case numbers
    (re.compile(rf"(?:\+86[- ]?)?{EDGE}(1[3-9]\d{{9}}){END}"), lambda m: said(m[1])),
    (
        re.compile(rf"{EDGE}(0\d{{2,3}}|[48]00|\d{{5}})[- ](\d{{3,8}})(?:-(\d{{3,4}}))?{END}"),
        lambda m: "，".join(said(part) for part in m.groups() if part),
    ),
    (
        re.compile(rf"{EDGE}(1(?:1[0-9]|2[0-2])|123[0-9]{{2}}|9[56]\d{{3,4}}){END}(?![个元次人年天分万名户米])"),
        lambda m: said(m[1]),
    ),
    (re.compile(rf"(?<=[\d点分年{DIGITS}])\s*[—–~～-]+\s*(?=[\d{DIGITS}])"), lambda m: "到"),
    (re.compile(rf"[￥¥]\s*({N})(万?)元?"), lambda m: f"{before_measure(m[1])}{m[2]}元"),
    (re.compile(rf"({N})\s*[%％]"), lambda m: f"百分之{counted(m[1])}"),
    (re.compile(rf"({N})\s*‰"), lambda m: f"千分之{counted(m[1])}"),
    (re.compile(rf"(?<![\d\w])[-−]({N})\s*℃"), lambda m: f"零下{counted(m[1])}摄氏度"),
    (re.compile(rf"({N})\s*({SIGN})(?![A-Za-z])"), lambda m: f"{before_measure(m[1])}{SIGNS[m[2]]}"),
    (re.compile(rf"(?<![第\d.,])(2)(?=(?:{MEASURES}|点))"), lambda m: before_measure(m[1])),
    (re.compile(N), lambda m: counted(m[0])),
    (re.compile(r"(?<=[一-鿿])/(?=[一-鿿])"), lambda m: "每"),
    (re.compile(r"(?<![A-Za-z])[A-Z]{2,5}(?![A-Za-z])"), lambda m: " ".join(m[0])),
    (re.compile(r"[《》〈〉「」『』“”\"【】]"), lambda m: ""),
    (re.compile(r"[（(〔\[][^（）()〔〕\[\]]*[）)〕\]](?=[。，；！？、]|$)"), lambda m: f"，{m[0][1:-1]}"),
    (re.compile(r"[（()）〔〕\[\]]"), lambda m: "，"),
]
"""Patterns in the order in which they are tried, the more special one first, and how each is said."""
