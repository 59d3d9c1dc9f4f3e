"""What the bot says to a question, and to whether that helped: knowledge turned into replies.

The bot's own parts call this through the API (bot/replies.py, bot/actions); the words are in phrases.yml.
"""

import json

from sqlalchemy.orm import Session

from backend.clock import Clock
from backend.conversations.models import Conversation, Turn
from backend.conversations.rules import needs_person
from backend.conversations.service import PHRASES, get_conversation, handoff_reply, last_reply, turns_after
from backend.database import Database
from backend.knowledge.models import Article
from backend.knowledge.rules import CLARIFY_AMONG
from backend.knowledge.service import Knowledge, log_gap
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

    Only a question without an answer is written down, so that most answers wait for no other writer.
    """
    with database.read() as session:
        conversation = get_conversation(session, conversation_id)
        found = knowledge.search(session, question, clock())
    if found.verdict == "answer":
        return article_reply(found.articles[0][0], conversation)
    if found.verdict == "clarify":
        return clarify_reply([article for article, _ in found.articles[:CLARIFY_AMONG]], conversation.locale)
    return unknown_reply(database, conversation_id, question, clock)


def answer_aside(database: Database, knowledge: Knowledge, conversation_id: str, question: str, clock: Clock) -> Reply:
    """Answer a question that interrupts the filing of a case: shortly, offering nothing, so that the form can go on."""
    with database.read() as session:
        conversation = get_conversation(session, conversation_id)
        found = knowledge.search(session, question, clock())
    if found.verdict != "answer":
        with database.write() as session:
            log_gap(session, conversation_id, question, "unknown", clock())
        return simple("unknown_aside", conversation.locale)
    article = found.articles[0][0]
    english = conversation.locale == "en" and article.answer_en
    return Reply(
        text=article.answer_en if english else article.answer,
        speech=article.answer_en if english else article.speech,
        sources=tuple(Source(**source) for source in article.sources),
        article=article.id,
    )


def give_article(
    database: Database, knowledge: Knowledge, conversation_id: str, article_id: str, clock: Clock
) -> Reply:
    """Reply with the article that the citizen chose; it may have been retired since it was offered."""
    with database.read() as session:
        conversation = get_conversation(session, conversation_id)
        article = knowledge.article(session, article_id, clock())
    if article is None:
        return unknown_reply(database, conversation_id, article_id, clock)
    return article_reply(article, conversation)


def take_feedback(database: Database, conversation_id: str, solved: bool, clock: Clock) -> Reply:
    """Reply to whether the last answer helped; two questions in a row that the bot can't settle bring a person."""
    with database.read() as session:
        conversation = get_conversation(session, conversation_id)
        last = last_reply(session, conversation_id)
        question = last_question(session, conversation)
    locale = conversation.locale
    if last and last.act == "clarify" and not solved:
        return unknown_reply(database, conversation_id, question, clock)
    if last is None or last.act != "answer":
        return simple("anything_else", locale)
    if solved:
        if conversation.failures:
            with database.write() as session:
                get_conversation(session, conversation_id).failures = 0
        return simple("solved", locale)
    if fail(database, conversation_id, question, "unsolved", clock, last.article):
        return handoff_reply(locale)
    phrase = PHRASES.say("unsolved", locale)
    return Reply(phrase.text, phrase.speech, choices=offers(locale, question), expects="choice", act="unknown")


def fail(
    database: Database, conversation_id: str, question: str, reason: str, clock: Clock, article_id: str | None = None
) -> bool:
    """Count a question that the bot did not settle and keep it for the editors; returns whether a person is due."""
    with database.write() as session:
        conversation = get_conversation(session, conversation_id)
        log_gap(session, conversation_id, question, reason, clock(), article_id)
        conversation.failures += 1
        return needs_person(conversation.failures)


def article_reply(article: Article, conversation: Conversation) -> Reply:
    """The answer with its sources, what to do next, and the question whether it helped."""
    locale = conversation.locale
    solved = PHRASES.say("answer_solved", locale)
    english = locale == "en" and article.answer_en
    if english:
        parts, speech = [article.answer_en], article.answer_en
    else:
        next_step = PHRASES.say("answer_next", locale, next_step=article.next_step).text if article.next_step else ""
        parts, speech = [article.answer, next_step], article.speech
    return Reply(
        text="\n\n".join(part.strip() for part in [*parts, solved.text] if part),
        speech=f"{speech}{' ' if english else ''}{solved.speech}",
        choices=(
            Choice(PHRASES.words("solved_yes", locale), "/solved", YES_WORDS),
            Choice(PHRASES.words("solved_no", locale), "/unsolved", NO_WORDS),
        ),
        expects="choice",
        sources=tuple(Source(**source) for source in article.sources),
        act="answer",
        article=article.id,
    )


def clarify_reply(articles: list[Article], locale: str) -> Reply:
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
            *(
                Choice(question, f'/choose{{"article": "{article.id}"}}')
                for question, article in zip(questions, articles, strict=True)
            ),
            Choice(PHRASES.words("none_of_these", locale), "/unsolved", NONE_WORDS),
        ),
        expects="choice",
        act="clarify",
    )


def unknown_reply(database: Database, conversation_id: str, question: str, clock: Clock) -> Reply:
    """Say plainly that there is no answer, offer a case or a person, and keep the question for the editors."""
    with database.read() as session:
        locale = get_conversation(session, conversation_id).locale
    if fail(database, conversation_id, question, "unknown", clock):
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
    """What the citizen had asked before the bot's last answer."""
    answered = next(
        (turn.number for turn in reversed(turns_after(session, conversation.id)) if turn.speaker == "bot"), 0
    )
    questions: list[Turn] = [
        turn for turn in turns_after(session, conversation.id) if turn.speaker == "citizen" and turn.number < answered
    ]
    return questions[-1].text if questions else ""
