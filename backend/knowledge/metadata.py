"""What a document says about itself: title, number (文号), who issued it and when, how long it holds, what it repeals. Pure.

Found by the layout of official documents (GB/T 9704-2012) and by the labels that government sites use. All of it is a
proposal: an editor can correct it on the document's page.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from backend.knowledge.cutting import Block, Heading, Row

HEAD = 15
"""Blocks at the beginning in which title and number stand, and at the end in which signature and date do."""
TITLE_LIMIT, NUMBER_LIMIT, ISSUER_LIMIT = 300, 120, 200

DIGITS = {sign: str(value) for value, signs in enumerate(("〇零○OＯ", *"一二三四五六七八九")) for sign in signs}
NUMERAL = "[0-9〇零○OＯ一二三四五六七八九十]"
DATE = re.compile(
    rf"({NUMERAL}{{4}})\s*年\s*({NUMERAL}{{1,3}})\s*月\s*({NUMERAL}{{1,3}})\s*日|(\d{{4}})[-/.](\d{{1,2}})[-/.](\d{{1,2}})"
)

NUMBER = re.compile(r"([一-龥]{1,15})\s*[〔［\[（(【﹝]\s*((?:19|20)\d{2})\s*[〕］\]）)】﹞]\s*第?\s*(\d{1,5})\s*号")
ORDER = re.compile(
    r"([一-龥]{0,20}(?:主席|国务院|政府|部|委员会|局|总署|银行)令)\s*[（(]?\s*第\s*([0-9〇零一二三四五六七八九十百]{1,6})\s*号"
)
KINDS = (
    "通知|意见|办法|条例|规定|决定|方案|细则|公告|通告|批复|函|指南|规划|法|目录|标准|清单|要点|制度|规则|措施|政策"
    "|问答|通报|计划"
)
TITLE = re.compile(rf"(?!本).{{2,80}}(?:{KINDS})(?:[（(][^（()）]{{1,30}}[）)])?")
BODY = r"(?:人民政府|办公厅|办公室|委员会|[局厅部院署]|中心|常务委员会|代表大会)"
SIGNATURE = re.compile(rf"[一-龥（）()、\s]{{2,40}}{BODY}")
ISSUED_LABEL = re.compile(r"(?:成文|发布|印发|公布|发文|颁布)(?:日期|时间)\s*[：:；]?\s*")
ISSUER_LABEL = re.compile(r"(?:发文|发布|制定|公布|成文)(?:机关|机构|单位|部门)\s*[：:；]\s*([一-龥、（）()]{2,60})")

SELF = "本(?:法|条例|办法|规定|细则|通知|意见|方案|决定|公告|通告|标准|措施|规则|指南|政策|目录|文件|制度)"
IN_FORCE = re.compile(rf"自\s*({DATE.pattern})\s*起\s*(?:正式)?(?:施行|实施|执行|生效|试行)")
AT_ONCE = re.compile(r"自(?:公布|发布|印发|颁布|下发)之日起(?:(\d{1,3})日后)?(?:施行|实施|执行|生效|试行)")
UNTIL = re.compile(rf"(?:有效期(?:限)?(?:截?至|到|.{{0,20}}?至)|(?:施行|实施|执行)至)\s*({DATE.pattern})")
YEARS = re.compile(r"(?:有效期|试行期)(?:限)?(?:为|是)?\s*([0-9一二三四五六七八九十两]{1,3})\s*年")
QUOTED = re.compile(
    r"《((?:[^《》]|《[^《》]*》){2,200})》(?:\s*[（(]([^（()）]{2,40}(?:[（(]\d{4}[）)][^（()）]{1,9})?)[）)])?"
)
REPEALED = re.compile(r"(?:同时|即行|自行|予以|一并|随之)废止")
BY_VIRTUE = re.compile(r"(?:根据|依据|按照|依照)[^，,。；]*")


@dataclass(frozen=True)
class Named:
    """A document as another one names it."""

    title: str
    number: str


@dataclass(frozen=True)
class Metadata:
    """What could be found; empty or None where nothing was."""

    title: str
    number: str
    issuer: str
    issued_on: date | None
    valid_from: date | None
    valid_until: date | None


def metadata_of(blocks: Sequence[Block], named: str, file_name: str) -> Metadata:
    """What a document says about itself. `named`: the title that its file carries apart from the text, if any."""
    lines = [" ".join(block.cells) if isinstance(block, Row) else block.text for block in blocks]
    title = title_of(blocks, named, file_name)
    head, tail = lines[:HEAD], lines[-HEAD:]
    issued_on = issue_date(head, tail)
    text = "\n".join(lines)
    valid_from = in_force_from(text, issued_on)
    return Metadata(
        title=title[:TITLE_LIMIT],
        number=own_number(head)[:NUMBER_LIMIT],
        issuer=issuer_of(title, head, tail)[:ISSUER_LIMIT],
        issued_on=issued_on,
        valid_from=valid_from,
        valid_until=in_force_until(text, valid_from or issued_on),
    )


def title_of(blocks: Sequence[Block], named: str, file_name: str) -> str:
    """The title: what the file carries, else its first heading, else the first line like one, else the file's name."""
    stem = re.sub(r"\.\w{1,5}$", "", file_name).strip() or file_name
    if named:
        return re.split(r"\s*[_|]\s*|\s+[-–—]\s+", named)[0]
    first = [block for block in blocks[:HEAD] if not isinstance(block, Row)]
    heading = min((block for block in first if isinstance(block, Heading)), key=lambda block: block.level, default=None)
    if heading and heading.level <= 1 and not is_sheet_name(heading.text):
        return heading.text
    for place, block in enumerate(first):
        if TITLE.fullmatch(block.text) and not ORDER.search(block.text):
            before = first[place - 1].text if place else ""
            is_first_half = block.text.startswith("关于") and SIGNATURE.fullmatch(before)
            return before + block.text if is_first_half else block.text
    return stem


