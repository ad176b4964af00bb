# SPDX-License-Identifier: GPL-2.0-or-later
# Totals and extremes of a table by two of its columns.
{
    sum[$3] += $4
    count[$3 "," int($2 / 10)]++
    if (!($3 in most) || $4 > most[$3])
        most[$3] = $4
    if ($5 ~ /(ing|ed)$/)
        endings[substr($5, 1, 3)]++
}
END {
    for (city in sum)
        printf "%s %.2f %s\n", city, sum[city], most[city] | "sort"
    close("sort")
    for (key in count)
        pairs += count[key] * length(key)
    for (key in endings)
        ends++
    print NR, pairs, ends
}
