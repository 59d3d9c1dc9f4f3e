"""A report as files: docx by a template that a city may edit in a word processor (report_template.docx), pdf by fpdf2; both
with the same charts. The font comes with a package, as a server may have none with Chinese characters."""

import io
import re
from typing import Any, Final

import matplotlib as mpl
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.shared import Cm, Pt
from docx.table import Table
from docxtpl import DocxTemplate, InlineImage
from fpdf import FPDF
from fpdf.fonts import FontFace
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.ticker import MaxNLocator
from pylopdf_fonts_zh_cn import sans_path

from backend.settings import ROOT

mpl.use("Agg")

TEMPLATE: Final = ROOT / "backend" / "insight" / "report_template.docx"
FONT: Final = FontProperties(fname=str(sans_path()))
BLUE, GREEN, SOFT, BLACK = "#0b5cad", "#15803d", "#5b6775", "#000000"
WIDTH: Final = 16.4
"""Between the margins of the template, in cm."""
CHINESE, CLOSING, OPENING = "\u4e00-\u9fff", "，。；：、！？）》”", "（《“"
BREAK: Final = re.compile(
    rf"(?<=[\s{CHINESE}{CLOSING}])(?=[^\s{CLOSING}])|(?<![\s{OPENING}])(?=[{CHINESE}])",
)
"""Where a line may end: behind a space or a Chinese character, or before one, but no line begins with a mark that closes and
none ends with one that opens (GB/T 15834)."""
LABELS: Final = 16
"""Labels below a chart that can be read."""

Content = dict[str, Any]


