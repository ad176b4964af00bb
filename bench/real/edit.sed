# SPDX-License-Identifier: GPL-2.0-or-later
s/([0-9]{4})-([0-9]{2})-([0-9]{2})/\3.\2.\1/g
s/\b([a-z]+)ing\b/\1ed/g
y/abcdef/ABCDEF/
/^[A-F]/{
    s/ +/ /g
    s/^(.)(.*)$/\2\1/
}
/[0-9]{3}$/d
