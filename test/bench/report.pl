# Makes the report from what the figures have left in a folder:
#   report.pl FOLDER FIGURE ...
# A table on the terminal, bench.json, and a chart for each figure.
use strict;
use warnings;
use Bench::Chart;
use JSON::PP;

my ($folder, @names) = @ARGV;
my @figures;
for my $name (@names)
{
	open(my $in, '<', "$folder/$name.json") or next;
	push @figures, decode_json(do { local $/; <$in> });
	close $in;
	unlink "$folder/$name.json";
}

# How the machine was, for whoever reads the file later.
sub first_line
{
	my ($file, $pattern) = @_;
	open(my $in, '<', $file) or return '';
	while (my $line = <$in>) { return $1 if $line =~ $pattern; }
	return '';
}
my $machine = {
	processor => first_line('/proc/cpuinfo', qr/^model name\s*:\s*(.*)/),
	processors => `getconf _NPROCESSORS_ONLN` + 0,
	memory_kb => first_line('/proc/meminfo', qr/^MemTotal:\s*(\d+)/) + 0,
	kernel => first_line('/proc/version', qr/version (\S+)/),
};

open(my $out, '>', "$folder/bench.json") or die $!;
print $out JSON::PP->new->canonical->pretty->encode({ machine => $machine, figures => \@figures });
close $out or die $!;

my $table = [ [ 'figure', '', 'measured', 'must reach', '' ] ];
for my $figure (@figures)
{
	my $name = $figure->{figure};
	for my $row (@{ $figure->{rows} })
	{
		push @$table, [ $name, $row->{what}, $row->{measured}, $row->{must} // '',
			!defined $row->{met} ? '' : $row->{met} ? 'met' : 'NOT MET' ];
		$name = '';
	}
	my @charts = $figure->{charts} ? @{ $figure->{charts} } : ($figure->{chart});
	for my $i (0 .. $#charts)
	{
		my $file = "$folder/$figure->{figure}" . ($i ? '-' . ($i + 1) : '') . '.svg';
		open(my $svg, '>', $file) or die $!;
		print $svg Bench::Chart::draw({ title => $figure->{title}, %{ $charts[$i] } });
		close $svg or die $!;
	}
}

my @width = (0) x 5;
for my $cells (@$table)
{
	for (0 .. $#$cells)
	{
		$width[$_] = length $cells->[$_] if length $cells->[$_] > $width[$_];
	}
}
print "\n";
printf "%-$width[0]s  %-$width[1]s  %$width[2]s  %-$width[3]s  %s\n", @$_ for @$table;
print "\nsmall scale (QUICK): the figures say little\n" if grep { $_->{quick} } @figures;
print "\nbench.json and the charts are in $folder\n";
