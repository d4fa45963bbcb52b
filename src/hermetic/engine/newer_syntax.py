"""Source in a newer Python than the one that runs, rewritten so that this one can read it.

Every line keeps its number, and every expression its column. Covered: type parameters and `type` statements (PEP 695,
696), `except A, B:` (PEP 758), f-strings with nested quotes (PEP 701), template strings (PEP 750). An f- or t-string
becomes a list of the expressions in it: what is called there is still called, and its text is of no interest.

Only files that the interpreter refuses come here, so this is written for clarity, not for speed.
"""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator

# A string's prefix, where its quotes follow.
_STRING = re.compile(r"(?i)(?:[bfrtu]|br|rb|fr|rf|tr|rt)?(?='|\")")
_COMPOUND = frozenset(
    """
    def class async except try else finally if elif while for with match case
    """.split()
)
_CLOSING = {"(": ")", "[": "]", "{": "}"}

# Python's own limit.
_DEEPEST_FIELD = 150

Fields = list[tuple[int, int]]  # the ranges of the expressions in an f- or t-string


def rewrite(data: bytes) -> str | None:
    """The source for an older parser; None where it cannot be decoded or ends inside of a string."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        return _statements(_strings(with_plain_line_ends(data.decode(encoding).removeprefix("\ufeff"))))
    except (SyntaxError, UnicodeError, LookupError, ValueError, tokenize.TokenError):
        return None


def with_plain_line_ends(text: str) -> str:
    r"""The text with `\n` for every line end that Python knows. `str.splitlines` knows more of them."""
    return text.replace("\r\n", "\n").replace("\r", "\n")


def comments(text: str) -> Iterator[tuple[int, int, str]]:
    r"""Line (from 1), column (from 0) and text of each comment, of any Python, up to the first thing that is none.

    Lines have to end in `\n`.
    """
    position = line_start = 0
    line = 1
    while position < len(text):
        start = position
        if text[position] == "#":
            position = _end_of_line(text, position)
            yield line, start - line_start, text[start:position]
        elif _begins_string(text, position):
            try:
                position, _ = _string(text, position)
            except (ValueError, IndexError):
                return
        else:
            position += 1
        passed = text.count("\n", start, position)
        if passed:
            line += passed
            line_start = text.rindex("\n", start, position) + 1


# -- strings ------------------------------------------------------------------------------------------------------


def _strings(text: str, depth: int = 0) -> str:
    """Replace the f- and t-strings, each together with the strings that stand next to it; `depth` in brackets."""
    out: list[str] = []
    position = copied = 0
    while position < len(text):
        character = text[position]
        if character == "#":
            position = _end_of_line(text, position)
        elif _begins_string(text, position):
            start = position
            position, fields = _adjacent(text, start, in_brackets=depth > 0)
            if fields is not None:
                out.append(text[copied:start])
                out.append(_as_list(text, start, position, fields))
                copied = position
        else:
            depth += (character in "([{") - (character in ")]}")
            position += 1
    out.append(text[copied:])
    return "".join(out)


def _begins_string(text: str, position: int) -> bool:
    if text[position] in "'\"":
        return True
    if text[position] not in "bfrtuBFRTU" or (position and (text[position - 1].isalnum() or text[position - 1] == "_")):
        return False
    return _STRING.match(text, position) is not None


def _adjacent(text: str, start: int, in_brackets: bool) -> tuple[int, Fields | None]:
    """The end of a string and of those that Python joins to it, with their fields; None if none can have fields."""
    position, fields = _string(text, start)
    while True:
        following = _skip_blanks(text, position, in_brackets)
        if following >= len(text) or not _begins_string(text, following):
            return position, fields
        position, more = _string(text, following)
        if more is not None:
            fields = more if fields is None else fields + more


def _skip_blanks(text: str, position: int, in_brackets: bool) -> int:
    while position < len(text):
        if text.startswith("\\\n", position):
            position += 2
        elif text[position] in " \t\f" or (in_brackets and text[position] == "\n"):
            position += 1
        elif text[position] == "#" and in_brackets:
            position = _end_of_line(text, position)
        else:
            break
    return position


def _string(text: str, start: int, depth: int = 0) -> tuple[int, Fields | None]:
    """The end of one string, and its fields if it is an f- or t-string.

    Raises ValueError or IndexError for a string without an end.
    """
    match = _STRING.match(text, start)
    if match is None or depth > _DEEPEST_FIELD:
        raise ValueError
    prefix, position = match.group().lower(), match.end()
    quote = text[position] * 3 if text.startswith(text[position] * 3, position) else text[position]
    position += len(quote)
    fields: Fields | None = [] if "f" in prefix or "t" in prefix else None
    while not text.startswith(quote, position):
        character = text[position]
        if fields is not None and text.startswith(("{{", "}}"), position):
            position += 2
        elif fields is not None and character == "{":
            position = _field(text, position, fields, depth + 1)
        elif fields is not None and "r" not in prefix and text.startswith("\\N{", position):
            position = text.index("}", position) + 1  # a character by its name
        elif character == "\\" and not (fields is not None and text[position + 1] in "{}"):
            position += 2
        elif character == "\n" and len(quote) == 1:
            raise ValueError
        else:
            position += 1
    return position + len(quote), fields


def _field(text: str, start: int, fields: Fields, depth: int) -> int:
    """A replacement field, from its `{` to behind its `}`."""
    position = end = _end_of_expression(text, start + 1, depth)
    stripped = text[start + 1 : end].rstrip()
    if stripped.endswith("=") and not stripped.endswith(("==", "!=", "<=", ">=")):
        end = start + len(stripped)  # `{value=}`
    fields.append((start + 1, end))
    while text[position] != "}":
        position = _field(text, position, fields, depth + 1) if text[position] == "{" else position + 1
    return position + 1


def _end_of_expression(text: str, position: int, depth: int) -> int:
    """Where a field's expression is followed by its conversion, its format or its end."""
    if depth > _DEEPEST_FIELD:
        raise ValueError
    open_brackets: list[str] = []
    while True:
        character = text[position]
        if _begins_string(text, position):
            position, _ = _string(text, position, depth)
            continue
        if character == "#":
            position = _end_of_line(text, position)
            continue
        if character in _CLOSING:
            open_brackets.append(_CLOSING[character])
        elif open_brackets:
            if character == open_brackets[-1]:
                open_brackets.pop()
        elif character in "}:" or (character == "!" and text[position + 1] != "="):
            return position
        position += 1


