-- SPDX-License-Identifier: GPL-2.0-or-later
-- What a tracing compiler makes of hot loops; tests/system/scale.py knows the results.
local bit, ffi = require("bit"), require("ffi")

local function hash(n)
    local h = 1
    for i = 1, n do
        h = bit.tobit(h * 65599 + i % 256)
    end
    return h
end

local function float(n)
    local x = 0
    for i = 1, n do
        x = x * 0.999 + 1 / i
    end
    return x
end

local function random(seed)
    return function()
        seed = (seed * 1103515245 + 12345) % 2147483648
        return seed
    end
end

local function sorted(n)
    local t, r, sum = {}, random(1), 0
    for i = 1, n do
        t[i] = r()
    end
    table.sort(t, function(a, b) return a < b end)
    for i = 1, n do
        sum = (sum + t[i] * (i % 1000)) % 4294967296
    end
    return sum
end

local function strings(n)
    local seen, length = {}, 0
    for i = 1, n do
        local s = "key" .. i % 5000 .. string.rep("x", i % 7)
        seen[s] = (seen[s] or 0) + 1
        length = length + #s
    end
    local kinds = 0
    for _ in pairs(seen) do
        kinds = kinds + 1
    end
    return length .. " " .. kinds
end

-- C calls code that is generated for the callback.
ffi.cdef("void qsort(void *, size_t, size_t, int (*)(const int32_t *, const int32_t *));")
local function callback(n)
    local a, r, sum = ffi.new("int32_t[?]", n), random(2), 0
    for i = 0, n - 1 do
        a[i] = r()
    end
    local compare = ffi.cast("int (*)(const int32_t *, const int32_t *)", function(p, q)
        return p[0] < q[0] and -1 or p[0] > q[0] and 1 or 0
    end)
    ffi.C.qsort(a, n, 4, compare)
    compare:free()
    for i = 0, n - 1 do
        sum = (sum + a[i] * (i % 1000)) % 4294967296
    end
    return sum
end

local function coroutines(n)
    local sum = 0
    for k = 1, n do
        local c = coroutine.wrap(function()
            for i = 1, 10 do
                coroutine.yield(i * k)
            end
        end)
        for _ = 1, 10 do
            sum = sum + c()
        end
    end
    return sum
end

-- New code all the time.
local function generated(n)
    local sum = 0
    for i = 1, n do
        local f = loadstring(("local a = ... for k = 1, 200 do a = a + k %% %d end return a"):format(i))
        sum = sum + f(i)
    end
    return sum
end

print("hash", hash(3000000))
print("float", ("%.17g"):format(float(1000000)))
print("sorted", ("%d"):format(sorted(100000)))
print("strings", strings(200000))
print("callback", ("%d"):format(callback(5000)))
print("coroutines", coroutines(2000))
print("generated", generated(2000))
print("compiler", jit.status())
