"""Facts: what is true of one file alone, as nested tuples that `marshal` can store.

`lower` makes them, `link` wraps them into objects. No fact mentions another file or this machine, so
the facts of a file depend on its bytes only. Bump `FACTS_VERSION` whenever a shape here or in `ir` changes.

ModuleFacts    imports functions classes hot
Import         local_name module name_or_None level line     a name of "*" is a star import
FunctionFacts  see the F_ constants      functions[0] is the module body
ClassFacts     see the C_ constants
Parameter      name annotation default kind
SelfStore      attribute value annotation line               `self.attribute = value` in a method
ForeignStore   the same, of `anything.else.attribute = value`
ClassAttribute name annotation value line
"""

from __future__ import annotations

FACTS_VERSION = 1

M_IMPORTS, M_FUNCTIONS, M_CLASSES = range(3)

(
    F_NAME,
    F_QUALNAME,
    F_LINE,
    F_COLUMN,
    F_END_LINE,
    F_FLAGS,
    F_PARAMS,
    F_DECORATORS,
    F_RETURNS,
    F_BODY,
    F_LOCALS,
    F_GLOBALS,
    F_IMPORTS,
    F_CLASS,
    F_PARENT,
    F_SELF_STORES,
    F_FOREIGN_STORES,
    F_IDENTIFIERS,
) = range(18)

(
    C_NAME,
    C_QUALNAME,
    C_LINE,
    C_BASES,
    C_KEYWORDS,
    C_DECORATORS,
    C_ATTRIBUTES,
    C_METHODS,
    C_PARENT,
) = range(9)