def _as_list(text: str, start: int, end: int, fields: Fields) -> str:
    """`[  a,   b, ]` as long as what it replaces, with the same line ends and every expression at its place."""
    out, copied = ["["], start + 1
    for first, last in fields:
        expression = _strings(text[first:last], depth=1)
        if expression.lstrip().startswith("yield"):
            out += [_blank(text[copied : first - 1]), "(", expression, ")"]
        else:
            out += [_blank(text[copied:first]), expression]
        out.append(",")
        copied = last + 1
    return "".join((*out, _blank(text[copied : end - 1]), "]"))


def _blank(text: str) -> str:
    """As many spaces as the text has bytes, for the parser counts columns in bytes; line ends stay."""
    return "".join("\n" if character == "\n" else " " * len(character.encode()) for character in text)


def _end_of_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


# -- statements -----------------------------------------------------------------------------------------------------


Edit = tuple[int, int, int, str]  # line, from column, to column, replacement


def _statements(text: str) -> str:
    """Drop type parameters, turn `type X = Y` into `X = Y`, and put parentheses around `except A, B`."""
    lines = [f"{line}\n" for line in text.split("\n")]
    edits: list[Edit] = []
    statement: list[tokenize.TokenInfo] = []
    depth = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT):
            continue
        depth += _step(token)
        # A colon outside of brackets ends the head of a compound statement.
        ends_head = token.string == ":" and depth == 0 and statement and statement[0].string in _COMPOUND
        if token.type == tokenize.NEWLINE or token.string == ";" or ends_head:
            _edit(statement, lines, edits)
            statement, depth = [], 0
        else:
            statement.append(token)
    for line, first, last, replacement in sorted(edits, reverse=True):
        source = lines[line - 1]
        lines[line - 1] = source[:first] + replacement + source[last:]
    return "".join(lines)


def _step(token: tokenize.TokenInfo) -> int:
    """How much deeper in brackets the source is behind a token."""
    return (token.string in ("(", "[", "{")) - (token.string in (")", "]", "}")) if token.type == tokenize.OP else 0


def _edit(statement: list[tokenize.TokenInfo], lines: list[str], edits: list[Edit]) -> None:
    if statement and statement[0].string == "async":
        statement = statement[1:]
    words = [token.string for token in statement[:3]]
    if len(words) < 3:
        return
    if words[0] in ("def", "class") and words[2] == "[":
        _drop_brackets(statement, 2, lines, edits)
    elif words[0] == "type" and words[2] in ("[", "=") and statement[1].type == tokenize.NAME:
        keyword, name = statement[:2]
        if keyword.start[0] == name.start[0]:
            padding = " " * (name.start[1] - keyword.start[1])
            edits.append((name.start[0], keyword.start[1], name.end[1], name.string + padding))
        if words[2] == "[":
            _drop_brackets(statement, 2, lines, edits)
    elif words[0] == "except":
        _parenthesise(statement[2 if words[1] == "*" else 1 :], lines, edits)


def _parenthesise(types: list[tokenize.TokenInfo], lines: list[str], edits: list[Edit]) -> None:
    """`A, B` to `(A, B)`; the parenthesis takes the place of the space in front, where there is one."""
    depth = 0
    for token in types:
        depth += _step(token)
        if token.string == "," and depth == 0:
            line, column = types[0].start
            space = column > 0 and lines[line - 1][column - 1] == " "
            edits.append((line, column - space, column, "("))
            edits.append((*types[-1].end, types[-1].end[1], ")"))
            return


def _drop_brackets(statement: list[tokenize.TokenInfo], opening: int, lines: list[str], edits: list[Edit]) -> None:
    """Blank out a bracketed list; its line ends stay, each behind a backslash."""
    depth, first = 0, statement[opening]
    for last in statement[opening:]:
        depth += _step(last)
        if depth == 0:
            break
    for line in range(first.start[0], last.end[0] + 1):
        begin = first.start[1] if line == first.start[0] else 0
        if line == last.end[0]:
            edits.append((line, begin, last.end[1], _blank(lines[line - 1][begin : last.end[1]])))
        else:
            edits.append((line, begin, len(lines[line - 1].rstrip("\n")), " \\"))
