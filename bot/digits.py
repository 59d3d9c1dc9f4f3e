"""Numbers as people say and type them: telephone numbers, case numbers, last four digits. Pure, for any Python.

Case numbers carry Damm's check digit (backend/cases/numbers.py makes them); a misheard one is not taken for a number.
"""

import re

SAID = {**dict(zip("零〇幺一二两三四五六七八九", "0011223456789")), "洞": "0", "拐": "7"}  # noqa: B905  # 3.10 and 3.11 alike
ENGLISH = {
    "zero": "0", "oh": "0", "one": "1", "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9",
}  # fmt: skip
DAMM = (
    "0317598642", "7092154863", "4206871359", "1750983426", "6123045978",
    "3674209581", "5869720134", "8945362017", "9438617205", "2581436790",
)  # fmt: skip
"""The quasigroup of H. M. Damm's check digit."""


def digit_runs(text: str) -> list[str]:
    """The runs of digits in `text`, number words included; breath, dashes and spaces inside a run don't end it."""
    lowered = re.sub(r"[a-z]+", lambda word: ENGLISH.get(word.group(), word.group()), text.lower())
    digits = "".join(SAID.get(sign, sign) for sign in lowered)
    joined = re.sub(r"(?<=\d)[\s\-—–,，、。.·]+(?=\d)", "", digits)
    return re.findall(r"(?<![\d.])\+?\d+", joined)


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
    """The case number in `text`, written as 26000-00017, if its check digit is right; else None."""
    for run in digit_runs(text):
        if re.fullmatch(r"\d{10}", run) and check_digit_is_right(run):
            return f"{run[:5]}-{run[5:]}"
    return None


def find_last_digits(text: str) -> str | None:
    """The four digits in `text`, if there is exactly one run of four and no longer one; else None."""
    runs = digit_runs(text)
    fours = [run for run in runs if re.fullmatch(r"\d{4}", run)]
    return fours[0] if len(fours) == 1 and len(runs) == 1 else None


def check_digit_is_right(digits: str) -> bool:
    """Damm's check over all digits, the last of them the check digit."""
    interim = 0
    for digit in digits:
        interim = int(DAMM[interim][int(digit)])
    return interim == 0
