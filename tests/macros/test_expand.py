"""Macros: what each form gives, what stays as written, and what is bounded."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tertulia.macros.context import Context, Line
from tertulia.macros.expand import Expander
from tertulia.macros.variables import Store

NOW = datetime(2026, 3, 1, 15, 4, 5, tzinfo=UTC)
CONTEXT = Context(
    user="Ann",
    char="Mia",
    description="{{char}} is tall",
    persona="{{persona}} me",
    greetings=("Hi {{user}}", "Yo"),
    lines=(
        Line("hello", is_user=True, at=NOW - timedelta(minutes=10)),
        Line("hey", is_user=False, swipe=2, swipes=3),
    ),
    generation_type="normal",
    max_context=4096,
    outlets={"o": ("one", "two")},
    chat_key="chat",
)


def expander(random: Callable[[], float] = lambda: 0.5, **changes: Any) -> Expander:
    return Expander(msgspec.structs.replace(CONTEXT, **changes), random=random, now=NOW)


def expand(text: str, **changes: Any) -> str:
    return expander(**changes).expand(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # names
        ("{{user}} and {{char}}", "Ann and Mia"),
        ("{{USER}}{{ user }}{{?user}}{{ ! ~ > user }}", "AnnAnnAnnAnn"),
        ("<USER> <user> <BOT> <CHAR> <GROUP> <CHARIFNOTGROUP>", "Ann Ann Mia Mia Mia Mia"),
        ("{{description}} {{charDescription}}", "Mia is tall Mia is tall"),
        ("{{persona}}", " me"),  # a field within itself is empty
        ("{{greeting}} {{greeting::1}} {{charFirstMessage::7}}|", "Hi Ann Yo |"),
        ("{{lastMessage}} {{lastUserMessage}} {{lastCharMessage}}", "hey hello hey"),
        ("{{lastMessageId}} {{allChatRange}} {{lastSwipeId}} {{currentSwipeId}}", "1 0-1 3 2"),
        ("{{idleDuration}} {{lastGenerationType}} {{maxContext}}", "10 minutes normal 4096"),
        ("{{outlet::o}}|{{outlet::none}}|", "one\ntwo||"),
        ("{{instructStop}}{{chatStart}}{{banned::x}}|", "|"),
        # what stays as it is
        ("{{nonsense}} {{isMobile}} {{input}}", "{{nonsense}} {{isMobile}} {{input}}"),
        ("{{foo::{{user}}}}", "{{foo::Ann}}"),
        ("{{user::x}}", "{{user::x}}"),
        ("{{setvar n::y}}", "{{setvar n::y}}"),
        ("{{newline::x}}", "{{newline::x}}"),
        ("{{reverse:{{user}}", "{{reverse:Ann"),
        ("{{/if}} {{/user}}", "{{/if}} {{/user}}"),
        ("{{user}}abc{{/user}}", "Annabc{{/user}}"),
        ("{{original}}", "{{original}}"),
        ("{{}} {{ }} {{5}} {{a.b}}", "{{}} {{ }} {{5}} {{a.b}}"),
        ("}} {{ user", "}} {{ user"),
        # braces
        ("{ {{user}} }", "{ Ann }"),
        ("{{{user}}}", "{Ann}"),
        (r"\{\{user\}\}", "{{user}}"),
        (r"\{{{user}}\}", "{Ann}"),
        # arguments
        ("{{reverse:a::b}}", "b::a"),
        ("{{reverse a::b}}", "b::a"),
        ("{{reverse::ab}}", "ba"),
        ("{{reverse:{{user}}}}", "nnA"),
        ("{{reverse:é😀}}", "😀é"),
        ("{{space::3}}|{{space}}|{{newline::2}}|", "   | |\n\n|"),
        ("a\n\n{{trim}}\n\nb", "ab"),
        ("{{noop}}{{// gone {{user}}}}{{comment: gone}}|", "|"),
        ("{{//}} a\nb {{///}}|", "|"),
        # scoped
        ("{{reverse}}abc{{/reverse}}", "cba"),
        ("{{trim}}\n  a  \n{{/trim}}|", "a|"),
        ("{{setvar::v}}{{user}}{{/setvar}}{{getvar::v}}", "Ann"),
        ("{{if user}}\n  A\n    B\n{{/if}}|", "A\n  B|"),
        ("{{#if user}}\n  A\n{{/if}}|", "\n  A\n|"),
        # conditions
        ("{{if user}}A{{else}}B{{/if}}", "A"),
        ("{{if !user}}A{{else}}B{{/if}}", "B"),
        ("{{if OFF}}A{{else}}B{{/if}}{{if 0}}A{{/if}}{{if False}}A{{/if}}", "B"),
        ("{{if yes}}{{if 0}}1{{else}}2{{/if}}{{/if}}", "2"),
        ("{{if::{{noop}}::A}}|{{if::x::A}}", "|A"),
        ("{{if .none}}A{{else}}B{{/if}}", "B"),
        ("{{if {{char}}}}A{{/if}}", "A"),
        ("{{if noop}}{{setvar::x::1}}{{/if}}{{hasvar::x}}", "false"),
        ("{{else}}|", "|"),
        # variables
        ("{{.a = 3}}{{.a}}{{.a++}}{{.a--}}{{.a += 2}}{{.a}}{{.a -= 4}}{{.a}}", "34351"),
        ("{{.t = x}}{{.t += y}}{{.t}}", "xy"),
        ("{{.b ?? {{user}}}}|{{.b}}", "Ann|"),
        ("{{.b ||= q}}{{.b}}{{.b ??= z}}", "qqq"),
        ("{{.z = 0}}{{.z || other}}{{.z ?? other}}", "other0"),
        ("{{.a = 3}}{{.a > 2}} {{.a >= 4}} {{.a < x}} {{.a == 3}} {{.a != 3}}", "true false false true false"),
        ("{{$g = 1}}{{getglobalvar::g}}{{.g}}|", "1|"),
        ("{{setvar::l::[]}}{{addvar::l::a}}{{addvar::l::b}}{{getvarkey::l::1}}", "b"),
        ("{{setvarkey::o::name::{{user}}}}{{getvarkey::o::name}} {{getvar::o}}", 'Ann {"name": "Ann"}'),
        ("{{incvar::n}}{{incvar::n}}{{decvar::n}}{{hasvar::n}}{{deletevar::n}}{{varexists::n}}", "121truefalse"),
        # chance
        ("{{random::A::B}} {{random:A,B}} {{random A,B}}", "B B B"),
        (r"{{random:A\,B}}", "A,B"),
        ("{{roll:d20}} {{roll:20}} {{roll 2d6+1}} {{roll::1d1-3}}", "11 11 9 -2"),
        ("{{roll:x}}{{roll:2000d6}}{{roll:0d6}}|", "|"),
        # time
        ("{{time}} {{date}} {{weekday}} {{isotime}} {{isodate}}", "3:04 PM March 1, 2026 Sunday 15:04 2026-03-01"),
        ("{{time::UTC+2}} {{time_UTC-3}} {{time::noon}}", "5:04 PM 12:04 PM {{time::noon}}"),
        ("{{datetimeformat::YYYY [at] HH}}", "2026 at 15"),
        ("{{timeDiff::2026-03-01::2026-03-03}} {{timeDiff::2026-03-03::2026-03-01}}", "2 days ago in 2 days"),
    ],
)
def test_expand(text: str, expected: str) -> None:
    assert expand(text) == expected


def test_values_are_not_scanned_again() -> None:
    assert expand("{{user}}", user="{{char}}") == "{{char}}"
    assert expand("{{lastMessage}}", lines=(Line("{{random::x::y}}", is_user=True),)) == "{{random::x::y}}"


def test_original_is_given_once() -> None:
    assert expander().expand("{{original}} + {{original}}", original="old") == "old + "


def test_pick_is_steady_for_chat_text_and_place() -> None:
    text = "{{pick::a::b::c::d::e::f::g::h}}"
    assert expand(text) == expand(text)
    seen = {expand(text, chat_key=str(at)) for at in range(40)}
    assert len(seen) > 3
    assert len({expand(text, reroll=str(at)) for at in range(40)}) > 3
    assert len({expand(" " * at + text).strip() for at in range(40)}) > 3


def test_groups() -> None:
    group = {"group": ("Mia", "Bo"), "group_not_muted": ("Bo",)}
    text = "{{group}} / {{charIfNotGroup}} / {{groupNotMuted}} / {{notChar}}"
    assert expand(text, **group) == "Mia, Bo / Mia, Bo / Bo / Bo, Ann"
    assert expand("{{notChar}}") == "Ann"


def test_variables_are_read_from_before_and_changes_are_kept_apart() -> None:
    local, everywhere = Store({"a": "1"}), Store({"b": "x"})
    made = Expander(CONTEXT, random=lambda: 0.5, now=NOW, local=local, everywhere=everywhere)
    assert made.expand("{{.a}}{{$b}}{{.a++}}{{deleteglobalvar::b}}{{$b}}") == "1x2"
    assert local.before == {"a": "1"}
    assert local.changes == {"a": "2"}
    assert everywhere.changes == {"b": None}


def test_only_the_branch_taken_is_evaluated() -> None:
    made = expander()
    made.expand("{{if 0}}{{.x = 1}}{{else}}{{.y = 1}}{{/if}}{{.z ?? {{.w = 1}}}}{{.y || {{.never = 1}}}}")
    assert set(made.local.changes) == {"y", "w"}


@pytest.mark.promise(38)
@pytest.mark.parametrize(
    "text",
    [
        "{{" * 20_000,
        "{{reverse:" * 5_000 + "x" + "}}" * 5_000,
        "{{if x}}" * 5_000 + "a" + "{{/if}}" * 5_000,
        "{{if x}}" * 5_000,
        "{{/if}}" * 5_000,
        "{{user}}" * 50_000,
        "{{space::1000}}" * 20_000,
        "{{.a = x}}" + "{{.a += {{.a}}}}" * 60,
        "{{setvar::a::" + "y" * 1000 + "}}" + "{{addvar::a::{{getvar::a}}}}" * 60 + "{{getvar::a}}",
        "{{random::" + "a::" * 20_000 + "b}}",
        "\\{" * 20_000,
        "{{trim}}\n" * 5_000,
    ],
    ids=range(12),
)
def test_expansion_is_bounded(text: str) -> None:
    got = expand(text)
    assert len(got) <= len(text) + (1 << 21)


def test_what_is_beyond_the_bounds_stays_as_written() -> None:
    got = expand("{{user}}" * 10_001)
    assert got == "Ann" * 10_000 + "{{user}}"
    deep = expand("{{reverse:" * 70 + "ab" + "}}" * 70)
    assert "{{reverse:" in deep
    assert expand("{{space::5000}}") == " " * 1000


WORDS = (
    "{{", "}}", "::", ":", "user", "if", "/if", "else", "!", ".a", "$b", "=", "++", "x", "{", "}", "\\", "random", "//",
    "#", "reverse", "setvar", "??", "<user>", " ", "\n",
)  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=30).map("".join) | st.text(max_size=40))
def test_no_text_raises_and_equal_dice_give_equal_text(text: str) -> None:
    assert expand(text) == expand(text)


@given(st.text(alphabet=st.characters(blacklist_characters="{}\\<"), max_size=60))
def test_text_without_macros_is_left_alone(text: str) -> None:
    assert expand(text) == text
    assert expand(f"{text}{{{{user}}}}{text}") == f"{text}Ann{text}"
