# Bench::Chart: SVG charts, readable in light and in dark.
#
#   Bench::Chart::draw({ kind => 'bars', title, unit,
#       bars => [ [ label, value, ours ], ... ] })
#   Bench::Chart::draw({ kind => 'lines', title, x, y,
#       lines => [ [ label, [ [ x, y ], ... ] ], ... ] })
package Bench::Chart;
use strict;
use warnings;

my $width = 720;

my $style = <<'CSS';
<style>
	text { font: 13px system-ui, sans-serif; fill: #1f2328; }
	.title { font-weight: 600; font-size: 15px; }
	.dim { fill: #59636e; font-size: 12px; }
	.back { fill: #ffffff; }
	.grid { stroke: #d1d9e0; stroke-width: 1; }
	.other { fill: #afb8c1; }
	.c0 { fill: #0969da; stroke: #0969da; } .c1 { fill: #bc4c00; stroke: #bc4c00; }
	.c2 { fill: #1a7f37; stroke: #1a7f37; } .c3 { fill: #8250df; stroke: #8250df; }
	polyline { stroke-width: 2; fill: none !important; stroke-linejoin: round; }
	@media (prefers-color-scheme: dark) {
		text { fill: #f0f6fc; }
		.dim { fill: #9198a1; }
		.back { fill: #0d1117; }
		.grid { stroke: #3d444d; }
		.other { fill: #656c76; }
		.c0 { fill: #4493f8; stroke: #4493f8; } .c1 { fill: #db6d28; stroke: #db6d28; }
		.c2 { fill: #3fb950; stroke: #3fb950; } .c3 { fill: #ab7df8; stroke: #ab7df8; }
	}
</style>
CSS

sub draw
{
	my ($chart) = @_;
	return $chart->{kind} eq 'bars' ? bars($chart) : lines($chart);
}

sub escape
{
	my ($text) = @_;
	my %entities = ('&' => '&amp;', '<' => '&lt;', '>' => '&gt;', '"' => '&quot;');
	return $text =~ s/([&<>"])/$entities{$1}/gr;
}

# Three digits that count, with commas.
sub number
{
	my ($value) = @_;
	my $text = abs($value) >= 100 ? sprintf('%.0f', $value)
	  : abs($value) >= 10 ? sprintf('%.1f', $value) : sprintf('%.2f', $value);
	$text =~ s/\.0+$//;
	1 while $text =~ s/^(-?\d+)(\d{3})/$1,$2/;
	return $text;
}

sub text
{
	my ($x, $y, $text, $class, $anchor) = @_;
	return sprintf qq(<text x="%.1f" y="%.1f" class="%s" text-anchor="%s">%s</text>\n),
	  $x, $y, $class // '', $anchor // 'start', escape($text);
}

sub frame
{
	my ($title, $height, $content) = @_;
	return qq(<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 $width $height" width="$width" height="$height" role="img">\n)
	  . '<title>' . escape($title) . "</title>\n" . $style
	  . qq(<rect class="back" width="$width" height="$height" rx="6"/>\n)
	  . text(20, 30, $title, 'title') . $content . "</svg>\n";
}

sub bars
{
	my ($chart) = @_;
	my ($left, $room, $y, $content) = (270, $width - 270 - 100, 66, '');
	my ($max) = sort { $b <=> $a } map { $_->[1] } @{ $chart->{bars} };
	$content .= text(20, 50, $chart->{unit}, 'dim');
	for my $bar (@{ $chart->{bars} })
	{
		my ($label, $value, $ours) = @$bar;
		my $length = $max ? $room * $value / $max : 0;
		$content .= text($left - 10, $y + 16, $label, '', 'end');
		$content .= sprintf qq(<rect x="%d" y="%d" width="%.1f" height="22" rx="3" class="%s"/>\n),
		  $left, $y, $length < 1 ? 1 : $length, $ours ? 'c0' : 'other';
		$content .= text($left + $length + 8, $y + 16, number($value));
		$y += 32;
	}
	return frame($chart->{title}, $y + 12, $content);
}

# A round number not below the value: 1, 2 or 5 times a power of ten.
sub round_up
{
	my ($value) = @_;
	return 1 if $value <= 0;
	my $power = 10**POSIX::floor(log($value) / log(10));
	for (1, 2, 2.5, 5, 10) { return $_ * $power if $_ * $power >= $value * 0.999; }
	return $value;
}

sub lines
{
	my ($chart) = @_;
	my ($left, $top, $right, $bottom) = (80, 64, $width - 20, 300);
	my @points = map { @{ $_->[1] } } @{ $chart->{lines} };
	my ($max_x) = sort { $b <=> $a } map { $_->[0] } @points;
	my ($max_y) = sort { $b <=> $a } map { $_->[1] } @points;
	$max_x ||= 1;
	$max_y = round_up($max_y // 1);
	my $x = sub { $left + ($right - $left) * $_[0] / $max_x };
	my $y = sub { $bottom - ($bottom - $top) * $_[0] / $max_y };

	my $content = text(20, 50, $chart->{y}, 'dim');
	for my $step (0 .. 4)
	{
		my $value = $max_y * $step / 4;
		$content .= sprintf qq(<line class="grid" x1="%d" x2="%d" y1="%.1f" y2="%.1f"/>\n),
		  $left, $right, $y->($value), $y->($value);
		$content .= text($left - 8, $y->($value) + 4, number($value), 'dim', 'end');
		$content .= text($x->($max_x * $step / 4), $bottom + 18, number($max_x * $step / 4), 'dim', 'middle');
	}
	$content .= text($right, $bottom + 36, $chart->{x}, 'dim', 'end');
	my $legend = $left;
	for my $i (0 .. $#{ $chart->{lines} })
	{
		my ($label, $values) = @{ $chart->{lines}[$i] };
		my $class = 'c' . $i % 4;
		$content .= qq(<polyline class="$class" points=")
		  . join(' ', map { sprintf '%.1f,%.1f', $x->($_->[0]), $y->($_->[1]) } @$values) . qq("/>\n);
		$content .= sprintf qq(<rect x="%d" y="%d" width="12" height="12" rx="2" class="%s"/>\n),
		  $legend, $bottom + 26, $class;
		$content .= text($legend + 18, $bottom + 37, $label);
		$legend += 38 + 7 * length $label;
	}
	return frame($chart->{title}, $bottom + 56, $content);
}

use POSIX ();
1;
