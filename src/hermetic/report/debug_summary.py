"""What callers and rules know of a function: every field of its summary that says something, in words."""

from __future__ import annotations

from hermetic.engine.contexts import CLI, IMPORT, MIGRATION, REQUEST, STARTUP, TEST, WORKER
from hermetic.engine.link import Function
from hermetic.engine.program import Program
from hermetic.engine.project import CLASS_FACT
from hermetic.engine.summary import Effects, Summary
from hermetic.report import debug_ir
from hermetic.report.debug_words import UNKNOWN, Words

CONTEXTS = {
    REQUEST: "request",
    WORKER: "worker",
    CLI: "command",
    STARTUP: "start-up",
    MIGRATION: "migration",
    TEST: "test",
    IMPORT: "import",
}

# Kinds of exceptional exits, see `engine.run`
RAISES = {
    "database": "a statement of the database fails",
    "error": "a call fails",
    "explicit": "the code raises",
    "thrown": "something is thrown in at a yield",
}
IRRELEVANT = "not interpreted: as far as hermetic sees, it has nothing to do with sessions"


def render(fn: Function, program: Program) -> str:
    """Types, summaries and observations of a function."""
    words = Words(program)
    out = [debug_ir.head(fn), *_known(fn, program, words)]
    relevant = program.solver.relevant
    if relevant is not None and fn.id not in relevant:
        out.append(IRRELEVANT)
    for key, summary in program.solver.versions(fn.id):
        given = ", ".join(f"{fn.params[number][0]} is {_fact(fact, program)}" for number, fact in key)
        out += ["", f"summary, where {given}:" if given else "summary:"]
        out += _indented(_summary(summary, words) or ["nothing that a caller must know"])
    seen = program.solver.observations.get(fn.id, [])
    if seen:
        out += ["", "seen here, for rules to judge:"]
    for observation in seen:
        out.append(f"  {type(observation).__name__}")
        out += [
            f"    {name}: {words.field(name, value)}"
            for name, value in observation._asdict().items()
            if value is not None
        ]
    return "\n".join(out)


def _fact(fact: str, program: Program) -> str:
    if fact.startswith(CLASS_FACT):
        return f"a {program.code.classes[int(fact.removeprefix(CLASS_FACT))].qualname}"
    return fact


def _known(fn: Function, program: Program, words: Words) -> list[str]:
    """Parameters and results by type, and how the function is run."""
    types, bits = program.solver.types, program.contexts.of(fn.id)
    out = [f"parameter {param[0]}: {words.value(types.param(fn, n))}" for n, param in enumerate(fn.params)]
    if not fn.is_module:
        receiver = ("instance", fn.class_id) if fn.class_id is not None else None
        out.append(f"returned, by type: {words.value(types.returned(fn.id, receiver))}")
    if fn.is_generator:
        out.append(f"yielded, by type: {words.value(types.yielded(fn.id))}")
    out.append(f"run as: {', '.join(name for bit, name in CONTEXTS.items() if bits & bit) or UNKNOWN}")
    callers = sorted(program.solver.edges.get(fn.id, ()))
    if callers:
        out.append(f"called by: {', '.join(_place(program, caller) for caller in callers)}")
    return out


def _place(program: Program, function: int) -> str:
    fn = program.code.functions[function]
    return f"{program.code.path_of(fn)}:{fn.qualname}"


def _summary(summary: Summary, words: Words) -> list[str]:
    out = []
    if summary.returns:
        out.append(f"returns: {words.value(summary.returns)}")
    if summary.yields:
        out.append(f"yields: {words.value(summary.yields)}")
    out += [text for name, text in YES.items() if getattr(summary, name)]
    for session, mark, callee in summary.blocking:
        what = session if type(session) is str else words.atom(session)
        through = "" if callee is None else f", in {words.code.functions[callee].qualname}"
        out.append(f"blocks: {what} at {words.mark(mark)}{through}")
    if summary.slow is not None:
        out.append(f"slow: {summary.slow[0]} at {words.mark(summary.slow[1])}")
    out += _titled("when it ends normally", summary.effects, words)
    out += _titled("after the yield", summary.after, words)
    out += _titled("after the yield, if something was thrown in", summary.after_raise, words)
    for kind, names, effects in summary.raises:
        classes = f" ({', '.join(sorted(names))})" if names else ""
        inner = _effects(effects, words)
        out.append(f"when {RAISES.get(kind, kind)}{classes}{':' if inner else ': no effects'}")
        out += _indented(inner)
    return out


YES = {
    "never_returns": "never returns normally",
    "touches": "asks something of a database",
    "rechecks": "locks or refreshes what it then writes",
    "suppresses": "swallows exceptions of the `with` block",
}


def _titled(title: str, effects: Effects, words: Words) -> list[str]:
    inner = _effects(effects, words)
    return [f"{title}:", *_indented(inner)] if inner else []


def _effects(effects: Effects, words: Words) -> list[str]:
    out = []
    for atom, state in effects.tracks:
        lines = words.state(state)
        if lines:
            out += [f"{words.atom(atom)}:", *_indented(lines)]
    out += [f"{words.atom(base)}.{name} = {words.value(value)}" for base, name, value in effects.stores]
    out += [f"commits: {words.commit(commit)}" for commit in effects.commits]
    if effects.floating is not None:
        out.append(f"written and not committed, on some session: {words.value(effects.floating)}")
    if effects.escaped:
        out.append(f"not ours to close any more: {words.value(effects.escaped)}")
    return out


def _indented(lines: list[str]) -> list[str]:
    return [f"  {line}" for line in lines]