def chart(wanted: Content) -> bytes:
    """A chart as PNG: lines over days, or bars with the largest on top."""
    figure = Figure(figsize=(7.2, 2.9), dpi=150, layout="constrained")
    axes = figure.subplots()
    labels, lines = wanted["labels"], wanted["lines"]
    if wanted["kind"] == "lines":
        for line, colour in zip(lines, (BLUE, GREEN), strict=True):
            axes.plot(range(len(labels)), line["values"], color=colour, label=line["name"], linewidth=1.8)
        step = -(-len(labels) // LABELS)
        axes.set_xticks(range(0, len(labels), step), labels[::step])
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(prop=FONT, frameon=False)
        axes.grid(axis="y", color="#dde3ea")
    else:
        places = range(len(labels))
        bars = axes.barh(places, lines[0]["values"], color=BLUE)
        axes.bar_label(bars, padding=3)
        axes.set_yticks(places, labels)
        axes.invert_yaxis()
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(wanted["title"], fontproperties=FONT, fontsize=11, loc="left")
    for text in (*axes.get_xticklabels(), *axes.get_yticklabels()):
        text.set_fontproperties(FONT)
        text.set_fontsize(9)
    axes.spines[["top", "right"]].set_visible(False)
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png")
    return drawn.getvalue()


def docx(content: Content) -> bytes:
    """The report in the template: `title`, `period`, `made`, `sections` (heading, paragraph, chart, table), `sources`."""
    template = DocxTemplate(TEMPLATE)
    sections = [
        one | {"chart": InlineImage(template, io.BytesIO(chart(one["chart"])), width=Cm(WIDTH)) if one["chart"] else ""}
        for one in content["sections"]
    ]
    template.render(content | {"sections": sections}, autoescape=True)
    ours = [one["table"]["columns"] for one in content["sections"] if one["table"]]
    for table in template.docx.tables:
        if [cell.text for cell in table.rows[0].cells] in ours:  # a city's template may have others
            lay_out(table)
    written = io.BytesIO()
    template.save(written)
    return written.getvalue()


def lay_out(table: Table) -> None:
    """In docx what the pdf has: wide columns of words, numbers on the right. A template can't say it of columns that it
    doesn't know."""
    cells = [row.cells for row in table.rows]
    words = are_words([cell.text for cell in cells[-1]])
    parts = [2 if one else 1 for one in words]
    table.autofit = False
    for column, part in zip(table.columns, parts, strict=True):
        column.width = Cm(WIDTH * part / sum(parts))
    for row in cells:
        for cell, part, one in zip(row, parts, words, strict=True):
            cell.width = Cm(WIDTH * part / sum(parts))
            for paragraph in cell.paragraphs:
                paragraph.alignment = WD_ALIGN_PARAGRAPH.LEFT if one else WD_ALIGN_PARAGRAPH.RIGHT
                for run in paragraph.runs:
                    run.font.size = Pt(8)


def are_words(row: list[str]) -> list[bool]:
    """Which cells of a row hold words; the others hold numbers, or the dash that stands for none."""
    return [not cell.lstrip("<")[:1].isdigit() and cell != "—" for cell in row]


class Paper(FPDF):
    """A4 pages with their number."""

    def footer(self) -> None:
        """The number of the page."""
        self.set_y(-12)
        self.set_font("sans", size=8)
        self.set_text_color(*rgb(SOFT))
        self.cell(0, 6, str(self.page_no()), align="C")


def pdf(content: Content) -> bytes:
    """The report as pdf, with the font in it."""
    paper = Paper()
    paper.set_margins(20, 18)
    paper.set_auto_page_break(True, 18)
    paper.add_font("sans", "", sans_path())
    paper.set_title(f"{content['title']} {content['period']}")
    paper.set_lang("en" if content["locale"] == "en" else "zh-CN")
    paper.add_page()
    write(paper, content["title"], 20, BLUE)
    write(paper, content["period"], 12)
    write(paper, content["made"], 9, SOFT)
    for one in content["sections"]:
        paper.ln(3)
        if paper.will_page_break(30):  # a heading stays with what is below it
            paper.add_page()
        write(paper, one["heading"], 14, BLUE)
        write(paper, one["paragraph"], 11)
        if one["chart"]:
            paper.image(io.BytesIO(chart(one["chart"])), w=paper.epw, alt_text=one["chart"]["title"])
        if one["table"]:
            write_table(paper, one["table"])
    paper.ln(3)
    if paper.will_page_break(30):
        paper.add_page()
    write(paper, content["sources_heading"], 14, BLUE)
    for number, source in enumerate(content["sources"], 1):
        paper.set_font("sans", size=9)
        paper.set_text_color(*rgb(BLACK))
        paper.write(5, f"[{number}] {source['text']} ")
        paper.set_text_color(*rgb(BLUE))
        paper.write(5, source["address"], link=source["address"])
        paper.ln(6)
    return bytes(paper.output())


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green, blue of #rrggbb."""
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


def write(paper: FPDF, text: str, size: int, colour: str = BLACK) -> None:
    """A paragraph. `size` in points."""
    paper.set_font("sans", size=size)
    paper.set_text_color(*rgb(colour))
    for line in lines_of(paper, text, paper.epw - 2 * paper.c_margin):
        paper.cell(0, size * 0.55, line, new_x="LMARGIN", new_y="NEXT")
    paper.ln(size * 0.12)


def lines_of(paper: FPDF, text: str, width: float) -> list[str]:
    """A text in lines of `width` mm at most; fpdf2 itself would end a line of Chinese at spaces alone."""
    lines = [""]
    for piece in BREAK.split(text):
        if lines[-1] and paper.get_string_width(lines[-1] + piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return [line.rstrip() for line in lines]


def write_table(paper: FPDF, wanted: Content) -> None:
    """A table; columns of words are wide, those of numbers stand on the right."""
    paper.set_font("sans", size=9)
    paper.set_text_color(*rgb(BLACK))
    words = are_words(wanted["rows"][0])
    sides = tuple("LEFT" if one else "RIGHT" for one in words)
    with paper.table(
        col_widths=tuple(5 if one else 2 for one in words),
        text_align=sides,
        borders_layout="HORIZONTAL_LINES",
        headings_style=FontFace(emphasis="", color=rgb(SOFT)),
        line_height=6,
    ) as table:
        for cells in (wanted["columns"], *wanted["rows"]):
            table.row(cells)
