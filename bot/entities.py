"""Who, where, when and which authority a citizen speaks of. Pure but for `Gazetteer.read`, for any Python."""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import yaml

from bot.digits import NUMBER, in_digits


@dataclass(frozen=True)
class Found:
    """One entity: what it is, its value, and where in the text it stands."""

    entity: str
    value: str
    start: int
    end: int


# --- when -----------------------------------------------------------------------------------------------------------

HOUR = rf"{NUMBER}点(?:钟|半|一刻|多|{NUMBER}分?)?"
DAY_PART = "一大早|大清早|清早|凌晨|早上|早晨|上午|中午|晌午|下午|傍晚|晚上|半夜|后半夜|夜里|白天"
DAY = (
    r"大前天|大前晚|前天|昨天|昨儿个?|昨晚|昨夜|前晚|今天|今儿个?|今早|今晚|明天|刚刚|刚才"
    r"|上+个?(?:星期|礼拜|周)[一二三四五六日天末]?|这个?(?:星期|礼拜|周)[一二三四五六日天末]?|(?:星期|礼拜|周)[一二三四五六日天末]|每周末"
    r"|上个?月(?:初|中|底)?|这个月|本月|(?:去年|前年|今年)?(?:春天|夏天|秋天|冬天)|去年|前年|今年|元旦|春节|国庆节?|中秋节?|端午节?|清明节?|过年"
)
DAY_OF_MONTH = r"(?:[12]?\d|3[01]|二?十?[一二三四五六七八九]|[二三]?十)[日号]"
DATE = (
    rf"{NUMBER}年(?!多|前|以前|之前)|{NUMBER}月(?:{NUMBER}[日号]|份|初|[上中下]旬|底)?"
    rf"|(?<![路街巷道\d零一二三四五六七八九十百]){DAY_OF_MONTH}(?=$|[早上中下晚开，。 ])"
)
SPAN = rf"(?:{NUMBER}|半|几|好几|两三|十几)(?:多)?(?:个)?(?:多)?(?:天|周|星期|礼拜|月|年|小时|钟头|分钟)(?:多|前|以前|之前)?"
ENGLISH_TIME = (
    r"\b(?:yesterday|today|tonight|this (?:morning|afternoon|evening|week|month)|last (?:night|week|month|year"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day)|(?:on |since )?(?:mon|tues|wednes|thurs|fri|satur|sun)day"
    r"|(?:about )?(?:a|an|one|two|three|four|five|six|ten|\d+) (?:hours?|days?|weeks?|months?|years?)(?: ago)?)\b"
)
MOMENT = rf"(?:{DAY}|{DATE}|{SPAN}|{DAY_PART}|{HOUR})"
TIME = re.compile(rf"{MOMENT}(?:的?{MOMENT})*|{ENGLISH_TIME}", re.IGNORECASE)


def find_times(text: str) -> list[Found]:
    """The times in `text`; number words are digits in their values: 两千零二十五年 is 2025年."""
    return [Found("time", in_digits(match.group()), *match.span()) for match in TIME.finditer(text)]


# --- who ------------------------------------------------------------------------------------------------------------

SURNAME = (
    "(?:欧阳|司马|上官|诸葛|司徒|[王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋"
    "蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文])"
)
"""Common surnames of one character, and some of two."""
TITLE = (
    "师傅|科长|局长|处长|所长|主任|经理|先生|女士|小姐|老师|医生|大夫|护士|大爷|大妈|大姐|大哥|阿姨|叔叔|书记|警官"
    "|老板|队长|厂长|院长|校长|律师|村长|组长|站长|同志|奶奶|爷爷"
)
PERSON = re.compile(
    rf"(?<=姓){SURNAME}|(?:(?<=叫)|(?<=叫我))[老小]{SURNAME}"
    rf"|(?<=我叫){SURNAME}[\u4e00-\u9fff]{{1,2}}(?=$|[，。,. ])"
    rf"|{SURNAME}(?:{TITLE})|(?<=surname is )\w+|(?<=name is )\w+(?: [A-Z]\w+)?|\b(?:Mr|Mrs|Ms|Miss|Dr)\.? [A-Z]\w+"
)


def find_people(text: str) -> list[Found]:
    """The people in `text`: 我姓王, 李师傅, 张科长, my name is Li Hua."""
    return [Found("person", match.group(), *match.span()) for match in PERSON.finditer(text)]


