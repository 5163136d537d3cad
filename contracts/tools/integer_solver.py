#!/usr/bin/env python3
"""Decides halmos' queries over the integers: products and quotients of wide words are hopeless bit by bit, but easy as polynomials.

Every term gets an interval; where it shows that a word cannot overflow, the word is the integer, and elsewhere the modulus
stays. What is not understood is left out, which can only make fewer queries unsatisfiable. So `unsat` is a proof; anything
else is answered with `unknown`. The arithmetic functions that halmos leaves uninterpreted are given their EVM meaning.
"""
import sys

import z3

constraints, cache = [], {}


def fresh(prefix, low, high):
    value = z3.FreshInt(prefix)
    constraints.extend([value >= low, value <= high])
    return value


def wrapped(value, low, high, width):
    """The integer modulo 2^width."""
    size = 1 << width
    if low >= 0 and high < size:
        return value, low, high
    quotient, rest = fresh("k", low // size, high // size), fresh("m", 0, size - 1)
    constraints.append(value == quotient * size + rest)
    return rest, 0, size - 1


def quotient(n, n_high, d, d_low):
    """EVM's DIV: zero when the divisor is."""
    high = n_high // max(d_low, 1)
    q, r = fresh("q", 0, high), fresh("r", 0, n_high)
    constraints.append(z3.If(d == 0, q == 0, z3.And(n == q * d + r, r < d)))
    return q, 0, high


def number(term):
    """(integer, low, high) of a bit vector."""
    key = term.get_id()
    if key not in cache:
        cache[key] = (term, translate(term))  # The term is kept, so that its id stays its own.
    return cache[key][1]


def translate(term):
    kind, width, name = term.decl().kind(), term.size(), term.decl().name()
    if z3.is_bv_value(term):
        value = term.as_long()
        return z3.IntVal(value), value, value
    if kind == z3.Z3_OP_UNINTERPRETED and term.num_args() == 0:
        return fresh(name, 0, (1 << width) - 1), 0, (1 << width) - 1
    if kind == z3.Z3_OP_ITE:
        (a, a_low, a_high), (b, b_low, b_high) = number(term.arg(1)), number(term.arg(2))
        return z3.If(formula(term.arg(0)), a, b), min(a_low, b_low), max(a_high, b_high)
    if kind == z3.Z3_OP_EXTRACT:
        high, low = term.params()
        value, least, most = number(term.arg(0))
        if low:
            shifted = fresh("s", 0, most >> low)
            rest = fresh("l", 0, (1 << low) - 1)
            constraints.append(value == shifted * (1 << low) + rest)
            value, least, most = shifted, 0, most >> low
        return wrapped(value, least, most, high - low + 1)
    args = [number(term.arg(i)) for i in range(term.num_args())]
    if kind in (z3.Z3_OP_CONCAT, z3.Z3_OP_BADD, z3.Z3_OP_BMUL) or name.startswith("f_evm_bvmul"):
        value, low, high = args[0]
        for i, (other, other_low, other_high) in enumerate(args[1:], 1):
            if kind == z3.Z3_OP_CONCAT:
                size = 1 << term.arg(i).size()
                value, low, high = value * size + other, low * size + other_low, high * size + other_high
            elif kind == z3.Z3_OP_BADD:
                value, low, high = wrapped(value + other, low + other_low, high + other_high, width)
            else:
                value, low, high = wrapped(value * other, low * other_low, high * other_high, width)
        return value, low, high
    if kind == z3.Z3_OP_BSUB and len(args) == 2:
        (a, a_low, a_high), (b, b_low, b_high) = args
        return wrapped(a - b, a_low - b_high, a_high - b_low, width)
    if name.startswith("f_evm_bvudiv"):
        (n, _, n_high), (d, d_low, _) = args
        return quotient(n, n_high, d, d_low)
    raise NotImplementedError(name)


COMPARE = {
    z3.Z3_OP_ULEQ: lambda a, b: a <= b,
    z3.Z3_OP_ULT: lambda a, b: a < b,
    z3.Z3_OP_UGEQ: lambda a, b: a >= b,
    z3.Z3_OP_UGT: lambda a, b: a > b,
    z3.Z3_OP_EQ: lambda a, b: a == b,
}
CONNECT = {z3.Z3_OP_AND: z3.And, z3.Z3_OP_OR: z3.Or, z3.Z3_OP_NOT: z3.Not, z3.Z3_OP_IMPLIES: z3.Implies}


def formula(term):
    kind = term.decl().kind()
    if z3.is_true(term) or z3.is_false(term):
        return term
    if kind in CONNECT:
        return CONNECT[kind](*(formula(child) for child in term.children()))
    if kind in COMPARE and z3.is_bv(term.arg(0)):
        return COMPARE[kind](number(term.arg(0))[0], number(term.arg(1))[0])
    raise NotImplementedError(term.decl().name())


solver = z3.Solver()
for assertion in z3.parse_smt2_file(sys.argv[-1]):
    try:
        solver.add(formula(assertion))
    except NotImplementedError:
        continue
solver.add(constraints)
print("unsat" if solver.check() == z3.unsat else "unknown")
