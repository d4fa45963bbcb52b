"""One file a rule. `load` finds them, checks them and orders them; there is no other registry."""

from __future__ import annotations

import pkgutil
from dataclasses import replace
from importlib import import_module
from inspect import getdoc

from hermetic.rule import Rule


def load() -> tuple[Rule, ...]:
    """Every rule, by code.

    Raises ValueError for a rule without documentation or examples, or with a code that another rule has.
    """
    found: dict[str, Rule] = {}
    for info in pkgutil.iter_modules(__path__, f"{__name__}."):
        module = import_module(info.name)
        rule: Rule = replace(module.RULE, doc=getdoc(module) or "")
        if rule.code in found:
            raise ValueError(f"{info.name}: {rule.code} is another rule's code")
        if not (rule.doc and rule.bad and rule.good):
            raise ValueError(f"{info.name}: a rule needs a docstring, a bad example and a good one")
        found[rule.code] = rule
    return tuple(found[code] for code in sorted(found))
