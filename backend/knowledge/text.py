"""Text as search compares it: one script, one width, one case, numbers as digits, without the politeness and hesitation
of speech; and how a text sounds. Pure."""

import itertools
import re
import unicodedata
from functools import lru_cache

import cn2an
from opencc import OpenCC
from pypinyin import lazy_pinyin

from bot.digits import SAID

FILLERS = re.compile(
    r"(喂+|您好|你好|请问一下|请问|麻烦问一下|麻烦问下|我想问一下|我想问下|我想问问|想问一下|想问下|我想咨询一下|我想咨询|想咨询一下|咨询一下"
    r"|问一下|问下|我想了解一下|我想了解|想了解一下|想了解|我想知道|想知道|那个|就是说|就是|这个嘛|嗯+|呃+|哎+|啊|呀|哦|噢|嘛|哈|呢|吧|啦|谢谢|同志|师傅"
    r"|\b(hello|hi|please|excuse me|i would like to know|can you tell me|could you tell me|thanks|thank you)\b)"
)

TO_SIMPLIFIED = OpenCC("t2s")

DIGIT = "[一二两三四五六七八九]"
COUNT = (
    rf"(?:{DIGIT}万)?(?:{DIGIT}千零?)?(?:{DIGIT}百零?)?(?:{DIGIT}?十{DIGIT}?|{DIGIT})"
    rf"|(?:{DIGIT}万)?(?:{DIGIT}千)?{DIGIT}百|{DIGIT}?十?{DIGIT}万(?:{DIGIT}千)?|{DIGIT}千"
)
"""A whole number from 1 to 199,999 in words. 百, 千 and 万 alone are none: 百姓, 千万, 万一."""
NO_NUMBER_BEFORE = "(?<![零〇一二两三四五六七八九十百千万亿几数多第初统唯惟单同之其专某逐另星期周拜])"
"""Before a number: part of a longer or vague number (几十), an ordinal, a day of the week, or a word that ends in 一
(统一, 唯一, 同一, 之一)."""
UNITS = "元|块|岁|周岁|个月|个工作日|工作日|小时|分钟|天|年|周|平方|平米|公里|公斤|斤|米|楼|层|号楼|栋|单元|室|万元|%"
UNITS_OF_ONE = "元|岁|周岁|个月|个工作日|小时|公里|公斤|号楼|单元"
"""Where 一 counts. Before others it often doesn't: 一块儿, 一年到头, 一天到晚, 一层意思."""

NUMBERS = re.compile(
    r"(?P<year>[零〇一二三四五六七八九]{4})(?=年)"
    rf"|{NO_NUMBER_BEFORE}(?P<month>十[一二]?|{DIGIT})(?=月)"
    rf"|(?<=[月0-9])(?P<day>三十一?|二?十{DIGIT}?|{DIGIT})(?=[日号])"
    rf"|(?<=百分之)(?P<percent>{COUNT})"
    rf"|(?<=第)(?P<clause>{COUNT})(?=[条章款项])"
    rf"|{NO_NUMBER_BEFORE}(?P<count>(?!一(?:{UNITS}))(?:{COUNT})(?={UNITS})|一(?={UNITS_OF_ONE}))"
    r"|(?P<digits>(?<![零〇幺一二三四五六七八九十百千万])(?:[零〇幺一二三四五六七八九]{5,}|[一二三四五六七八九幺]*幺[零〇幺一二三四五六七八九]+"
    r"|一一[零〇九]|一二[零〇二])(?![零〇幺一二三四五六七八九十百千万]))"
)
"""Number words that are numbers beyond doubt, by what stands around them. All others stay words: 一般, 一下, 三轮车."""

CONFUSED = (
    (re.compile("^([zcs])h"), r"\1"),
    (re.compile("^l"), "n"),
    (re.compile("(?<=[aei])ng$"), "n"),
)
"""Sounds that speakers of many regions don't keep apart, and speech recognition mistakes: zh/z, ch/c, sh/s, l/n, ang/an,
eng/en, ing/in."""


def normalise(text: str) -> str:
    """`text` for comparing: simplified, NFKC, lower case, number words as digits where they are beyond doubt, no fillers,
    no punctuation, no spaces between Chinese characters. What is normalised stays as it is."""
    before = None
    while text != before:  # what a filler stood between may be one word now
        before, text = text, normalise_once(text)
    return text


def normalise_once(text: str) -> str:
    """One round of `normalise`."""
    plain = TO_SIMPLIFIED.convert(unicodedata.normalize("NFKC", text).lower())
    plain = re.sub(r"(\d+(?:\.\d+)?)\s*%", r"百分之\1", plain)  # the sign would go with the punctuation
    plain = NUMBERS.sub(lambda found: in_digits(found.lastgroup or "", found.group()), plain)
    plain = re.sub(r"[^\w\s]", " ", plain)
    without = FILLERS.sub("", plain)
    kept = without if without.strip() else plain
    return re.sub(r"(?<=[^\x00-\x7f])\s+|\s+(?=[^\x00-\x7f])", "", re.sub(r"\s+", " ", kept)).strip()


def in_digits(kind: str, words: str) -> str:
    """The number that `words` say: digit by digit for a year or a telephone number, else counted."""
    if kind in ("year", "digits"):
        return "".join(SAID[word] for word in words)
    return str(cn2an.cn2an(words, "normal"))


def sounds(text: str) -> list[str]:
    """How a normalised text sounds: a syllable without its tone for each Chinese character, sounds that are often confused
    made one; Latin words and numbers as they are. 居住正 sounds like 居住证."""
    return [merged(sound) for run in lazy_pinyin(text) for sound in run.split()]


@lru_cache(maxsize=4096)  # there are some 1,300 syllables; what else comes may push them out, no more
def merged(syllable: str) -> str:
    """The syllable that stands for all that it is confused with."""
    for sound, instead in CONFUSED:
        syllable = sound.sub(instead, syllable)
    return syllable


def grams(text: str) -> list[str]:
    """What a normalised text is compared by: one to three neighbouring Chinese characters, and whole Latin words or numbers
    alone and in pairs (English letters in threes would make all English questions look alike)."""
    found: list[str] = []
    for run in re.findall(r"[^\x00-\x7f]+", text):
        for length in (1, 2, 3):
            found += [run[begin : begin + length] for begin in range(len(run) - length + 1)]
    words = re.findall(r"[a-z0-9]+", text)
    stems = [word.rstrip("s") if len(word) > 3 else word for word in words]
    return found + stems + [f"{one} {two}" for one, two in itertools.pairwise(stems)]
