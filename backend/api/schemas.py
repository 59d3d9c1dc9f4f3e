"""The shapes of the JSON API, from which its OpenAPI description is made."""

from flask_smorest import Api
from flask_smorest.fields import Upload
from marshmallow import Schema, fields, validate

from backend.conversations.rules import MESSAGE_LIMIT


class ErrorOut(Schema):
    """Any refusal: a code for programs, and the sentence in the language asked for (header X-Locale: zh, en)."""

    code = fields.String(required=True)
    message = fields.String(required=True)


class JsonApi(Api):  # type: ignore[misc]  # flask-smorest has no types
    """The API with its description; every refusal looks like ErrorOut."""

    ERROR_SCHEMA = ErrorOut


class ChoiceOut(Schema):
    """Something to choose; sending its label chooses it."""

    label = fields.String(required=True)


class WordingOut(Schema):
    """A phrase of the bot's in one language, as the city says it."""

    key = fields.String(required=True)
    language = fields.String(required=True)
    text = fields.String(required=True)
    speech = fields.String(required=True)


class SourceOut(Schema):
    """Where an answer comes from."""

    title = fields.String(required=True)
    issuer = fields.String(required=True)
    number = fields.String(required=True)
    url = fields.String()


class ReplyOut(Schema):
    """One reply, as a chat page shows it."""

    text = fields.String(required=True)
    speech = fields.String(required=True)
    choices = fields.List(fields.Nested(ChoiceOut), required=True)
    expects = fields.String(required=True)
    sources = fields.List(fields.Nested(SourceOut), required=True)
    act = fields.String(required=True)


class ConversationIn(Schema):
    """How a chat begins."""

    locale = fields.String(load_default="zh", validate=validate.OneOf(["zh", "en"]))
    leaving = fields.String(
        load_default=None,
        allow_none=True,
        validate=validate.Length(max=40),
        metadata={
            "description": "the chat that the citizen leaves for this one, whose token is in the header; it ends"
        },
    )


class ConversationOut(Schema):
    """A chat that has begun; `token` goes into the header X-Conversation-Token of every further request."""

    id = fields.String(required=True)
    token = fields.String(required=True)
    replies = fields.List(fields.Nested(ReplyOut), required=True)


class MessageIn(Schema):
    """What the citizen says. `key` is the page's own name for the message: sent twice, it counts once."""

    text = fields.String(required=True, validate=validate.Length(max=MESSAGE_LIMIT * 2))
    key = fields.String(load_default=None, allow_none=True, validate=validate.Length(min=1, max=60))


class PhotoIn(Schema):
    """A photo: JPEG, PNG, GIF or WebP of at most 10 MB."""

    photo = Upload(required=True)


class PhotoKeyIn(Schema):
    """The page's own name for the photo: sent twice, it counts once."""

    key = fields.String(load_default=None, allow_none=True, validate=validate.Length(min=1, max=60))


class PhotoOut(Schema):
    """A photo that was sent; the address is good for a day."""

    name = fields.String(required=True)
    url = fields.String(required=True)


class MessageOut(Schema):
    """What is answered, and who has the conversation now: bot, waiting, operator, closed."""

    replies = fields.List(fields.Nested(ReplyOut), required=True)
    state = fields.String(required=True)


class TurnOut(Schema):
    """One turn on the record."""

    number = fields.Integer(required=True)
    speaker = fields.String(required=True)
    text = fields.String(required=True)
    choices = fields.List(fields.Nested(ChoiceOut), required=True)
    sources = fields.List(fields.Nested(SourceOut), required=True)
    act = fields.String(required=True)
    photos = fields.List(fields.Nested(PhotoOut), required=True)
    said_at = fields.DateTime(required=True)


class TurnsIn(Schema):
    """Which turns: those after number `after`."""

    after = fields.Integer(load_default=0, validate=validate.Range(min=0, max=2**31 - 1))


class TurnsOut(Schema):
    """The turns asked for, the state, and the place in the queue while waiting."""

    turns = fields.List(fields.Nested(TurnOut), required=True)
    state = fields.String(required=True)
    position = fields.Integer(allow_none=True, required=True)
    minutes = fields.Integer(
        allow_none=True, required=True, metadata={"description": "expected wait, where one can be foretold"}
    )
    typing = fields.Boolean(required=True, metadata={"description": "the operator is typing"})


class AnswerIn(Schema):
    """A question of the citizen, or the id of the article that was chosen."""

    question = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=MESSAGE_LIMIT))
    article = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=80))
    in_form = fields.Boolean(load_default=False)


class FeedbackIn(Schema):
    """Whether the last answer helped."""

    solved = fields.Boolean(required=True)


class SearchIn(Schema):
    """A search of the published knowledge."""

    q = fields.String(required=True, validate=validate.Length(min=1, max=500))
    limit = fields.Integer(load_default=5, validate=validate.Range(min=1, max=20))


