"""The intermediate representation: what the analysis keeps of Python source.

Statements and expressions are plain tuples whose first element is one of the opcodes below, so that a
file's IR can be marshalled, compared and shared between processes. Three forms need no tuple:

* a `str` is a name that is read;
* `None` is a value that cannot matter (a number, a docstring, an arithmetic result of such values);
* a `Pos` is `(line, column, end_line, end_column)`, lines from 1, columns in UTF-8 bytes from 0, as in `ast`.

Shapes, `*` marking tuples of what precedes it::

    CONST   value                               None, True, False, a short str or an int
    ATTR    base name pos
    CALL    callee argument* (name, value)* pos  a keyword name of None is `**value`
    AWAIT   value line
    SEQ     kind value*                         kind: "tuple", "list", "set"
    DICT    key* value*
    SUB     base index line
    BOOL    is_and value*
    NOT     value
    CMP     operator left right                 "is", "is not", "==", "!=", "in", "not in", "<", ...
    MIX     value* (beginning)                  a value computed from these; of an f-string, what its text begins with
    IFEXP   test then orelse
    LAMBDA  function
    COMP    kind element (target, iterable, condition*, is_async)* line
    YIELD   value pos        YIELD_FROM value pos
    NAMED   name value       STAR value

    EXPR    value line
    ASSIGN  target* value line annotation
    AUG     target value line
    DEL     target* line
    RETURN  value line
    RAISE   exception line
    IF      test then orelse line
    FOR     target iterable body orelse line is_async
    WHILE   test body orelse line
    TRY     body (types, name, line, body)* orelse final line
    WITH    (context, target)* body line is_async
    BREAK   line             CONTINUE line
    DEF     function name line
    CLASS   class name line
    ASSERT  test line
"""

from __future__ import annotations

from typing import Any

Node = tuple[Any, ...]
Expr = Any  # str | None | Node; nested tuples of mixed shape are beyond what a type can usefully say
Block = tuple[Node, ...]
Pos = tuple[int, int, int, int]

CONST, ATTR, CALL, AWAIT, SEQ, DICT, SUB, BOOL, NOT, CMP, MIX, IFEXP = range(12)
LAMBDA, COMP, YIELD, YIELD_FROM, NAMED, STAR = range(12, 18)
EXPR, ASSIGN, AUG, DEL, RETURN, RAISE, IF, FOR, WHILE, TRY, WITH = range(32, 43)
BREAK, CONTINUE, DEF, CLASS, ASSERT = range(43, 48)

# Parameter kinds
POSITIONAL, VARARGS, KEYWORD_ONLY, KWARGS, OPTION = range(5)  # the last: taken out of `**kwargs` by its name

OPTION_MARK = "="  # behind the name of an option, within its function

# Function flags
ASYNC, GENERATOR, IS_LAMBDA, BINDS_INSIDE = 1, 2, 4, 8  # the last: an expression of it binds names

NONE: Node = (CONST, None)
TRUE: Node = (CONST, True)
