# SPDX-License-Identifier: GPL-2.0-or-later
# Pipelines over a text.
for letter in a e i o u s t; do
    head -c 700000 text | tr -cs A-Za-z '\n' | grep "^$letter" | sort | uniq -c | sort -rn |
        head -20 | awk '{ print $2, $1 }'
done
