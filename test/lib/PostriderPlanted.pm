# PostriderPlanted: secrets that a test has planted, and the search for them.
#
#   my $node = PostriderTest::node('name', conf => PostriderPlanted::loud);
#   my $search = PostriderPlanted->new(name => value, ...);
#   $search->finds($text)              # which of them are in it, and where
#   $search->clean($text, 'the log')   # a test that none is
#
# Values are to be distinctive, so that a find is no chance.
package PostriderPlanted;
use strict;
use warnings;
use MIME::Base64 qw(encode_base64);
use Test::More;

sub new { my ($class, %planted) = @_; return bless {%planted}, $class; }

# All logging that the server has.
sub loud
{
	return <<'CONF';
log_min_messages = debug5
log_min_error_statement = debug5
log_error_verbosity = verbose
log_statement = all
log_min_duration_statement = 0
log_duration = on
log_parameter_max_length = -1
log_parameter_max_length_on_error = -1
debug_print_parse = on
debug_print_rewritten = on
debug_print_plan = on
log_lock_waits = on
deadlock_timeout = 200ms
track_activity_query_size = 65536
shared_preload_libraries = 'pg_stat_statements, postrider, auto_explain'
pg_stat_statements.track = all
pg_stat_statements.track_utility = on
auto_explain.log_min_duration = 0
auto_explain.log_analyze = on
auto_explain.log_verbose = on
auto_explain.log_nested_statements = on
CONF
}

# What a value looks like where it may have been written.
sub forms
{
	my ($value) = @_;
	my @lines = $value =~ /\n/ ? grep { length > 16 && !/^---/ } split(/\n/, $value) : $value;
	my @forms;
	for my $text (map { $_, /^whs\w+_(.*)/ ? $1 : () } @lines)
	{
		my $bytes = $text;
		utf8::encode($bytes) if utf8::is_utf8($bytes);
		push @forms, $bytes, unpack('H*', $bytes), join(' ', unpack('C*', $bytes)), $bytes =~ s/([^\w.~-])/sprintf '%%%02X', ord $1/ger,
		  $bytes =~ s/(["\\])/\\$1/gr, $bytes =~ s/'/''/gr;
		for my $before (0 .. 2)
		{
			my $encoded = encode_base64("\0" x $before . $bytes, '');
			my $first = int(($before * 8 + 5) / 6);
			push @forms, substr($encoded, $first, int((length($bytes) + $before) * 8 / 6) - $first);
			push @forms, $forms[-1] =~ tr{+/}{-_}r;
		}
	}
	return grep { length > 6 } @forms;
}

# Which secrets are in a text, and where.
sub finds
{
	my ($self, $text) = @_;
	my @found;
	for my $name (sort keys %$self)
	{
		for my $form (forms($self->{$name}))
		{
			my $at = index($text, $form);
			next if $at < 0;
			push @found, "$name: " . substr($text, $at < 300 ? 0 : $at - 300, 700);
			last;
		}
	}
	return @found;
}

sub clean
{
	my ($self, $text, $where) = @_;
	my @found = $self->finds($text);
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(scalar(@found), 0, "$where: nothing is found") or diag(join("\n----\n", @found));
}

1;