# --- which authority, and where ---------------------------------------------------------------------------------------

OFFICES = (
    "城管局|城管|人社局|医保局|住建局|房管局|市监局|市场监管局|工商局|教育局|卫健委|疾控中心|环保局|生态环境局|民政局|司法局"
    "|税务局|信访局|残联|农业局|应急局|公安局|交警队|交警大队|交警支队|派出所|消防队|街道办事处|街道办|社区居委会|居委会|村委会"
    "|公积金中心|不动产登记中心|政务大厅|水务集团|自来水公司|供电公司|供电局|电力局|燃气公司|热力公司|邮政局|法院|检察院|劳动局"
    "|劳动监察大队|市政府|区政府|县政府|镇政府"
)
"""What people call an authority whose name in nlu_data/agencies.csv is longer."""
NOT_IN_NAMES = "我你他她它们在住到从是的就有这那了不吗呢啊嗯哎去找往靠离跟叫个于要想反映诉，。"
"""Characters that stand around names of places far more often than in them."""
NAME = rf"(?:(?![{NOT_IN_NAMES}])(?!(?<=[路街巷])和)[\u4e00-\u9fff]){{1,6}}?"
KIND = (
    "大道|路|街道|街|巷|胡同|小区|花园|家园|新村|公寓|山庄|苑|名邸|大厦|广场|公园|菜市场|菜场|农贸市场|市场|超市|医院|卫生院|小学|中学|学校|幼儿园"
    "|地铁站|公交站|汽车站|火车站|加油站|体育馆|图书馆|桥|镇|乡|村|区|县"
)
PART = rf"(?:[A-Za-z]|{NUMBER}|[东南西北前后正])(?:号楼|号院|号|栋|幢|单元|楼|层|室|期|组|区|门|口)"
NEAR = "门口|旁边|附近|对面|后面|前面|后头|楼下|路口|交叉口"
ENGLISH_PLACE = (
    r"\b(?:No\. ?\d+ )?(?:[A-Z]\w+ ){1,3}(?:Road|Street|District|Garden|Bridge|Square|Park|County)\b"
    r"|\b(?:building|entrance) (?:\d+|one|two|three)\b"
)


class Gazetteer:
    """The city's districts, streets and authorities, and what finds them in a text."""

    def __init__(self, places: list[str], agencies: list[str]) -> None:
        known_agencies = "|".join(map(re.escape, longest_first(agencies)))
        known_places = "|".join(map(re.escape, longest_first(places)))
        self._agency = re.compile(rf"(?:{known_agencies}|(?:{known_places}|[市区县])?(?:{OFFICES}))")
        named = rf"(?:{known_places}|{NAME}(?:{KIND}))"
        self._place = re.compile(
            rf"{named}(?:(?!路灯)(?:{named}|{KIND}))*(?: ?{PART})*(?:{NEAR})?|{PART}(?: ?{PART})+(?:{NEAR})?|{ENGLISH_PLACE}"
        )

    @classmethod
    def read(cls, folder: Path) -> "Gazetteer":
        """The gazetteer of city.yml and agencies.csv in `folder`."""
        city = yaml.safe_load((folder / "city.yml").read_text(encoding="utf-8"))
        with (folder / "agencies.csv").open(encoding="utf-8", newline="") as file:
            agencies = [row["name"] for row in csv.DictReader(file)]
        streets = [
            re.sub("办事处$|人民政府$", "", name) for name in agencies if re.search("街道办事处$|镇人民政府$", name)
        ]
        return cls(
            [city["name"], *city["districts"], *streets], [*agencies, *(name.removeprefix("市") for name in agencies)]
        )

    def find(self, text: str) -> list[Found]:
        """The authorities and places in `text`; an authority's name isn't a place as well."""
        agencies = [Found("agency", match.group(), *match.span()) for match in self._agency.finditer(text)]
        rest = text
        for found in [*agencies, *find_times(text), *find_people(text)]:
            rest = rest[: found.start] + "，" * (found.end - found.start) + rest[found.end :]
        return agencies + [Found("place", match.group(), *match.span()) for match in self._place.finditer(rest)]


def longest_first(names: list[str]) -> list[str]:
    """The names, so that the first that fits is the whole of what was said."""
    return sorted(set(names), key=len, reverse=True)
