"""Source in a newer Python than the one that runs, rewritten so that this one can read it.

Every line keeps its number; columns may shift. Covered: type parameters and `type` statements (PEP 695, 696),
`except A, B:` (PEP 758), f-strings with nested quotes (PEP 701), template strings (PEP 750). An f- or t-string
becomes a list of the expressions in it: what is called there is still called, and its text is of no interest.

Only files that the interpreter refuses come here, so this is written for clarity, not for speed.
"""

from __future__ import annotations

import io
import re
import tokenize

# A string's prefix, where its quotes follow.
_STRING = re.compile(r"(?i)(?:[bfrtu]|br|rb|fr|rf|tr|rt)?(?='|\")")
_COMPOUND = frozenset(
    """
    def class async except try else finally if elif while for with match case
    """.split()
)
_CLOSING = {"(": ")", "[": "]", "{": "}"}


def rewrite(data: bytes) -> str | None:
    """The source for an older parser; None where it cannot be decoded or ends inside of a string."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding).removeprefix("\ufeff")
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        return _statements(_strings(text))
    except (SyntaxError, UnicodeDecodeError, LookupError, IndexError, ValueError, tokenize.TokenError):
        return None


# -- strings ------------------------------------------------------------------------------------------------------


def _strings(text: str) -> str:
    """Replace the f- and t-strings, each together with the strings that stand next to it."""
    out: list[str] = []
    position = copied = depth = 0
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


def _adjacent(text: str, start: int, in_brackets: bool) -> tuple[int, list[tuple[int, int]] | None]:
    """The end of a string and of those that Python joins to it, with their fields; None if none can have fields."""
    position, fields = _string(text, start)
    while True:
        following = _skip_blanks(text, position, in_brackets)
        if following >= len(text) or not _begins_string(text, following):
            return position, fields
        if not in_brackets and "\n" in text[position:following].replace("\\\n", ""):
            return position, fields
        position, more = _string(text, following)
        if more is not None:
            fields = more if fields is None else fields + more


def _skip_blanks(text: str, position: int, in_brackets: bool) -> int:
    while position < len(text):
        if text[position] == "#" and in_brackets:
            position = _end_of_line(text, position)
        elif text[position] in " \t\n\\\f":
            position += 1
        else:
            break
    return position


def _string(text: str, start: int) -> tuple[int, list[tuple[int, int]] | None]:
    """The end of one string, and the ranges of its fields' expressions if it is an f- or t-string."""
    match = _STRING.match(text, start)
    if match is None:
        raise ValueError
    prefix, position = match.group().lower(), match.end()
    quote = text[position] * 3 if text.startswith(text[position] * 3, position) else text[position]
    position += len(quote)
    fields: list[tuple[int, int]] | None = [] if "f" in prefix or "t" in prefix else None
    while not text.startswith(quote, position):
        if fields is not None and text.startswith(("{{", "}}"), position):
            position += 2
        elif fields is not None and text[position] == "{":
            position = _field(text, position, fields)
        elif text[position] == "\\" and not (fields is not None and text[position + 1] in "{}"):
            position += 2
        elif text[position] == "\n" and len(quote) == 1:
            raise ValueError
        else:
            position += 1
    return position + len(quote), fields


def _field(text: str, start: int, fields: list[tuple[int, int]]) -> int:
    """A replacement field, from its `{` to behind its `}`."""
    position, open_brackets = start + 1, []
    while True:
        character = text[position]
        if _begins_string(text, position):
            position, _ = _string(text, position)
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
            break
        position += 1
    end = position
    stripped = text[start + 1 : end].rstrip()
    if stripped.endswith("=") and not stripped.endswith(("==", "!=", "<=", ">=")):
        end = start + len(stripped)  # `{value=}`
    fields.append((start + 1, end))
    while text[position] != "}":
        position = _field(text, position, fields) if text[position] == "{" else position + 1
    return position + 1


def _as_list(text: str, start: int, end: int, fields: list[tuple[int, int]]) -> str:
    """`[(a), (b)]` with the line ends of what it replaces."""
    out, copied = ["["], start
    for first, last in fields:
        out.append("\n" * text.count("\n", copied, first))
        out.append(f"({_strings(text[first:last])}),")
        copied = max(copied, last)
    out.append("\n" * text.count("\n", copied, end))
    return "".join((*out, "]"))


def _end_of_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


# -- statements -----------------------------------------------------------------------------------------------------


def _statements(text: str) -> str:
    """Drop type parameters, turn `type X = Y` into `X = Y`, and put parentheses around `except A, B`."""
    lines = text.splitlines(keepends=True)
    edits: list[Edit] = []
    statement: list[tokenize.TokenInfo] = []
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type in (tokenize.COMMENT, tokenize.NL, tokenize.INDENT, tokenize.DEDENT):
            continue
        if token.type == tokenize.NEWLINE or token.string == ";" or _ends_clause(token, statement):
            _edit(statement, lines, edits)
            statement = []
        else:
            statement.append(token)
    for line, first, last, replacement in sorted(edits, reverse=True):
        source = lines[line - 1]
        lines[line - 1] = source[:first] + replacement + source[last:]
    return "".join(lines)


def _ends_clause(token: tokenize.TokenInfo, statement: list[tokenize.TokenInfo]) -> bool:
    """A colon outside of brackets ends the head of a compound statement."""
    if token.string != ":" or not statement:
        return False
    depth = sum((part.string in "([{") - (part.string in ")]}") for part in statement if part.type == tokenize.OP)
    return depth == 0 and statement[0].string in _COMPOUND


Edit = tuple[int, int, int, str]  # line, from column, to column, replacement


def _edit(statement: list[tokenize.TokenInfo], lines: list[str], edits: list[Edit]) -> None:
    words = [token.string for token in statement[:4]]
    if words[:1] == ["async"]:
        statement, words = statement[1:], words[1:]
    if len(words) > 2 and words[0] in ("def", "class") and words[2] == "[":
        _blank(statement, 2, lines, edits)
    elif len(words) > 2 and words[0] == "type" and words[2] in ("[", "=") and statement[1].type == tokenize.NAME:
        edits.append((statement[0].start[0], statement[0].start[1], statement[1].start[1], ""))
        if words[2] == "[":
            _blank(statement, 2, lines, edits)
    elif words[:1] == ["except"]:
        first = 2 if words[1:2] == ["*"] else 1
        types = statement[first:]
        depth = 0
        for token in types:
            depth += (token.string in "([{") - (token.string in ")]}") if token.type == tokenize.OP else 0
            if token.string == "," and depth == 0:
                edits.append((types[0].start[0], types[0].start[1], types[0].start[1], "("))
                edits.append((types[-1].end[0], types[-1].end[1], types[-1].end[1], ")"))
                break


def _blank(statement: list[tokenize.TokenInfo], opening: int, lines: list[str], edits: list[Edit]) -> None:
    """Remove a bracketed list; its line ends stay, each behind a backslash."""
    depth, first = 0, statement[opening]
    for last in statement[opening:]:
        depth += (last.string in "([{") - (last.string in ")]}") if last.type == tokenize.OP else 0
        if depth == 0:
            break
    for line in range(first.start[0], last.end[0] + 1):
        begin = first.start[1] if line == first.start[0] else 0
        if line == last.end[0]:
            edits.append((line, begin, last.end[1], ""))
        else:
            edits.append((line, begin, len(lines[line - 1].rstrip("\n")), " \\"))
