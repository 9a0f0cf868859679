"""A small part of the Common Expression Language: what is needed to reckon with token counts.

    has(usage.completion_tokens) && usage.completion_tokens > 0
        ? usage.prompt_tokens + 4 * usage.completion_tokens : 0

Numbers, true, false, names, fields, has(), int(), double(), parentheses, - and !, * / %, + -, comparisons,
&&, || and ?: . The packages with the whole language take 6 to 50 MB and bring up to ten others, for
expressions of this size; the lightest installs a module whose name is another package's too. Rules and
precedence are those of the language's specification (cel-spec, "Syntax"), but whole and other numbers may be
mixed; of whole ones / is cut towards zero and % has the sign of the left.

An expression is compiled to functions of the variables. It has no loops: its length bounds its time.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

Variables = Mapping[str, Any]
Expression = Callable[[Variables], Any]

# Longer expressions are refused; real ones have a hundred characters. Each character can be a call within the
# one before, of which Python allows a thousand.
MAX_LENGTH: Final = 500

# Parentheses within each other; reading one takes ten calls.
MAX_DEPTH: Final = 30

_TOKEN = re.compile(
    r"\s*(?:(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
    r"|(?P<symbol>&&|\|\||==|!=|<=|>=|[-+*/%!<>?:().]))"
)


class CelError(ValueError):
    """An expression that cannot be read, or has no value for these variables."""


def compile_cel(text: str) -> Expression:
    """The expression in `text`, ready to be called with variables. CelError if it cannot be read.

    Calling it raises CelError where there is no value: a field that is missing, an operator between things
    that have none, a division by zero.
    """
    if len(text) > MAX_LENGTH:
        raise CelError(f"has more than {MAX_LENGTH} characters")
    return _Reader(text).whole()


def _divided(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        return abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
    return left / right


def _remainder(left: Any, right: Any) -> Any:
    return left - right * _divided(left, right) if isinstance(left, int) else math.fmod(left, right)


# By precedence, the weakest first. && and || are apart: they look at the right side only if they have to.
_BINARY: tuple[Mapping[str, Callable[[Any, Any], Any]], ...] = (
    {
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
        "==": operator.eq,
        "!=": operator.ne,
    },
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": _divided, "%": _remainder},
)

_FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {"int": int, "double": float}


class _Reader:
    """Reads one expression, by recursive descent."""

    def __init__(self, text: str) -> None:
        self._tokens = _tokens(text)
        self._at = 0
        self._depth = 0

    def whole(self) -> Expression:
        """The whole text as one expression."""
        expression = self._choice()
        if self._next:
            raise CelError(f'has "{self._next}" where it should end')
        return expression

    @property
    def _next(self) -> str:
        """The next token; "" at the end."""
        return self._tokens[self._at] if self._at < len(self._tokens) else ""

    def _take(self, *symbols: str) -> str:
        """The next token if it is one of `symbols`; else "", and it stays."""
        token = self._next
        if token not in symbols:
            return ""
        self._at += 1
        return token

    def _expect(self, symbol: str) -> None:
        if not self._take(symbol):
            found = f'"{self._next}"' if self._next else "the end"
            raise CelError(f'has {found} where "{symbol}" should be')

    def _choice(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise CelError(f"is nested more than {MAX_DEPTH} deep")
        condition = self._either()
        if self._take("?"):
            then = self._either()
            self._expect(":")
            otherwise = self._choice()
            condition = _conditional(condition, then, otherwise)
        self._depth -= 1
        return condition

    def _either(self) -> Expression:
        left = self._both()
        while self._take("||"):
            left = _or(left, self._both())
        return left

    def _both(self) -> Expression:
        left = self._binary(0)
        while self._take("&&"):
            left = _and(left, self._binary(0))
        return left

    def _binary(self, level: int) -> Expression:
        if level == len(_BINARY):
            return self._unary()
        left = self._binary(level + 1)
        while symbol := self._take(*_BINARY[level]):
            left = _applied(_BINARY[level][symbol], left, self._binary(level + 1))
        return left

    def _unary(self) -> Expression:
        signs = []
        while sign := self._take("-", "!"):
            signs.append(sign)
        value = self._member()
        for sign in reversed(signs):
            value = _negative(value) if sign == "-" else _not(value)
        return value

    def _member(self) -> Expression:
        value = self._primary()
        while self._take("."):
            value = _field(value, self._name())
        return value

    def _primary(self) -> Expression:
        if self._take("("):
            inner = self._choice()
            self._expect(")")
            return inner
        token = self._next
        if token[:1].isdigit():
            self._at += 1
            return _constant(int(token) if token.isdigit() else float(token))
        name = self._name()
        if name in ("true", "false"):
            return _constant(name == "true")
        return self._call(name) if self._take("(") else _variable(name)

    def _call(self, name: str) -> Expression:
        if name == "has":
            field = self._member()
            self._expect(")")
            return _has(field)
        if name not in _FUNCTIONS:
            raise CelError(f'has the function "{name}", and may have has, {", ".join(_FUNCTIONS)}')
        argument = self._choice()
        self._expect(")")
        function = _FUNCTIONS[name]
        return lambda variables: _guarded(function, argument(variables))

    def _name(self) -> str:
        token = self._next
        if not token[:1].isidentifier():
            raise CelError(
                f'has "{token}" where a value should be' if token else "ends where a value should be"
            )
        self._at += 1
        return token


def _tokens(text: str) -> list[str]:
    tokens, at, end = [], 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            raise CelError(f'has "{text[at:].lstrip()[0]}", which means nothing here')
        tokens.append(found[0].strip())
        at = found.end()
    return tokens


# What an expression becomes ------------------------------------------------------------------------------


def _guarded(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except (ArithmeticError, TypeError, ValueError) as error:
        raise CelError(f"has no value: {error}") from None


def _constant(value: bool | int | float) -> Expression:
    return lambda variables: value


def _variable(name: str) -> Expression:
    return lambda variables: _lookup(variables, name)


def _field(of: Expression, name: str) -> Expression:
    return lambda variables: _lookup(of(variables), name)


def _lookup(values: Any, name: str) -> Any:
    if not isinstance(values, Mapping) or name not in values:
        raise CelError(f'has no value: there is no "{name}"')
    return values[name]


def _has(field: Expression) -> Expression:
    def has(variables: Variables) -> bool:
        try:
            field(variables)
        except CelError:
            return False
        return True

    return has


def _applied(function: Callable[[Any, Any], Any], left: Expression, right: Expression) -> Expression:
    return lambda variables: _guarded(function, _number(left(variables)), _number(right(variables)))


def _negative(value: Expression) -> Expression:
    return lambda variables: -_number(value(variables))


def _not(value: Expression) -> Expression:
    return lambda variables: not _truth(value(variables))


def _or(left: Expression, right: Expression) -> Expression:
    return lambda variables: _truth(left(variables)) or _truth(right(variables))


def _and(left: Expression, right: Expression) -> Expression:
    return lambda variables: _truth(left(variables)) and _truth(right(variables))


def _conditional(condition: Expression, then: Expression, otherwise: Expression) -> Expression:
    return lambda variables: (then if _truth(condition(variables)) else otherwise)(variables)


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise CelError("has no value: an operator needs numbers")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise CelError("has no value: a condition has to be true or false")
    return value