def is_sheet_name(text: str) -> bool:
    """Whether this is what spreadsheets call a sheet that nobody has named."""
    return re.fullmatch(r"(?:sheet|工作表)\s*\d*", text, re.IGNORECASE) is not None


def own_number(head: Sequence[str]) -> str:
    """The document's own number: on a line of its own, behind a label, or at the end of the title's line; not one that the
    text refers to in brackets."""
    for line in head:
        order = ORDER.fullmatch(line.strip("（）() "))
        if order:
            return plain_number(order[0])
        for found in NUMBER.finditer(line):
            before, after = line[: found.start()], line[found.end() :].strip("）) 　")
            if not after and "《" not in before and len(before) < 80 and not before.endswith(("（", "(", "》")):
                return plain_number(found[0])
            if re.search(r"(?:文号|字号)\s*[：:；]?\s*$", before):
                return plain_number(found[0])
    both = "".join(line for line in head if len(line) < 30)
    order = ORDER.search(both)
    return plain_number(order[0]) if order and not NUMBER.search(both) else ""


def plain_number(text: str) -> str:
    """A number in one way of writing: 国办发〔2020〕53号, 主席令第45号. Empty when there is none in `text`."""
    if found := NUMBER.search(text):
        return f"{re.sub(r'^.*(?:文号|字号)', '', found[1])}〔{found[2]}〕{int(found[3])}号"
    if found := ORDER.search(text):
        issuer = re.sub(r"^中华人民共和国", "", found[1])
        return f"{issuer}第{integer(found[2])}号"
    return ""


def issuer_of(title: str, head: Sequence[str], tail: Sequence[str]) -> str:
    """Who issued it: behind a label, before 关于 in the title, or in the signature."""
    for line in [*head, *tail]:
        if found := ISSUER_LABEL.search(line):
            return found[1]
    before = title.split("关于", 1)[0].strip() if "关于" in title else ""
    if before and SIGNATURE.fullmatch(before):
        return before
    signed = [line for line in tail if SIGNATURE.fullmatch(line) and line != title]
    return re.sub(r"\s", "", signed[-1]) if signed else ""


