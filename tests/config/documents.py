"""TOML documents of many shapes, and hypothesis strategies that write more of them."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

DOCUMENTS = [
    "",
    "\n\n# only a comment",
    "a = 1",
    "a = 1 # why\n",
    "  a  =  1  ",
    "\ta\t=\t1\t# tabs",
    "a = 1\nb = 2\n\n\nc = 3",
    "a.b = 1\na.c = 2",
    "a . b . c = 1",
    '"a b" = 1',
    "'a.b' = 1",
    "\"a\".'b'.c = 1",
    '"" = 1',
    '"\\u00e9 \\"q\\"" = "x"',
    '"=#[]{},." = "x"',
    "1234 = 'digits'",
    "-_- = 'bare'",
    "3.14 = 'dotted'",
    "[a]\nb = 1",
    "[a.b.c]\nd = 1",
    "[ a . 'b c' . \"d\" ]  # spaced\ne = 1",
    "[a.b]\nc = 1\n[a]\nd = 2",
    "[a]\nb = 1\n[a.c]\nd = 2\n[b]\ne = 3",
    "[a]\nb.c.d = 1\nb.e = 2",
    "[[a]]\nb = 1\n[[a]]\nb = 2\n[[a]]",
    "[[a]]\nb = 1\n[a.c]\nd = 2\n[[a]]\n[a.c]\nd = 3",
    "[[a]]\n[[a.b]]\nc = 1\n[[a.b]]\nc = 2\n[[a]]\n[[a.b]]\nc = 3",
    "[[a.b]]\nc = 1\n[[a.b]]\nc = 2",
    "[a]\n[[a.b]]\n[a.b.c]\nd = 1\n[[a.b]]",
    "a = []",
    "a = [1, 2, 3]",
    "a = [1, 2, 3,]",
    "a = [ # one\n  1, # two\n  # three\n  2\n  , 3,\n]",
    "a = [[1, [2]], [], [[[3]]]]",
    "a = ['x', \"y\", '''z''', \"\"\"w\"\"\"]",
    "a = [']', '}', ',', '#', '\"']",
    "a = {}",
    "a = {b = 1, c = 'x'}",
    "a = { b.c = 1, b.d = { e = 2 } }",
    "a = [{b = 1}, {b = 2, c = [3, {d = 4}]}]",
    "a = { b = 1, c = 2, }",
    "a = {\n  b = 1, # why\n  c = [\n    2,\n  ],\n}",
    "a = {\n}",
    'a = "esc \\b \\t \\n \\f \\r \\e \\" \\\\ \\x41 \\u00e9 \\U0001F600 end"',
    'a = "tab\there"',
    "a = 'literal \\n stays'",
    'a = """one\ntwo"""',
    'a = """\nfirst line end is not there\n"""',
    'a = """joined \\\n   \n   on"""\nb = 1',
    'a = """joined \\   \n on"""',
    'a = """quotes "" inside"""',
    'a = """"begins with one"""',
    'a = """ends with one""""',
    'a = """ends with two"""""',
    'a = """\\""" not the end"""',
    "a = '''it''s'''",
    "a = ''''x'''",
    "a = '''x'''''",
    "a = '''\nl1\n  l2 # no comment\n[x]\ny = 1'''\nb = 2",
    "a = ''\nb = \"\"\nc = ''''''\nd = \"\"\"\"\"\"",
    "a = true\nb = false",
    "a = +1\nb = -2\nc = 1_000\nd = 0xFF\ne = 0o7\nf = 0b1",
    "a = 1.5\nb = -1e10\nc = 6.626e-34\nd = inf\ne = -nan",
    "a = 1979-05-27T07:32:00Z\nb = 1979-05-27 07:32:00.5\nc = 1979-05-27\nd = 07:32:00",
    "a = 07:32\nb = 1979-05-27 07:32",
    "a = [1979-05-27 07:32:00 , 1]",
    "a = 'ü 日本 😀'\n\"日本\" = {\"ключ\" = 'é'}",
    "a = 1\r\nb = 'x'\r\n[c]\r\nd = [\r\n1,\r\n2]\r\n",
    'a = """one\r\ntwo"""\r\nb = 1\r\n',
    'a = """x \\\r\n  y"""\r\nb = {\r\n c = 1,\r\n}\r\n',
    "[stages.list]\nrun = 'a:b'\nper_host = { 'rig-7' = 4, '@gpu' = 'gpus', '*' = 0 }\n",
]

