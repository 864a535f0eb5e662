"""64-bit words in vectors, mixed with their places: what a fingerprint of memory is made of."""

from typing import Any

from faltung.compiler.emit.code import Code
from faltung.compiler.emit.values import (
    I32,
    I64,
    Index,
    Pointer,
    Variable,
    numbers,
    shaped,
    spread,
    whole,
)

ODD = 0x9E3779B97F4A7C15  # the golden ratio in 64 bits: places far apart get keys far apart
HALF = 32


class Words:
    """A vector of 64-bit words (one lane: a word)."""

    def __init__(self, code: Code, value: Any) -> None:
        self.code, self.value = code, value


def mixed(code: Code, at: Pointer, place: Index, lanes: int) -> Words:
    """Return lanes of f(word, place) for neighbouring words, the first at a place.

    A key that depends on the place is added to a word; f is the product of its halves, plus the
    word: a change of one word always changes its f, but for a chance of 2^-32.
    """
    b = code.builder
    word = b.load(at.value, align=1, typ=shaped(I64, lanes))
    first = b.mul(code.raw(place), I64(ODD))
    key = spread(b, first, lanes)
    if lanes > 1:
        key = b.add(key, numbers(I64, *[lane * ODD % 2**64 for lane in range(lanes)]))
    keyed = b.add(word, key)
    low = b.and_(keyed, whole(I64, 2**HALF - 1, lanes))
    high = b.lshr(keyed, whole(I64, HALF, lanes))
    return Words(code, b.add(b.mul(low, high), word))


def zero(code: Code, lanes: int) -> Variable:
    """Return a variable of words that are zero."""
    return code.variable(Words(code, whole(I64, 0, lanes)))


def add(code: Code, total: Variable, value: Words) -> None:
    """Add to every word of a variable."""
    total.set(Words(code, code.builder.add(total.get().value, value.value)))


def gathered(code: Code, total: Words, lanes: int) -> Words:
    """Return the sum of all words of a vector."""
    b = code.builder
    parts = [b.extract_element(total.value, I32(lane)) for lane in range(lanes)]
    found = parts[0]
    for part in parts[1:]:
        found = b.add(found, part)
    return Words(code, found)


def store(code: Code, words: Words, at: Pointer) -> None:
    """Write words."""
    code.builder.store(words.value, at.value, align=8)
