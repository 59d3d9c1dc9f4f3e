"""/open-data: aggregates for everybody, as csv and JSON, with their data dictionary; no key is needed."""

from flask import Blueprint, Response, jsonify

from backend.city import city_name
from backend.insight import open_data
from backend.parts import parts
from backend.spreadsheet import Table

blueprint = Blueprint("open_data", __name__, url_prefix="/open-data")

FRESH_FOR = 3600
"""Seconds for which others may keep an answer: it changes once a month."""


@blueprint.get("/cases.csv")
def give_csv() -> Response:
    """Every published figure, a line each."""
    with parts().database.read() as session:
        found = open_data.rows(session)
    lines = [row | {"suppressed": "true" if row["suppressed"] else "false"} for row in found]
    table = Table("cases", {name: name for name in open_data.DICTIONARY}, limit=0)
    return fresh(Response(table.write_csv(lines), mimetype="text/csv"))


@blueprint.get("/cases.json")
def give_json() -> Response:
    """The same with its dictionary."""
    with parts().database.read() as session:
        body = {
            "publisher": f"{city_name('zh')} 12345",
            "dictionary": open_data.DICTIONARY,
            "rows": open_data.rows(session),
        }
    return fresh(jsonify(body))


@blueprint.get("/dictionary.json")
def give_dictionary() -> Response:
    """What the columns mean."""
    return fresh(jsonify(open_data.DICTIONARY))


def fresh(answer: Response) -> Response:
    """For programs of any site, and for caches."""
    answer.headers["Access-Control-Allow-Origin"] = "*"
    answer.headers["Cache-Control"] = f"public, max-age={FRESH_FOR}"
    return answer
