# SPDX-License-Identifier: GPL-2.0-or-later
# Word counts, substitutions and sorting.
use strict;
use warnings;
my (%count, %pairs, $previous, $dates);
while (my $line = <>) {
    $dates += ($line =~ s/(\d{4})-(\d\d)-(\d\d)/$3.$2.$1/g);
    for my $word (split /[^A-Za-z]+/, lc $line) {
        next unless length $word;
        $count{$word}++;
        $pairs{"$previous $word"}++ if defined $previous;
        $previous = $word;
    }
}
my $shown = 0;
for my $table (\%count, \%pairs) {
    for my $key (sort { $table->{$b} <=> $table->{$a} || $a cmp $b } keys %$table) {
        print "$key $table->{$key}\n";
        last if ++$shown % 1000 == 0;
    }
}
print "$dates\n";
