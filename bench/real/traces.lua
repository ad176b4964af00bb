-- SPDX-License-Identifier: GPL-2.0-or-later
-- Ever new code: each function is compiled by the tracing compiler, runs for a short time and is gone.
local total = 0
for i = 1, 1500 do
    local source = string.format([[
        local t = {}
        local sum, x = %d, %d
        for i = 1, 400 do
            x = (x * %d + %d) %% 65537
            if x > %d then sum = sum + x else sum = sum - i end
            t[i %% 16] = sum
        end
        return sum + #t
    ]], i, i * 3, i % 31 + 2, i % 17, i * 37 % 65537)
    total = (total + assert(loadstring(source))()) % 1000000007
end
print(total)
