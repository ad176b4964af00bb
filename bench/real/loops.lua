-- SPDX-License-Identifier: GPL-2.0-or-later
-- Few hot loops, which a tracing compiler makes once and runs for long.
local bit = require("bit")

local function mandelbrot(n)
    local inside = 0
    for y = 0, n - 1 do
        for x = 0, n - 1 do
            local cr, ci, zr, zi, left = 3 * x / n - 2, 2 * y / n - 1, 0, 0, 50
            while left > 0 and zr * zr + zi * zi < 4 do
                zr, zi, left = zr * zr - zi * zi + cr, 2 * zr * zi + ci, left - 1
            end
            if left == 0 then inside = inside + 1 end
        end
    end
    return inside
end

local function sieve(limit)
    local composite, count = {}, 0
    for i = 2, limit do
        if not composite[i] then
            count = count + 1
            for j = i * i, limit, i do composite[j] = true end
        end
    end
    return count
end

local function hash(n)
    local h = 1
    for i = 1, n do h = bit.bxor(bit.rol(h, 5), bit.band(i * 2654435 + h, 0xffffff)) end
    return h
end

print(mandelbrot(700), sieve(3000000), hash(60000000))