def issue_date(head: Sequence[str], tail: Sequence[str]) -> date | None:
    """The day of issue: behind a label, alone on a line at the end or beginning, or in the brackets below the title."""
    for line in [*head, *tail]:
        if (label := ISSUED_LABEL.search(line)) and (found := date_in(line[label.end() : label.end() + 20])):
            return found
    for line in [*reversed(tail), *head]:
        if (match := DATE.fullmatch(line.strip("（）() 　印发"))) and (found := date_of(match)):
            return found
    return next((found for line in head if line.startswith(("（", "(")) and (found := date_in(line))), None)


def in_force_from(text: str, issued_on: date | None) -> date | None:
    """From when it holds: the last such sentence, as it stands at the end of a regulation."""
    found = [date_in(match[1]) for match in IN_FORCE.finditer(text)]
    if found and found[-1]:
        return found[-1]
    at_once = AT_ONCE.search(text)
    if at_once and issued_on:
        return issued_on + timedelta(days=int(at_once[1] or 0))
    return None


def in_force_until(text: str, since: date | None) -> date | None:
    """Until when it holds. Only sentences about the document itself count: a licence may be valid for five years as well."""
    for sentence in re.split(r"[。\n]", text):
        if not re.search(rf"{SELF}|起\s*(?:施行|实施|执行|生效|试行)|^(?:，|,)?有效期", sentence):
            continue
        if (until := UNTIL.search(sentence)) and (found := date_in(until[1])):
            return found
        if (years := YEARS.search(sentence)) and since:
            return day_in_year(since, since.year + integer(years[1])) - timedelta(days=1)
    return None


def repealed_by(text: str) -> list[Named]:
    """The documents that a text says it repeals: 《…》（文号）同时废止."""
    found: list[Named] = []
    for sentence in re.split(r"[。\n]", text):
        if REPEALED.search(sentence):
            said = BY_VIRTUE.sub("", sentence[: REPEALED.search(sentence).end()])  # type: ignore[union-attr]
            found += [Named(match[1], plain_number(match[2] or "")) for match in QUOTED.finditer(said)]
    return found


def core(title: str) -> str:
    """A title for comparing: what is inside 关于印发《…》的通知, without quotes, brackets and blanks."""
    inner = re.search(r"(?:印发|公布|发布|下发|转发)[《〈]?(.+?)[》〉]?的(?:通知|公告|决定|通告)$", title)
    return re.sub(r"[\s《》〈〉“”\"（）()]", "", inner[1] if inner else title)


# --- dates ----------------------------------------------------------------------------------------------------------


def date_in(text: str) -> date | None:
    """The first date in a text."""
    return next((found for match in DATE.finditer(text) if (found := date_of(match))), None)


def date_of(match: re.Match[str]) -> date | None:
    """The date that was matched; None for one that no calendar has."""
    groups = [group for group in match.groups() if group]
    year, month, day = ("".join(DIGITS.get(sign, sign) for sign in groups[-3]), groups[-2], groups[-1])
    try:
        return date(int(year), integer(month), integer(day))
    except ValueError:
        return None


def integer(text: str) -> int:
    """A number below a thousand in digits or characters: 45, 四十五, 一百零三, 两. Raises ValueError."""
    if text.isdecimal():
        return int(text)
    total = 0
    for part, unit in re.findall(r"([〇零○OＯ一二三四五六七八九两]*)([百十]?)", text):
        value = int("".join(DIGITS.get(sign, "2") for sign in part) or (1 if unit else 0))
        total += value * {"百": 100, "十": 10, "": 1}[unit]
    return total


def day_in_year(day: date, year: int) -> date:
    """The same day of another year; for 29 February 1 March where there is none."""
    try:
        return day.replace(year=year)
    except ValueError:
        return date(year, 3, 1)
