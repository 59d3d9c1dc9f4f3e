"""Text as search compares it: one width, one case, without the politeness and hesitation of speech. Pure."""

import itertools
import re
import unicodedata

FILLERS = re.compile(
    r"(喂+|您好|你好|请问一下|请问|麻烦问一下|麻烦问下|我想问一下|我想问下|我想问问|想问一下|想问下|我想咨询一下|我想咨询|想咨询一下|咨询一下"
    r"|问一下|问下|我想了解一下|我想了解|想了解|我想知道|想知道|那个|就是说|就是|这个嘛|嗯+|呃+|哎+|啊|呀|哦|噢|嘛|哈|呢|吧|啦|谢谢|同志|师傅"
    r"|\b(hello|hi|please|excuse me|i would like to know|can you tell me|could you tell me|thanks|thank you)\b)"
)


def normalise(text: str) -> str:
    """`text` for comparing: NFKC, lower case, no fillers, no punctuation, no spaces between Chinese characters."""
    plain = unicodedata.normalize("NFKC", text).lower()
    plain = re.sub(r"[^\w\s]", " ", plain)
    without = FILLERS.sub("", plain)
    kept = without if without.strip() else plain
    return re.sub(r"(?<=[^\x00-\x7f])\s+|\s+(?=[^\x00-\x7f])", "", re.sub(r"\s+", " ", kept)).strip()


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