class FoundOut(Schema):
    """One article found; `verdict` (answer, clarify, unknown) is of the whole search, `score` 0 to 1 of the article."""

    id = fields.String(required=True)
    question = fields.String(required=True)
    answer = fields.String(required=True)
    speech = fields.String(required=True)
    score = fields.Float(required=True)
    verdict = fields.String(required=True)
    sources = fields.List(fields.Nested(SourceOut), required=True)


class AssistIn(Schema):
    """What an operator has typed so far, and the conversation that they are in."""

    q = fields.String(
        required=True,
        validate=validate.Length(min=1, max=500),
        metadata={"description": "words, half words and half sentences"},
    )
    conversation = fields.String(
        load_default=None,
        validate=validate.Length(min=1, max=40),
        metadata={"description": "its last answer and the district spoken of are kept in mind"},
    )
    limit = fields.Integer(load_default=5, validate=validate.Range(min=1, max=20))


class SuggestionOut(FoundOut):
    """One thing found for an operator: `snippet` is the sentence nearest to what was typed, `reply` what can be sent to the
    citizen in their language, `speech` what can be said on the telephone."""

    snippet = fields.String(required=True)
    reply = fields.String(required=True)


class CaseIn(Schema):
    """A case to be filed. `contact` is a telephone number, `anonymous`, or `caller` (of the conversation)."""

    what = fields.String(required=True, validate=validate.Length(min=1, max=4000))
    place = fields.String(load_default="", validate=validate.Length(max=300))
    since = fields.String(load_default="", validate=validate.Length(max=200))
    contact = fields.String(load_default="anonymous", validate=validate.Length(max=30))
    locale = fields.String(load_default="zh", validate=validate.OneOf(["zh", "en"]))
    conversation_id = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=40))
    key = fields.String(load_default=None, allow_none=True, validate=validate.Length(min=1, max=80))
    together = fields.Boolean(
        load_default=None,
        allow_none=True,
        metadata={
            "description": "told of their neighbours, the citizen said that theirs is (not) the same; null: not asked"
        },
    )


class NeighboursIn(Schema):
    """What is about to be filed, as far as it is known."""

    what = fields.String(required=True, validate=validate.Length(min=1, max=4000))
    place = fields.String(load_default="", validate=validate.Length(max=300))
    contact = fields.String(load_default="anonymous", validate=validate.Length(max=30))
    conversation_id = fields.String(load_default=None, allow_none=True, validate=validate.Length(max=40))


class NeighboursOut(Schema):
    """How many other citizens have reported the same matter at the same place; 0 for fewer than can be told without anybody
    being recognised. Nothing in it says who they are or what they said."""

    citizens = fields.Integer(required=True)
    place = fields.String(required=True)


class CaseOut(Schema):
    """A case; nothing in it says who filed it."""

    number = fields.String(required=True)
    number_spoken = fields.String(required=True)
    version = fields.Integer(required=True)
    state = fields.String(required=True)
    what = fields.String(required=True)
    place = fields.String(required=True)
    since = fields.String(required=True)
    category = fields.String(required=True)
    agency = fields.String(required=True)
    agency_code = fields.String(required=True)
    certainty = fields.Float(required=True)
    filed_at = fields.DateTime(required=True)
    due_at = fields.DateTime(required=True)
    due = fields.String(required=True)
    due_spoken = fields.String(required=True)


class CaseStateIn(Schema):
    """What a citizen must know to be told where a case stands."""

    last_digits = fields.String(required=True, validate=validate.Length(max=10))
    locale = fields.String(load_default="zh", validate=validate.OneOf(["zh", "en"]))


class CaseStateOut(Schema):
    """Where a case stands, for the citizen."""

    number = fields.String(required=True)
    state = fields.String(required=True)
    agency = fields.String(required=True)
    due = fields.String(required=True)  # empty once it is answered, or has ended
    due_spoken = fields.String(required=True)
    note = fields.String(required=True)
    to_rate = fields.Boolean(required=True)  # answered, and the citizen hasn't said yet whether it is solved


class ActIn(Schema):
    """What an act needs, by the table of the case's life: note, agency, and the answers of a return visit. `version` is that
    of the case as it was when this was decided."""

    version = fields.Integer(load_default=None, allow_none=True, validate=validate.Range(min=1, max=2**31 - 1))
    note = fields.String(load_default="", validate=validate.Length(max=4000))
    agency = fields.String(load_default="", validate=validate.Length(max=40))
    contacted = fields.String(load_default="", validate=validate.OneOf(["", "yes", "no"]))
    solved = fields.String(load_default="", validate=validate.OneOf(["", "yes", "no"]))
    satisfied = fields.String(load_default="", validate=validate.OneOf(["", "yes", "no"]))
