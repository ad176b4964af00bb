# SPDX-License-Identifier: GPL-2.0-or-later
"""Arithmetic in plain loops: permutations, planets, primes, a matrix, the digits of pi."""


def fannkuch(n):
    perm1, count, most, r = list(range(n)), [0] * n, 0, n
    while True:
        while r != 1:
            count[r - 1] = r
            r -= 1
        perm, flips = perm1[:], 0
        while (k := perm[0]) != 0:
            perm[:k + 1] = perm[k::-1]
            flips += 1
        most = max(most, flips)
        while True:
            if r == n:
                return most
            perm1.insert(r, perm1.pop(0))
            count[r] -= 1
            if count[r] > 0:
                break
            r += 1
        r += 1 if r == 0 else 0


def planets(steps):
    bodies = [[float(i), i * 0.5 + 1, i * 0.25, 0.01 * i, -0.02 * i, 0.03, 1.0 / (i + 1)]
              for i in range(5)]
    for _ in range(steps):
        for i, a in enumerate(bodies):
            for b in bodies[i + 1:]:
                dx, dy, dz = a[0] - b[0], a[1] - b[1], a[2] - b[2]
                mag = 0.001 / ((dx * dx + dy * dy + dz * dz) ** 1.5)
                for k, d in enumerate((dx, dy, dz)):
                    a[3 + k] -= d * b[6] * mag
                    b[3 + k] += d * a[6] * mag
        for body in bodies:
            for k in range(3):
                body[k] += 0.001 * body[3 + k]
    return bodies[0][:3]


def primes(limit):
    sieve = bytearray([1]) * limit
    for i in range(2, int(limit ** 0.5) + 1):
        if sieve[i]:
            for j in range(i * i, limit, i):
                sieve[j] = 0
    return sum(sieve[2:])


def matrix(n):
    a = [[(i * j) % 7 + 1 for j in range(n)] for i in range(n)]
    b = [[sum(x * y for x, y in zip(row, column)) for column in zip(*a)] for row in a]
    return sum(map(sum, b))


def pi_digits(n):
    q, r, t, k, m, x, digits = 1, 0, 1, 1, 3, 3, []
    while len(digits) < n:
        if 4 * q + r - t < m * t:
            digits.append(m)
            q, r, m = 10 * q, 10 * (r - m * t), (10 * (3 * q + r)) // t - 10 * m
        else:
            q, r, t, k, m, x = (q * k, (2 * q + r) * x, t * x, k + 1,
                                (q * (7 * k + 2) + r * x) // (t * x), x + 2)
    return "".join(map(str, digits))


print(fannkuch(9), planets(15000), primes(2500000), matrix(160), pi_digits(1200))
