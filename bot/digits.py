"""Numbers as people say and type them: telephone numbers, case numbers, last four digits. Pure, for any Python.

Case numbers carry Damm's check digit (backend/cases/numbers.py makes them); a misheard one is not taken for a number.
"""

import re

SAID = {**dict(zip("零〇幺一二两三四五六七八九", "0011223456789")), "洞": "0", "拐": "7"}  # noqa: B905  # 3.10 and 3.11 alike
SPOKEN = dict(zip("0123456789", "零幺二三四五六七八九"))  # noqa: B905
ENGLISH = {
    "zero": "0", "oh": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9",
}  # fmt: skip
NUMBER = r"(?:\d+|[零〇一二两三四五六七八九十百千]+)"
"""A whole number, in digits or in words, as part of a pattern."""
LAST_FOUR = re.compile(r"[四4]位|last four", re.IGNORECASE)
"""Says of digits that they are the last four, and is none of them."""
TENS = {"十": 10, "百": 100, "千": 1000}
DAMM = (
    "0317598642", "7092154863", "4206871359", "1750983426", "6123045978",
    "3674209581", "5869720134", "8945362017", "9438617205", "2581436790",
)  # fmt: skip
"""The quasigroup of H. M. Damm's check digit."""


def digit_runs(text: str) -> list[str]:
    """The runs of digits in `text`, number words included; breath, dashes and spaces inside a run don't end it.

    Digits said by their count are written out: 一三八四个零再四个零 is one run, and so is one three eight double oh.
    """
    lowered = re.sub(r"[a-z]+", lambda word: ENGLISH.get(word.group(), word.group()), text.lower())
    digits = "".join(SAID.get(sign, sign) for sign in lowered)
    digits = re.sub(r"double\s*(\d)", r"\1\1", re.sub(r"triple\s*(\d)", r"\1\1\1", digits))
    digits = re.sub(r"([2-9])个(\d)", lambda said: said[2] * int(said[1]), digits)
    joined = re.sub(r"(?<=\d)(?:[\s\-—–,，、。.·]|后面|然后|接着|再|then)+(?=\d)", "", digits)
    return re.findall(r"(?<![\d.])\+?\d+", joined)


def in_digits(text: str) -> str:
    """`text` with its number words as digits: 两千零二十五年 is 2025年, 二零二五年 too, 十一月二十号 is 11月20号."""
    return re.sub(NUMBER, lambda found: number(found.group()), text)


def number(words: str) -> str:
    """The digits of a number in words up to 9999: counted (两千零二十五, 一百五) or said one by one (二零二五)."""
    if not set(words) & set(TENS):
        return "".join(SAID.get(word, word) for word in words)
    total, digit, last = 0, 0, 1
    for place, word in enumerate(words):
        if word in TENS:
            last = TENS[word]
            total += (digit or (place == 0 or words[place - 1] in "零〇")) * last
            digit = 0
        else:
            digit = int(SAID[word])
    shortened = len(words) > 1 and words[-2] in "百千"  # 一百五 is 150, 一百零五 is 105
    return str(total + digit * (last // 10 if shortened else 1))


def find_phone(text: str) -> str | None:
    """The Chinese mobile or fixed-line number in `text`, in E.164, or None."""
    for run in digit_runs(text):
        national = re.sub(r"^(\+86|0086|86(?=1\d{10}$))", "", run)
        if re.fullmatch(r"1[3-9]\d{9}", national):
            return f"+86{national}"
        if re.fullmatch(r"0(10|2\d|[3-9]\d{2})[2-8]\d{6,7}", national):
            return f"+86{national[1:]}"
    return None


def find_case_number(text: str) -> str | None:
    """The case number in `text`, written as 26000-00023, if its check digit is right; else None. The last four digits of a
    telephone may follow in the same breath."""
    for run in digit_runs(LAST_FOUR.sub("：", text)):
        if re.fullmatch(r"\d{10}(\d{4})?", run) and check_digit_is_right(run[:10]):
            return f"{run[:5]}-{run[5:10]}"
    return None


def find_last_digits(text: str) -> str | None:
    """The four digits in `text`, if beside them there is only a case number and single digits (查一下); else None."""
    runs = [run[10:] if find_case_number(run) else run for run in digit_runs(LAST_FOUR.sub("：", text))]
    told = [run for run in runs if len(run) > 1]
    return told[0] if len(told) == 1 and re.fullmatch(r"\d{4}", told[0]) else None


def said(digits: str) -> str:
    """Digits as they are said on the telephone, one by one, 1 as 幺; other signs stay."""
    return "".join(SPOKEN.get(digit, digit) for digit in digits)


def check_digit_is_right(digits: str) -> bool:
    """Damm's check over all digits, the last of them the check digit."""
    interim = 0
    for digit in digits:
        interim = int(DAMM[interim][int(digit)])
    return interim == 0
