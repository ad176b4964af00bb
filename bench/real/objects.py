# SPDX-License-Identifier: GPL-2.0-or-later
"""Objects, calls, generators and exceptions: a shop with queues, and an interpreter of formulas."""
import heapq
from dataclasses import dataclass, field


class Random:
    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (self.state * 1103515245 + 12345) & 0x7FFFFFFF
        return (self.state >> 8) % n


@dataclass(order=True)
class Event:
    time: int
    number: int
    action: object = field(compare=False)


class Closed(Exception):
    pass


class Till:
    def __init__(self, shop):
        self.shop, self.queue, self.served = shop, [], 0

    def join(self, customer):
        self.queue.append(customer)
        if len(self.queue) == 1:
            self.begin()

    def begin(self):
        self.shop.after(self.queue[0].goods * 3, self.finish)

    def finish(self):
        self.queue.pop(0)
        self.served += 1
        if self.queue:
            self.begin()


class Customer:
    def __init__(self, goods):
        self.goods = goods


class Big(Customer):
    def __init__(self, goods):
        super().__init__(goods * 4)


class Shop:
    def __init__(self, tills):
        self.now, self.number, self.events, self.random = 0, 0, [], Random(7)
        self.tills = [Till(self) for _ in range(tills)]

    def after(self, delay, action):
        self.number += 1
        heapq.heappush(self.events, Event(self.now + delay, self.number, action))

    def arrive(self):
        kind = Big if self.random.below(5) == 0 else Customer
        min(self.tills, key=lambda till: len(till.queue)).join(kind(1 + self.random.below(20)))
        self.after(self.random.below(12), self.arrive)

    def run(self, count):
        self.after(0, self.arrive)
        try:
            while True:
                event = heapq.heappop(self.events)
                self.now = event.time
                event.action()
                if event.number > count:
                    raise Closed
        except Closed:
            return [till.served for till in self.tills], self.now


class Number:
    def __init__(self, value):
        self.value = value

    def evaluate(self, names):
        return self.value


class Name:
    def __init__(self, name):
        self.name = name

    def evaluate(self, names):
        return names[self.name]


class Sum:
    def __init__(self, *parts):
        self.parts = parts

    def evaluate(self, names):
        return sum(part.evaluate(names) for part in self.parts) % 1000003


class Product(Sum):
    def evaluate(self, names):
        result = 1
        for part in self.parts:
            result = result * part.evaluate(names) % 1000003
        return result


def formula(depth, random):
    if depth == 0:
        return Number(random.below(100)) if random.below(2) else Name("xyz"[random.below(3)])
    return (Sum if depth % 2 else Product)(*(formula(depth - 1, random) for _ in range(3)))


def walk(node):
    yield type(node).__name__
    for part in getattr(node, "parts", ()):
        yield from walk(part)


tree = formula(6, Random(3))
total = 0
for x in range(100):
    total += tree.evaluate({"x": x, "y": x + 1, "z": x * x})
print(Shop(6).run(60000), total, sum(len(name) for _ in range(20) for name in walk(tree)))