_LETTERS = st.characters(exclude_categories=["Cs", "Cc"])
_BARE = st.text("abcXYZ019_-", min_size=1, max_size=6)
_BLANK = st.sampled_from(["", " ", "  ", "\t"])
_LINES = st.sampled_from(["", " ", "\n", "\n  ", " # note ]}\"'\n", "\n\n"])


def _basic(text: str) -> str:
    escapes = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\x1b": "\\e", "é": "\\xE9"}
    return '"' + "".join(escapes.get(c, c) for c in text) + '"'


def _long(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"""\n{escaped}"""'


@st.composite
def keys(draw: st.DrawFn) -> str:
    """A key as written: bare or in either quotes."""
    if draw(st.booleans()):
        return draw(_BARE)
    text = draw(st.text(_LETTERS, max_size=5))
    if "'" not in text and draw(st.booleans()):
        return f"'{text}'"
    return _basic(text)


@st.composite
def strings(draw: st.DrawFn) -> str:
    text = draw(st.text(st.one_of(_LETTERS, st.sampled_from("\n\t\x1bé\"'\\#]}")), max_size=12))
    forms = [_basic(text)]
    if "\x1b" not in text:
        forms.append(_long(text))
    if "'" not in text and "\x1b" not in text:
        forms.append(f"'''\n{text}'''")
        if "\n" not in text:
            forms.append(f"'{text}'")
    return draw(st.sampled_from(forms))


scalars = st.one_of(
    strings(),
    st.integers(-1000, 1000).map(str),
    st.sampled_from(["true", "1.5", "inf", "0xff", "1979-05-27 07:32:00", "07:32:00"]),
)


@st.composite
def arrays(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    values = draw(st.lists(inner, max_size=3))
    parts = [f"{draw(_LINES)}{value}{draw(_LINES)}" for value in values]
    last = "," if parts and draw(st.booleans()) else ""
    return f"[{','.join(parts)}{last}{draw(_LINES)}]"


@st.composite
def inline_tables(draw: st.DrawFn, inner: st.SearchStrategy[str]) -> str:
    pairs = draw(st.lists(st.tuples(keys(), inner), max_size=3))
    parts = [
        f"{draw(_LINES)}{key}{draw(_BLANK)}={draw(_BLANK)}{value}{draw(_LINES)}"
        for key, value in pairs
    ]
    last = "," if parts and draw(st.booleans()) else ""
    return f"{{{','.join(parts)}{last}{draw(_LINES)}}}"


values = st.recursive(scalars, lambda inner: st.one_of(arrays(inner), inline_tables(inner)))


@st.composite
def documents(draw: st.DrawFn) -> str:
    """A text that is TOML unless a key stands in it twice."""
    lines: list[str] = []
    for _ in range(draw(st.integers(0, 7))):
        dotted = f"{draw(_BLANK)}.{draw(_BLANK)}".join(
            draw(st.lists(keys(), min_size=1, max_size=3))
        )
        match draw(st.sampled_from(["pair", "pair", "pair", "table", "list", "comment"])):
            case "pair":
                lines.append(f"{draw(_BLANK)}{dotted}{draw(_BLANK)}={draw(_BLANK)}{draw(values)}")
            case "table":
                lines.append(f"{draw(_BLANK)}[{draw(_BLANK)}{dotted}{draw(_BLANK)}]{draw(_BLANK)}")
            case "list":
                lines.append(f"[[{dotted}]] # rows")
            case _:
                lines.append("# [not] = a table")
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines)


def paths(data: Any, path: tuple[str | int, ...] = ()) -> dict[tuple[str | int, ...], Any]:
    """Return every key path of plain data with what is there."""
    found = {path: data} if path else {}
    pairs = data.items() if isinstance(data, dict) else []
    if isinstance(data, list):
        pairs = enumerate(data)
    for key, inner in pairs:
        found |= paths(inner, (*path, key))
    return found
