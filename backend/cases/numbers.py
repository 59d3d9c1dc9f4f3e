"""Case numbers: two groups of five digits that a person can say, the last of them a check digit. Pure.

The check digit is Damm's (H. M. Damm, 2004; python-stdnum): it notices every single wrong digit and every two
neighbours that were swapped, the two mistakes of the telephone.
"""

import re
from typing import Final

from stdnum import damm

from bot.digits import said

SERIALS_A_YEAR: Final = 10_000_000
WRITTEN: Final = str.maketrans("零〇幺一二两三四五六七八九０１２３４５６７８９", "00112234567890123456789")


class NumberRefused(ValueError):
    """The text is not a case number."""


def make_number(year: int, serial: int) -> str:
    """The number of the `serial`-th case (from 1) of `year`, for example 26000-00015."""
    if not 0 < serial < SERIALS_A_YEAR:
        raise ValueError(f"serial {serial} does not fit into a case number")
    digits = f"{year % 100:02d}{serial:07d}"
    return group(digits + damm.calc_check_digit(digits))


def parse_number(text: str) -> str:
    """The case number that `text` holds, as it is written, whatever separates its digits.

    Raises NumberRefused when there are not ten digits, or the check digit says that one is wrong.
    """
    digits = re.sub(r"[\s\-—–,，、.。·]", "", text.translate(WRITTEN))
    if not re.fullmatch(r"\d{10}", digits, re.ASCII):
        raise NumberRefused("a case number has ten digits")
    if not damm.is_valid(digits):
        raise NumberRefused("a digit of this case number is wrong")
    return group(digits)


def group(digits: str) -> str:
    """Ten digits as they are written."""
    return f"{digits[:5]}-{digits[5:]}"


def spoken(number: str, locale: str) -> str:
    """The number as it is said on the telephone: digit by digit, a pause between the groups."""
    first, second = number.split("-")
    if locale == "en":
        return f"{' '.join(first)}, {' '.join(second)}"
    return f"{said(first)}，{said(second)}"
