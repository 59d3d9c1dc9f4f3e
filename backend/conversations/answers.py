"""What the bot says to a question, and to whether that helped: knowledge turned into replies.

The bot's own parts call this through the API (bot/replies.py, bot/actions); the words are in phrases.yml.
"""

import json
from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from backend import watch
from backend.clock import Clock
from backend.conversations.context import Context, context_of, said_by_citizen
from backend.conversations.models import Conversation
from backend.conversations.rules import choosing, needs_person
from backend.conversations.service import PHRASES, get_conversation, handoff_reply, last_reply, turns_after
from backend.database import Database
from backend.knowledge.rules import CLARIFY_AMONG
from backend.knowledge.service import Answerable, Found, Knowledge, SpokenPassage, log_gap
from bot.client import Choice, Reply, Source

YES_WORDS = (
    "是",
    "是的",
    "对",
    "对的",
    "解决",
    "解决了",
    "好了",
    "可以了",
    "知道了",
    "明白了",
    "清楚了",
    "yes",
    "it did",
    "solved",
)
NO_WORDS = (
    "不",
    "不是",
    "没有",
    "没",
    "没解决",
    "没有解决",
    "不行",
    "还没有",
    "没用",
    "no",
    "not really",
    "it did not",
)
FILE_WORDS = (
    "登记",
    "好",
    "好的",
    "行",
    "可以",
    "要",
    "是",
    "是的",
    "帮我登记",
    "登记一下",
    "要登记",
    "file",
    "yes",
    "ok",
    "okay",
    "file it",
)
NONE_WORDS = ("都不是", "都不对", "没解决", "不是", "没有", "不对", "neither", "none", "no")


def answer_question(
    database: Database, knowledge: Knowledge, conversation_id: str, question: str, clock: Clock
) -> Reply:
    """Look `question` up and reply by its verdict: the answer, articles to choose from, or plainly that it's unknown.

    A follow-up ("那需要什么材料") is looked up in the context of the conversation. Only a question without an answer is
    written down, so that most answers wait for no other writer.
    """
    conversation, context, found = look_up(database, knowledge, conversation_id, question, clock)
    if found.verdict == "answer":
        return article_reply(found.articles[0][0], conversation)
    if found.verdict == "clarify":
        return clarify_reply([article for article, _ in found.articles[:CLARIFY_AMONG]], conversation.locale)
    with database.write(durable=False) as session:
        return unknown_reply(session, get_conversation(session, conversation_id), question, clock(), context.about)


def answer_aside(database: Database, knowledge: Knowledge, conversation_id: str, question: str, clock: Clock) -> Reply:
    """Answer a question that interrupts the filing of a case: shortly, offering nothing, so that the form can go on."""
    conversation, context, found = look_up(database, knowledge, conversation_id, question, clock)
    if found.verdict != "answer":
        with database.write(durable=False) as session:
            log_gap(session, conversation_id, question, "unknown", clock(), context.about)
        return simple("unknown_aside", conversation.locale)
    article = found.articles[0][0]
    return Reply(
        text=answer_text(article, conversation.locale),
        speech=article.answer_en if conversation.locale == "en" and article.answer_en else article.speech,
        sources=tuple(Source(**source) for source in article.sources),
        article=article.id,
    )


def look_up(
    database: Database, knowledge: Knowledge, conversation_id: str, question: str, clock: Clock
) -> tuple[Conversation, Context, Found]:
    """Search for `question` as it is meant in this conversation: after an answer, and in the district spoken of."""
    with database.read() as session:
        conversation = get_conversation(session, conversation_id)
        context = context_of(session, conversation_id, question)
        with watch.step("search"):
            found = knowledge.search(session, question, clock(), about=context.about, region=context.region)
    watch.VERDICTS.labels(found.verdict).inc()
    return conversation, context, found


def give_article(
    database: Database, knowledge: Knowledge, conversation_id: str, article_id: str, clock: Clock
) -> Reply:
    """Reply with the article that the citizen chose; it may have been retired since it was offered."""
    with database.read() as session:
        conversation = get_conversation(session, conversation_id)
        article = knowledge.article(session, article_id, clock())
    if article:
        return article_reply(article, conversation)
    with database.write(durable=False) as session:
        conversation = get_conversation(session, conversation_id)
        return unknown_reply(session, conversation, last_question(session, conversation), clock())


