"""Editing: a second pair of eyes, nothing overwritten unseen, and citizens get what was published, at once."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from backend.database import Database
from backend.directory.models import Staff
from backend.errors import Refused
from backend.knowledge import editing, lifecycle
from backend.knowledge.content import Content, Known, content_of, problems, tidy
from backend.knowledge.editing import ContentRefused, Overtaken
from backend.knowledge.models import Article, KnowledgeVersion
from tests.conftest import NOON

ELEPHANT = Content(
    question="动物园的大象几点洗澡？",
    variants=["大象什么时候洗澡"],
    answer="每天下午三点。",
    speech="大象每天下午三点洗澡。",
    agency_code="C-URBAN",
    category_code="MA-CONS",
    sources=[{"title": "云川动物园公告", "issuer": "", "number": "", "url": ""}],
)


class Desk:
    """Two editors and the verbs, each in a transaction of its own."""

    def __init__(self, database: Database) -> None:
        self.database = database
        with database.read() as session:
            people = {one.username: one for one in session.scalars(select(Staff))}
        self.author, self.other = people["editor1"], people["editor2"]

    def create(self, content: Content = ELEPHANT) -> str:
        with self.database.write() as session:
            return editing.create(session, content, self.author, NOON).article_id

    def save(self, article_id: str, content: Content, who: Staff | None = None, seen: str = "") -> int:
        with self.database.write() as session:
            seen = seen or editing.stamp(editing.lock(session, article_id).versions[-1])
            return editing.save(session, article_id, content, who or self.author, NOON, seen).number

    def act(self, article_id: str, number: int, act: str, who: Staff | None = None, note: str = "") -> None:
        with self.database.write() as session:
            editing.act_on(session, article_id, number, act, who or self.author, NOON, note)

    def publish(self, article_id: str, number: int) -> None:
        self.act(article_id, number, "submit")
        self.act(article_id, number, "approve", self.other)
        self.act(article_id, number, "publish")

    def states(self, article_id: str) -> list[str]:
        with self.database.read() as session:
            return [one.state for one in session.get_one(Article, article_id).versions]

    def article(self, article_id: str) -> Article:
        with self.database.read() as session:
            return session.get_one(Article, article_id)

    def stamp(self, article_id: str) -> str:
        with self.database.read() as session:
            return editing.stamp(session.get_one(Article, article_id).versions[-1])

    def knowledge_number(self) -> int | None:
        with self.database.read() as session:
            return session.scalar(select(KnowledgeVersion.number))


@pytest.fixture
def desk(database: Database) -> Desk:
    return Desk(database)


def test_every_starter_article_begins_with_a_published_version_that_says_what_it_says(database: Database) -> None:
    with database.read() as session:
        for article in session.scalars(select(Article)):
            assert [(one.number, one.state) for one in article.versions] == [(1, "published")]
            assert content_of(article.versions[0].content) == content_of(vars(article))


def test_a_draft_goes_out_only_after_a_second_pair_of_eyes(desk: Desk) -> None:
    article = desk.create()
    before = desk.knowledge_number()
    desk.act(article, 1, "submit")
    with pytest.raises(Refused) as refused:
        desk.act(article, 1, "approve")
    assert refused.value.code == "second_pair_of_eyes"
    with pytest.raises(Refused):
        desk.act(article, 1, "publish", desk.other)
    desk.act(article, 1, "approve", desk.other)
    assert desk.article(article).state == "reviewed"
    assert desk.knowledge_number() == before
    desk.act(article, 1, "publish")
    assert desk.article(article).state == "published"
    assert desk.knowledge_number() != before


def test_citizens_get_the_old_version_until_the_new_one_is_published(desk: Desk) -> None:
    article = desk.create()
    desk.publish(article, 1)
    assert desk.save(article, replace(ELEPHANT, answer="每天下午四点。")) == 2
    assert (desk.article(article).answer, desk.article(article).version) == ("每天下午三点。", 1)
    desk.publish(article, 2)
    assert (desk.article(article).answer, desk.article(article).version) == ("每天下午四点。", 2)
    assert desk.states(article) == ["replaced", "published"]


def test_saving_ones_own_draft_again_makes_no_new_version_but_somebody_elses_does(desk: Desk) -> None:
    article = desk.create()
    assert desk.save(article, replace(ELEPHANT, answer="下午四点。")) == 1
    assert desk.save(article, replace(ELEPHANT, answer="下午五点。"), desk.other) == 2
    assert desk.states(article) == ["replaced", "draft"]
    assert desk.article(article).answer == "下午五点。"


def test_what_was_submitted_is_not_changed_any_more(desk: Desk) -> None:
    article = desk.create()
    desk.act(article, 1, "submit")
    assert desk.save(article, replace(ELEPHANT, answer="下午四点。")) == 2
    with pytest.raises(Refused) as refused:
        desk.act(article, 1, "approve", desk.other)
    assert refused.value.code == "version_moved"


@pytest.mark.parametrize("second", ["author", "other"])
def test_nobody_saves_over_a_version_that_they_have_not_seen(desk: Desk, second: str) -> None:
    article = desk.create()
    seen = desk.stamp(article)
    desk.save(article, replace(ELEPHANT, answer="下午四点。"))
    with pytest.raises(Overtaken) as refused:
        desk.save(article, replace(ELEPHANT, answer="下午五点。"), getattr(desk, second), seen)
    assert refused.value.status == 409
    assert desk.article(article).answer == "下午四点。"


def test_an_unfinished_draft_is_kept_but_goes_to_no_reviewer(desk: Desk) -> None:
    article = desk.create(replace(ELEPHANT, answer="", variants=[]))
    with pytest.raises(ContentRefused) as refused:
        desk.act(article, 1, "submit")
    assert {problem.field for problem in refused.value.problems} == {"answer", "variants"}


def test_what_the_record_cant_hold_is_refused_with_its_field(desk: Desk) -> None:
    wrong = replace(ELEPHANT, question="问" * 301, agency_code="NOBODY", valid_from="2026-02-30", region="月球")
    with pytest.raises(ContentRefused) as refused:
        desk.create(wrong)
    fields = {problem.field for problem in refused.value.problems if problem.weight == "refused"}
    assert fields == {"question", "agency_code", "valid_from", "region"}


def test_a_way_of_asking_that_another_article_has_is_a_warning(desk: Desk) -> None:
    desk.create()
    with desk.database.read() as session:
        found = problems(replace(ELEPHANT, question="大象的生日"), editing.known(session))
    assert [(one.field, one.weight) for one in found] == [("variants", "warning")]


def test_a_version_comes_back_with_the_reason(desk: Desk) -> None:
    article = desk.create()
    desk.act(article, 1, "submit")
    with pytest.raises(Refused) as refused:
        desk.act(article, 1, "send_back", desk.other)
    assert refused.value.code == "reason_missing"
    desk.act(article, 1, "send_back", desk.other, "请写明周一闭园")
    with desk.database.read() as session:
        version = editing.get_version(session, article, 1)
    assert (version.state, version.remark, version.reviewer_id) == ("returned", "请写明周一闭园", desk.other.id)


def test_a_retired_article_is_given_to_nobody_and_can_be_restored(desk: Desk) -> None:
    article = desk.create()
    desk.publish(article, 1)
    before = desk.knowledge_number()
    desk.act(article, 1, "retire", note="大象搬走了")
    assert desk.article(article).state == "retired"
    assert desk.knowledge_number() != before
    with desk.database.write() as session:
        editing.restore(session, article, 1, desk.other, NOON, "大象回来了")
    assert desk.states(article) == ["retired", "draft"]
    assert content_of(vars(desk.article(article))) == ELEPHANT


ACTORS = st.tuples(st.sampled_from(lifecycle.ACTS), st.booleans(), st.sampled_from(["", "原因"]))


@given(st.lists(ACTORS, max_size=12))
def test_no_path_leads_to_the_citizen_without_somebody_elses_approval(path: list[tuple[str, bool, str]]) -> None:
    state, approved_by_another = "draft", False
    for act, is_author, note in path:
        target = lifecycle.decide(state, act, is_author, note)
        if isinstance(target, lifecycle.Refusal):
            continue
        approved_by_another = approved_by_another or (act == "approve" and not is_author)
        state = target
        assert state in lifecycle.STATES
        assert state != "published" or approved_by_another


TEXT = st.text(max_size=40)
CONTENTS = st.builds(
    Content,
    **dict.fromkeys(("question", "answer", "speech", "agency_code", "region", "valid_from", "valid_until"), TEXT),
    variants=st.lists(TEXT, max_size=4),
    sources=st.lists(st.fixed_dictionaries({"title": TEXT, "url": TEXT}), max_size=3),
)


@given(CONTENTS)
def test_whatever_is_typed_gets_sentences_and_tidying_twice_changes_nothing(content: Content) -> None:
    tidied = tidy(content)
    assert tidy(tidied) == tidied
    known = Known(frozenset(), frozenset(), frozenset(), {})
    for problem in problems(tidied, known):
        assert Refused(problem.code, **problem.facts).sentence("zh")
