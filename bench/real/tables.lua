-- SPDX-License-Identifier: GPL-2.0-or-later
-- Tables, strings, closures and garbage.
local state = 1
local function random(n)
    state = (state * 16807) % 2147483647
    return state % n + 1
end

local function tree(depth)
    if depth == 0 then return {} end
    return { tree(depth - 1), tree(depth - 1) }
end

local function count(t)
    return t[1] and 1 + count(t[1]) + count(t[2]) or 1
end

local nodes = 0
for _ = 1, 60 do nodes = nodes + count(tree(13)) end

local words, parts = {}, {}
for i = 1, 400000 do
    local word = "w" .. random(5000)
    words[word] = (words[word] or 0) + 1
    if i % 10 == 0 then parts[#parts + 1] = word:upper():sub(2, 4) .. (i % 7) end
end
local keys = {}
for word in pairs(words) do keys[#keys + 1] = word end
table.sort(keys, function(a, b)
    return words[a] ~= words[b] and words[a] > words[b] or words[a] == words[b] and a < b
end)
local text = table.concat(parts, " ")
local found = 0
for _ in text:gmatch("%d(%d%d)%d") do found = found + 1 end
print(nodes, #keys, keys[1], keys[#keys], #text, found, (text:gsub("1+", "")):len())