def take_feedback(database: Database, conversation_id: str, solved: bool, clock: Clock) -> Reply:
    """Reply to whether the last answer helped; two questions in a row that the bot can't settle bring a person.

    The reply names the article, so that the record shows what came of each answer.
    """
    with database.write(durable=False) as session:
        conversation = get_conversation(session, conversation_id)
        locale = conversation.locale
        last = last_reply(session, conversation_id)
        if last and last.act == "clarify" and not solved:
            return unknown_reply(session, conversation, last_question(session, conversation), clock())
        if last is None or last.act != "answer":
            return simple("anything_else", locale)
        if solved:
            conversation.failures = 0
            return replace(simple("solved", locale), act="solved", article=last.article)
        question = last_question(session, conversation)
        if fail(session, conversation, question, "unsolved", clock(), last.article):
            return replace(handoff_reply(locale), article=last.article)
    phrase = PHRASES.say("unsolved", locale)
    choices = offers(locale, question)
    return Reply(phrase.text, phrase.speech, choices=choices, expects="choice", act="unsolved", article=last.article)


def fail(
    session: Session,
    conversation: Conversation,
    question: str,
    reason: str,
    now: datetime,
    article_id: str | None = None,
) -> bool:
    """Count a question that the bot did not settle and keep it for the editors; returns whether a person is due."""
    log_gap(session, conversation.id, question, reason, now, article_id)
    conversation.failures += 1
    return needs_person(conversation.failures)


def article_reply(article: Answerable, conversation: Conversation) -> Reply:
    """The answer with its sources, what to do next, and the question whether it helped."""
    locale = conversation.locale
    solved = PHRASES.say("answer_solved", locale)
    english = locale == "en" and article.answer_en
    speech = f"{article.answer_en} " if english else article.speech
    return Reply(
        text=f"{answer_text(article, locale, with_next_step=True)}\n\n{solved.text}",
        speech=f"{speech}{solved.speech}",
        choices=(
            Choice(PHRASES.words("solved_yes", locale), "/solved", YES_WORDS),
            Choice(PHRASES.words("solved_no", locale), "/unsolved", NO_WORDS),
        ),
        expects="choice",
        sources=tuple(Source(**source) for source in article.sources),
        act="answer",
        article=article.id,
    )


def answer_text(article: Answerable, locale: str, with_next_step: bool = False) -> str:
    """What chat shows of an answer; a passage is quoted with its document and clause."""
    if locale == "en" and article.answer_en:
        return article.answer_en.strip()
    if isinstance(article, SpokenPassage):
        return PHRASES.say("answer_quoted", locale, clause=article.question, passage=article.answer.strip()).text
    if with_next_step and article.next_step:
        next_step = PHRASES.say("answer_next", locale, next_step=article.next_step).text
        return f"{article.answer.strip()}\n\n{next_step}"
    return article.answer.strip()


def clarify_reply(articles: list[Answerable], locale: str) -> Reply:
    """Two or three near articles to choose from."""
    questions = [one.question_en if locale == "en" and one.question_en else one.question for one in articles]
    ask = PHRASES.say("clarify", locale)
    numerals = "一二三" if locale == "zh" else "123"
    spoken = [
        PHRASES.say("clarify_option", locale, ordinal=numeral, question=question.rstrip("？?")).speech
        for numeral, question in zip(numerals, questions, strict=False)
    ]
    return Reply(
        text=ask.text,
        speech=f"{ask.speech}{'；'.join(spoken) if locale == 'zh' else ' ' + '; '.join(spoken)}。",
        choices=(
            *(Choice(question, choosing(article.id)) for question, article in zip(questions, articles, strict=True)),
            Choice(PHRASES.words("none_of_these", locale), "/unsolved", NONE_WORDS),
        ),
        expects="choice",
        act="clarify",
    )


def unknown_reply(
    session: Session, conversation: Conversation, question: str, now: datetime, about: str | None = None
) -> Reply:
    """Say plainly that there is no answer, offer a case or a person, and keep the question for the editors, with the
    article that was spoken of before it."""
    locale = conversation.locale
    if fail(session, conversation, question, "unknown", now, about):
        return handoff_reply(locale)
    phrase = PHRASES.say("unknown", locale)
    return Reply(phrase.text, phrase.speech, choices=offers(locale, question), expects="choice", act="unknown")


def offers(locale: str, question: str) -> tuple[Choice, ...]:
    """What can be done when there is no answer; what was asked becomes what the case is about."""
    matter = json.dumps({"problem": question[:500]}, ensure_ascii=False)
    return (
        Choice(PHRASES.words("file_case", locale), f"/report{matter}", FILE_WORDS),
        Choice(PHRASES.words("person", locale), "/human"),
    )


def simple(key: str, locale: str) -> Reply:
    """A reply that is one sentence of the catalogue."""
    phrase = PHRASES.say(key, locale)
    return Reply(phrase.text, phrase.speech)


def last_question(session: Session, conversation: Conversation) -> str:
    """What the citizen had asked, in their own words, before the bot's last answer or list to choose from."""
    turns = turns_after(session, conversation.id)
    answered = next((turn.number for turn in reversed(turns) if turn.speaker == "bot"), 0)
    questions = [turn.text for turn, _ in said_by_citizen(turns) if turn.number < answered]
    return questions[-1] if questions else ""
