# SPDX-License-Identifier: GPL-2.0-or-later
"""JSON, regular expressions, dictionaries and strings."""
import collections
import json
import re
import sys
import zlib

with open(sys.argv[1], encoding="latin-1") as f:
    text = f.read(1500000)
with open(sys.argv[2], encoding="latin-1") as f:
    records = json.load(f)

words = collections.Counter(text.lower().split())
lengths = {}
for word in re.findall(r"\b[a-z]{3,}(?:ing|ed|s)\b", text):
    lengths.setdefault(len(word), set()).add(word)
dates = re.sub(r"(\d{4})-(\d\d)-(\d\d)", r"\3.\2.\1", text)
groups = collections.defaultdict(list)
for record in records:
    groups[record["city"], record["year"] // 10].append(record["value"])
table = sorted((city, decade, len(v), sum(v)) for (city, decade), v in groups.items())
dump = json.dumps(records, sort_keys=True, indent=1)
again = json.loads(dump)
print(words.most_common(20), sorted((k, len(v)) for k, v in lengths.items()), zlib.crc32(dates.encode()),
      table[:50], len(dump), again == records, "|".join(sorted(words))[:2000])
