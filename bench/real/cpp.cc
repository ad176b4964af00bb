// SPDX-License-Identifier: GPL-2.0-or-later
// Containers, strings, streams, virtual calls and shared pointers of the standard library.
#include <algorithm>
#include <cstdint>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <numeric>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

struct Shape {
    virtual ~Shape() = default;
    virtual std::uint64_t area() const = 0;
};

struct Square : Shape {
    std::uint64_t side;
    explicit Square(std::uint64_t s) : side(s) {}
    std::uint64_t area() const override { return side * side; }
};

struct Box : Shape {
    std::vector<std::shared_ptr<Shape>> parts;
    std::uint64_t area() const override
    {
        return std::accumulate(parts.begin(), parts.end(), std::uint64_t{0},
                               [](std::uint64_t sum, const auto &p) { return sum + p->area(); });
    }
};

static std::shared_ptr<Shape> build(unsigned depth, std::uint64_t &state)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    if (depth == 0)
        return std::make_shared<Square>(state >> 54);
    auto box = std::make_shared<Box>();
    for (unsigned i = 0; i < 4; i++)
        box->parts.push_back(build(depth - 1, state));
    return box;
}

int main(int argc, char **argv)
{
    std::ifstream file(argv[argc - 1]);
    std::unordered_map<std::string, unsigned> count;
    std::map<std::string, std::vector<std::string>> by_prefix;
    std::string word;
    while (file >> word)
        if (++count[word] == 1)
            by_prefix[word.substr(0, 2)].push_back(word);

    std::vector<std::pair<unsigned, std::string>> order;
    for (auto &[text, n] : count)
        order.emplace_back(n, text);
    std::sort(order.begin(), order.end(), std::greater<>());
    for (std::size_t i = 0; i < 20 && i < order.size(); i++)
        std::cout << order[i].second << ' ' << order[i].first << '\n';

    std::ostringstream out;
    for (auto &[prefix, words] : by_prefix) {
        std::sort(words.begin(), words.end());
        out << prefix << ':' << words.size() << ':' << words.front() << ';';
    }
    std::uint64_t state = 1, area = 0;
    for (unsigned i = 0; i < 12; i++)
        area += build(7, state)->area();
    std::cout << std::hash<std::string>{}(out.str()) << ' ' << area << '\n';
    return 0;
}
