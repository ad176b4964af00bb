# SPDX-License-Identifier: GPL-2.0-or-later
# What configure scripts and packages do: many small commands.
i=0
while [ $i -lt 40 ]; do
    name=$(basename "/usr/lib/part-$i.so" .so)
    number=$(expr "$name" : 'part-\(.*\)')
    case $(uname -m) in
    x86_64) bits=64 ;;
    *) bits=32 ;;
    esac
    echo "$name $bits" | sed 's/part/piece/' >conf.$i
    cat conf.$i | tr a-z A-Z | cut -d' ' -f1
    if grep -q "piece-$number" conf.$i && test -d "$(dirname /usr/bin/env)"; then
        mv conf.$i conf.done
    fi
    rm -f conf.done
    i=$(expr $i + 1)
done
