"""A completion ends with the function or statement it goes on with, and nowhere else."""

import ast
import bisect
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.domains.code.ends import PythonScope
from foundation.domains.code.lines import logical_lines
from foundation.domains.code.parsing import syntax_error


def written(prefix: str, text: str, statement: bool = False) -> str | None:
    """What is kept of a text that is written a character at a time; None where it never ends."""
    scope = PythonScope(prefix, statement)
    for count in range(1, len(text) + 1):
        found = scope.end(text[:count])
        if found is not None:
            return text[: found[0]]
    return None


DOC = 'def f(x):\n    """What f does."""'
CASES = {
    "a function": (DOC, "\n    return x\n\nprint(1)", "\n    return x\n"),
    "after a newline": (f"{DOC}\n", "    return x\n\n# more\ndef g", "    return x\n"),
    "a comment outside is not the end": (DOC, "\n    y = 1\n# so\n    return y\n\nx", None),
    "a method": ("class A:\n    def f(s):\n        a = 1", "\n        return a\n    b", None),
    "a header": ("def f(a, ", "b):\n    return a\n\n\nx = 1", "b):\n    return a\n"),
    "an inner function": (
        "def f():\n    def g():\n        a = 1\n",
        "        return a\n    r",
        None,
    ),
    "behind an inner one": ("def f():\n    def g():\n        pass\n", "    return g\nx", None),
    "a string": ("def f():\n", '    a = """\nx = 1\n"""\n    return a\nb', None),
    "within a string": ('def f():\n    """do', 'c\n    more"""\n    return 1\nx', None),
    "a bracket": ("def f():\n", "    a = [\n1,\n]\n    return a\nb", None),
    "asynchronous": ("async def f():\n", "    await x\nawait y", "    await x\n"),
    "tabs": ("\tdef f():\n\t\tx = 1\n", "\t\treturn x\n\n\tdef g", "\t\treturn x\n"),
    "no margin fits": ("def f():\n    for x in y:\n", "        z = 1\n  w", "        z = 1\n"),
    "a statement": ("import os\n", "x = [1,\n 2]\ny = 2\n", "x = [1,\n 2]\n"),
    "within a statement": ("x = foo(", "1,\n2)\ny", "1,\n2)\n"),
    "clauses": ("import os\n", "if x:\n    y\nelif z:\n    w\nelse:\n    v\nq = 1", None),
    "a name like a clause": ("import os\n", "if x:\n    y\nelement = 1", "if x:\n    y\n"),
    "decorators": (
        "import os\n",
        "@a\n@b(1)\ndef f():\n    y\n\nz()",
        "@a\n@b(1)\ndef f():\n    y\n",
    ),
    "a class": ("import os\n", "class A:\n    def f():\n        y\n\nz()", None),
}


@pytest.mark.parametrize("name", CASES)
def test_a_completion_ends(name: str) -> None:
    prefix, text, kept = CASES[name]
    lines = text.splitlines(keepends=True)
    assert written(prefix, text) == (kept or "".join(lines[:-1]).rstrip("\n") + "\n")


def test_a_statement_may_be_asked_for_inside_a_function() -> None:
    text = "1\n    except E:\n        pass\n    return x\n"
    assert written("def f():\n    try:\n        x = ", text, statement=True) == "1\n"


def test_what_has_not_ended_goes_on() -> None:
    assert written(DOC, "\n    return x\n\n    # still here\n") is None
    assert written("import os\n", "if x:\n    y\nel") is None
    assert written("x = ", "'''a\nb\nc") is None


def functions(path: str) -> Iterator[tuple[str, int, int, int]]:
    """Of each function of a file: the file, lines where its statements begin, and its last line."""
    code = Path(path).read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.FunctionDef) and node.end_lineno:
            for inner in node.body:
                if inner.lineno > node.lineno and not isinstance(inner, ast.FunctionDef):
                    yield code, inner.lineno, node.end_lineno, node.lineno


REAL = [case for module in (bisect, textwrap, ast) for case in functions(str(module.__file__))]


@given(st.sampled_from(REAL), st.data())
@settings(max_examples=60)
def test_real_functions_are_ended_where_they_end(
    case: tuple[str, int, int, int], data: st.DataObject
) -> None:
    code, line, last, _ = case
    lines = code.splitlines(keepends=True)
    before, rest = "".join(lines[: line - 1]), "".join(lines[line - 1 :])
    # The hole may be anywhere in the first word of the line.
    word = len(lines[line - 1]) - len(lines[line - 1].lstrip())
    cut = data.draw(st.integers(0, word))
    scope = PythonScope(before + rest[:cut])
    found = scope.end(rest[cut:])
    if found is None:  # the file ends with it
        assert not "".join(lines[last:]).strip()
    else:
        assert found == (len("".join(lines[line - 1 : last])) - cut, "function")


@given(st.text(alphabet="ab=:()[]'\"#@ \t\n\\\r", max_size=60), st.integers(0, 60))
def test_anything_can_be_read(text: str, cut: int) -> None:
    assert all(
        0 <= line.start <= line.end <= line.stop <= len(text) for line in logical_lines(text)
    )
    found = PythonScope(text[:cut]).end(text[cut:])
    assert found is None or found[0] <= len(text[cut:])
    syntax_error(text[:cut], text[cut:])


def test_what_does_not_parse_says_why() -> None:
    assert syntax_error("x = ", "1\n") is None
    assert syntax_error("def f():\n", "    return (1\n") == "line 2: '(' was never closed"
    before = syntax_error("print 1\n", "x = 2\n")
    assert str(before).startswith("the code before it does not parse: line 1: Missing parentheses")
    assert syntax_error("x = ", "\0") is not None
    assert syntax_error("", "(" * 5000) is not None


def test_a_file_that_goes_on_may_lack_what_comes_later() -> None:
    assert syntax_error("try:\n    x = ", "1\n") is None
    assert syntax_error("try:\n    x = ", "1\n", "print(x)\n") is not None
    assert syntax_error("    x = 1\n    y = ", "2\n") is None
    assert syntax_error("try:\n    x = ", "1 1\n") is not None
