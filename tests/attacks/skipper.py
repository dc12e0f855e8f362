"""Skips one line of a run: what a glitch on supply or clock does to one instruction, at the grain of Python.

A `Tape` is the list of all lines that a run executes in the traced code, in their order. `skip` runs again and, at one of
them, jumps somewhere else with `sys.settrace` and `frame.f_lineno`. The targets of a line are

    after   the statement that follows it, with all that it holds: at the end of a block what follows the block, in a
            loop the next turn, at the end of a function `return None`
    into    of `if`, `while`, `for` and `except`: the first statement in it, whatever the condition was
    else    of the same: the first statement of `else`, likewise

A return needs a line to jump to, so each traced function gets one in front that is never reached otherwise
(`Traced`). What runs inside an expression (comprehensions, lambdas) has no line of its own to be skipped: it goes with the
line that holds it.
"""

import ast
import inspect
import sys
from collections import Counter
from types import CodeType, FunctionType
from typing import NamedTuple

_RETURN_LINE = 1_000_000  # added to the line of a `def`: where its `return None` is
_HEADED = (ast.If, ast.While, ast.For, ast.ExceptHandler)
_BLOCKS = ("body", "orelse", "finalbody")
_KINDS = ("after", "into", "else")
_NONE = -1


class Hit(NamedTuple):
    """A line that is executed, for the `hit`-th time in its code, counted from 0."""

    code: CodeType
    line: int
    hit: int


class Target(NamedTuple):
    """Where a skip goes on, and which of the ways that is."""

    kind: str
    line: int


def name_of(hit):
    """Return where a line is, for people."""
    return f"{hit.code.co_filename.rsplit('/pawl/', 1)[1]}:{hit.line}"


class Traced:
    """The functions of some modules, while they are given a way out; `close` puts their code back."""

    def __init__(self, modules):
        self._former = []
        self.targets = {}  # file: {line: (after, into, else)}
        self.codes = set()
        for module in modules:
            self._open(module)

    def _open(self, module):
        file = inspect.getsourcefile(module)
        tree = ast.parse(inspect.getsource(module))
        self.targets[file] = _targets(tree)
        for node in list(ast.walk(tree)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                _add_way_out(node)
        compiled = {(code.co_name, code.co_firstlineno): code for code in _codes(compile(tree, file, "exec"))}
        for function in _functions(module):
            code = compiled[function.__code__.co_name, function.__code__.co_firstlineno]
            self._former.append((function, function.__code__))
            function.__code__ = code
            self.codes.update(_codes(code))

    def close(self):
        """Give every function its own code again."""
        for function, code in self._former:
            function.__code__ = code

    def targets_of(self, hit):
        """Return the Targets of a line; none inside an expression."""
        if is_inside(hit.code):
            return []
        end = hit.code.co_firstlineno + _RETURN_LINE
        lines = self.targets[hit.code.co_filename][hit.line]
        return [Target(kind, line or end) for kind, line in zip(_KINDS, lines, strict=True) if line != _NONE]


def is_inside(code):
    """Return whether this code is part of an expression."""
    return code.co_name.startswith("<")


def _codes(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _codes(constant)


def _functions(module):
    """Yield the functions and methods that a module defines."""
    for value in list(vars(module).values()):
        if isinstance(value, type) and value.__module__ == module.__name__:
            for member in vars(value).values():
                found = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
                if isinstance(found, FunctionType) and found.__module__ == module.__name__:
                    yield found
        elif isinstance(value, FunctionType) and value.__module__ == module.__name__:
            yield value


def _add_way_out(node):
    """Begin the function with `if not __name__: return None`, which never happens, on a line of its own."""
    line = min([node.lineno] + [one.lineno for one in node.decorator_list])
    way_out = ast.parse("if not __name__:\n    return None").body[0]
    for part in ast.walk(way_out):
        part.lineno = part.end_lineno = line + 2 * _RETURN_LINE
        part.col_offset = part.end_col_offset = 0
    way_out.body[0].lineno = way_out.body[0].end_lineno = line + _RETURN_LINE
    node.body.insert(0, way_out)


def _targets(tree):
    """Return {line: (line after it, line into it, line of its `else`)}: 0 for a return, _NONE if there is no such way."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            _walk(node.body, 0, found)
    return found


def _walk(block, follows, found):
    """Note the targets of a block's lines; `follows` is the line behind the block."""
    for number, node in enumerate(block):
        after = block[number + 1].lineno if number + 1 < len(block) else follows
        into = node.body[0].lineno if isinstance(node, _HEADED) else _NONE
        other = node.orelse[0].lineno if isinstance(node, _HEADED) and node.orelse else _NONE
        for line in range(node.lineno, _head_end(node) + 1):
            found[line] = (after, into, other)
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            _walk_inner(node, after, found)


def _walk_inner(node, after, found):
    is_loop = isinstance(node, (ast.For, ast.While))
    for name in _BLOCKS:
        block = getattr(node, name, None)
        if block:
            behind = node.lineno if is_loop and name == "body" else after
            if isinstance(node, ast.Try) and name == "body" and node.orelse:
                behind = node.orelse[0].lineno
            _walk(block, behind, found)
    handlers = getattr(node, "handlers", [])
    for number, handler in enumerate(handlers):
        later = handlers[number + 1].lineno if number + 1 < len(handlers) else after
        for line in range(handler.lineno, handler.body[0].lineno):
            found[line] = (later, handler.body[0].lineno, _NONE)
        _walk(handler.body, after, found)


def _head_end(node):
    """Return the last line of what isn't a block in a statement."""
    body = getattr(node, "body", None)
    return max(node.lineno, body[0].lineno - 1) if body else node.end_lineno


class Tape:
    """Every line that `run` executes in the traced code, in order."""

    def __init__(self, traced, run):
        self.hits = []
        counts = Counter()

        def local(frame, event, _):
            line = frame.f_lineno
            if event == "line" and line < _RETURN_LINE:
                key = (frame.f_code, line)
                self.hits.append(Hit(frame.f_code, line, counts[key]))
                counts[key] += 1
            return local

        _traced(lambda frame, *_: local if frame.f_code in traced.codes else None, run)


def _traced(tracer, run):
    former = sys.gettrace()
    sys.settrace(tracer)
    try:
        return run()
    finally:
        sys.settrace(former)


class _Skip:
    """A tracer that jumps once."""

    def __init__(self, hit, target):
        self.code, self.line, self.left = hit
        self.target = target
        self.refusal = "never reached"

    def start(self, frame, event, _):
        return self.local if frame.f_code is self.code and self.left >= 0 else None

    def local(self, frame, event, _):
        if event != "line" or frame.f_lineno != self.line or self.left < 0:
            return self.local
        self.left -= 1
        if self.left < 0:
            sys.settrace(None)
            try:
                frame.f_lineno = self.target.line
                self.refusal = None
            except ValueError as error:
                self.refusal = str(error)
        return self.local


def skip(hit, target, run):
    """Run with one line skipped; return (what `run` returned or raised, None or why it couldn't be skipped)."""
    tracer = _Skip(hit, target)
    try:
        outcome = _traced(tracer.start, run)
    except Exception as error:  # noqa: BLE001 (any fault is a reset of the device)
        outcome = error
    return outcome, tracer.refusal
