# PostriderStore: stand-ins for the stores that secrets can be in, for the TAP tests.
# Each is an HTTP server in a process of its own that behaves as the API of the real one
# does, down to status codes and the form of its errors.
#
#   my $vault = PostriderStore->start('vault', role_id => ..., secret_id => ..., data => {...});
#   $vault->url
#   $vault->set(data => {...});          # changes what it has, while it runs
#   $vault->requests                     # [{method, path, status, headers, body, time}, ...]
#   $vault->down; $vault->up;
#
# What it has is a hash, and each kind says below what it looks at.  "fail" => 503 lets any of
# them answer so to all; "hang" => 1 lets it not answer at all; "echo" => 500 lets it answer so
# and repeat the request in headers and error.  "prefix" is what its tokens begin with.
package PostriderStore;
use strict;
use warnings;
use Digest::SHA qw(hmac_sha256 hmac_sha256_hex sha256_hex);
use File::Temp qw(tempdir);
use IO::Select;
use IO::Socket::INET;
use JSON::PP;
use MIME::Base64 qw(encode_base64);
use PostriderChild;
use Time::HiRes qw(time sleep);

my %kinds = (vault => \&vault, aws => \&aws, azure => \&azure);

sub start
{
	my ($class, $kind, %has) = @_;
	my $self = bless { kind => $kind, dir => tempdir(CLEANUP => 1), port => 0, has => \%has }, $class;
	$self->{log} = "$self->{dir}/requests";
	open(my $touch, '>', $self->{log}) or die $!;
	$self->set;
	$self->up;
	return $self;
}

sub url { my ($self, $path) = @_; return "http://127.0.0.1:$self->{port}" . ($path // ''); }

sub set
{
	my ($self, %new) = @_;
	$self->{has} = { %{ $self->{has} }, %new };
	open(my $out, '>', "$self->{dir}/has.new") or die $!;
	print $out encode_json($self->{has});
	close $out;
	rename "$self->{dir}/has.new", "$self->{dir}/has" or die $!;
}

sub requests
{
	my ($self, $path) = @_;
	open(my $in, '<', $self->{log}) or die $!;
	return grep { !defined $path || $_->{path} =~ $path } map { decode_json($_) } grep { /\n\z/ } <$in>;
}

sub count { my ($self, $path) = @_; return scalar(() = $self->requests($path)); }

sub up
{
	my ($self) = @_;
	my $listen = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $self->{port},
		Listen => 64, ReuseAddr => 1) or die "cannot listen: $!";
	$self->{port} = $listen->sockport;
	$self->{pid} = PostriderChild::start(sub { $self->serve($listen) });
	close $listen;
}

sub down
{
	my ($self) = @_;
	return unless $self->{pid};
	kill 'TERM', $self->{pid};
	waitpid $self->{pid}, 0;
	delete $self->{pid};
}

sub DESTROY
{
	my ($self) = @_;
	local $?;
	$self->down;
}

sub serve
{
	my ($self, $listen) = @_;
	my $select = IO::Select->new($listen);
	my %input;
	my $memory = {};			# of the server: tokens that it gave out
	open(my $log, '>>', $self->{log}) or die $!;
	$log->autoflush(1);

	while (1)
	{
		for my $socket ($select->can_read)
		{
			if ($socket == $listen)
			{
				my $new = $listen->accept or next;
				$select->add($new);
				$input{$new} = '';
				next;
			}
			if (!sysread($socket, $input{$socket}, 65536, length $input{$socket}))
			{
				$select->remove($socket);
				delete $input{$socket};
				close $socket;
				next;
			}
			while ($input{$socket} =~ /\A(.*?)\r\n\r\n/s)
			{
				my $head = $1;
				my ($line, @lines) = split /\r\n/, $head;
				my %headers;
				for (@lines)
				{
					my ($name, $value) = /^([^:]+):\s*(.*?)\s*$/ or next;
					$headers{ lc $name } = $value;
				}
				my $size = $headers{'content-length'} || 0;
				last if length($input{$socket}) < length($head) + 4 + $size;
				my $body = substr($input{$socket}, length($head) + 4, $size);
				substr($input{$socket}, 0, length($head) + 4 + $size) = '';
				my ($method, $path) = split / /, $line;
				my $request = { method => $method, path => $path, headers => \%headers, body => $body, time => time };
				$self->handle($socket, $request, $memory);
				print $log encode_json($request), "\n";
			}
		}
	}
}

sub handle
{
	my ($self, $socket, $request, $memory) = @_;
	open(my $in, '<', "$self->{dir}/has") or die $!;
	my $has = decode_json(join '', <$in>);
	close $in;
	return if $has->{hang};
	my ($status, $answer, %extra) = $has->{fail} ? ($has->{fail}, undef) : $has->{echo} ? echo($has->{echo}, $request) : $kinds{ $self->{kind} }->($request, $has, $memory);
	my $body = defined $answer ? (ref $answer ? encode_json($answer) : $answer) : '';
	$request->{status} = $status;
	$extra{'Content-Type'} //= 'application/json';
	syswrite $socket, "HTTP/1.1 $status Status\r\n" . join('', map { "$_: $extra{$_}\r\n" } sort keys %extra)
	  . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
}

# In every place where some kind of store says what is wrong.
sub echo
{
	my ($status, $request) = @_;
	my $text = join ' ', $request->{path}, %{ $request->{headers} }, $request->{body};
	my ($letters) = $text =~ /(Planted\w*)/;
	return ($status, { errors => [$text], data => { error => $text }, __type => $letters // $text, Message => $text, error_description => $text,
			error => { code => $letters // $text, message => $text, innererror => { code => $letters // $text } } }, 'X-Echo' => $text =~ s/\s+/ /gr);
}

sub random { return join '', map { ('a' .. 'z', 'A' .. 'Z', 0 .. 9)[rand 62] } 1 .. $_[0]; }

sub uuid { return join '-', map { random($_) } 8, 4, 4, 4, 12; }

# Vault: what it has is
#   role_id, secret_id, mount (of AppRole, else "approle")
#   token_seconds, max_seconds   how long a token lives, and at most with renewals
#   uses                         of secret_id; undefined: any number
#   tokens    {token => 1}       tokens that live for ever
#   data      {"namespace|path" => {field => value}}, version {the same => number}
#   deleted   {the same => time} a version that was deleted
#   v1        {path => {field => value}}, lease of those (seconds)
#   lease     seconds            (0, as KV version 2 says)
#   sealed
sub vault
{
	my ($request, $has, $memory) = @_;
	my %head = %{ $request->{headers} };
	my ($path, $query) = $request->{path} =~ m{^/v1/([^?]*)(?:\?(.*))?$} or return (404, { errors => [] });
	my $namespace = $head{'x-vault-namespace'} // '';

	return (503, { errors => ['Vault is sealed'] }) if $has->{sealed};
	# As a listener with require_request_header asks for.
	return (412, { errors => ['missing \'X-Vault-Request\' header'] }) if ($head{'x-vault-request'} // '') ne 'true';

	if ($path eq 'auth/' . ($has->{mount} // 'approle') . '/login')
	{
		return (405, { errors => ['unsupported operation'] }) if $request->{method} !~ /^(POST|PUT)$/;
		my $asked = eval { decode_json($request->{body}) } or return (400, { errors => ['error parsing JSON'] });
		return (400, { errors => ['missing role_id'] }) if !length($asked->{role_id} // '');
		return (400, { errors => ['invalid role or secret ID'] })
		  if $asked->{role_id} ne $has->{role_id} || ($asked->{secret_id} // '') ne $has->{secret_id}
		  || (defined $has->{uses} && ($memory->{used}{ $has->{secret_id} } // 0) >= $has->{uses});
		$memory->{used}{ $has->{secret_id} }++;
		my $token = 'hvs.' . ($has->{prefix} // '') . random(90);
		my $seconds = $has->{token_seconds} // 3600;
		$memory->{tokens}{$token} = { until => time + $seconds, most => time + ($has->{max_seconds} // 86400), namespace => $namespace };
		return (200, vault_answer(auth => vault_auth($token, $seconds)));
	}

	my $token = $head{'x-vault-token'} // '';
	my $known = $memory->{tokens}{$token};
	return (403, { errors => ["2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n"] })
	  unless $has->{tokens}{$token} || ($known && $known->{until} > time && !$has->{revoked});

	if ($path eq 'auth/token/renew-self')
	{
		return (405, { errors => ['unsupported operation'] }) if $request->{method} !~ /^(POST|PUT)$/;
		return (400, { errors => ['lease is not renewable'] }) if !$known;
		my $until = time + ($has->{token_seconds} // 3600);
		$known->{until} = $until < $known->{most} ? $until : $known->{most};
		return (200, vault_answer(auth => vault_auth($token, int($known->{until} - time))));
	}
	if ($path eq 'auth/token/lookup-self')
	{
		return (200, vault_answer(data => { ttl => $known ? int($known->{until} - time) : 0, renewable => $known ? JSON::PP::true : JSON::PP::false }));
	}
	return (405, { errors => ['unsupported operation'] }) if $request->{method} ne 'GET';
	return (403, { errors => ["1 error occurred:\n\t* permission denied\n\n"] }) if $path =~ /forbidden/;

	my $key = "$namespace|$path";
	if (my $value = $has->{v1}{$key})
	{
		return (200, vault_answer(data => $value, lease_duration => $has->{lease} // 2764800));
	}
	return (404, vault_answer(data => { data => undef, metadata => vault_metadata($has->{version}{$key}, $has->{deleted}{$key}) }))
	  if $has->{deleted}{$key};
	my $data = $has->{data}{$key} or return (404, { errors => [] });
	return (200, vault_answer(lease_duration => $has->{lease} // 0,
			data => { data => $data, metadata => vault_metadata($has->{version}{$key}, '') }));
}

sub vault_metadata
{
	my ($version, $deleted) = @_;
	return { created_time => '2026-01-02T03:04:05.678901234Z', custom_metadata => undef,
		deletion_time => $deleted, destroyed => JSON::PP::false, version => $version // 1 };
}

sub vault_answer
{
	return { request_id => uuid(), lease_id => '', renewable => JSON::PP::false, lease_duration => 0,
		data => undef, wrap_info => undef, warnings => undef, auth => undef, @_ };
}

sub vault_auth
{
	my ($token, $seconds) = @_;
	return { client_token => $token, accessor => random(24), policies => [ 'crm', 'default' ],
		token_policies => [ 'crm', 'default' ], metadata => { role_name => 'postrider' },
		lease_duration => $seconds, renewable => JSON::PP::true, entity_id => uuid(),
		token_type => 'service', orphan => JSON::PP::true, mfa_requirement => undef, num_uses => 0 };
}

# AWS Secrets Manager: what it has is
#   access_key_id, secret_access_key, session_token (or none), region
#   secrets {id => {SecretString => ... | SecretBinary => bytes in hexadecimal, stages => {AWSCURRENT => ..., }}}
#   expired     the session token is
#   denied      {id => 1}
#   throttled
# A secret of several stages has {stages => {AWSCURRENT => value, AWSPENDING => value}}.
sub aws
{
	my ($request, $has, $memory) = @_;
	my @json = ('Content-Type' => 'application/x-amz-json-1.1', 'x-amzn-RequestId' => uuid());
	my $error = sub {
		my ($status, $type, $message) = @_;
		return ($status, { __type => $type, ($type =~ /Exception$/ && $type !~ /Resource|Access/ ? 'message' : 'Message') => $message }, @json);
	};

	my $problem = aws_verify($request, $has);
	return $error->(@$problem) if $problem;
	return $error->(400, 'ExpiredTokenException', 'The security token included in the request is expired') if $has->{expired};
	return $error->(400, 'ThrottlingException', 'Rate exceeded') if $has->{throttled};
	return $error->(400, 'UnknownOperationException', '') if ($request->{headers}{'x-amz-target'} // '') ne 'secretsmanager.GetSecretValue';
	return $error->(400, 'SerializationException', '') if ($request->{headers}{'content-type'} // '') ne 'application/x-amz-json-1.1';
	my $asked = eval { decode_json($request->{body}) } or return $error->(400, 'SerializationException', '');
	my $id = $asked->{SecretId};
	$id =~ s/^arn:aws:secretsmanager:[^:]*:\d+:secret:(.*)-\w{6}$/$1/;
	return $error->(400, 'AccessDeniedException', "User: arn:aws:iam::123456789012:user/postrider is not authorized to perform: secretsmanager:GetSecretValue on resource: $id because no identity-based policy allows the secretsmanager:GetSecretValue action")
	  if $has->{denied}{$id};
	my $secret = $has->{secrets}{$id} or return $error->(400, 'ResourceNotFoundException', "Secrets Manager can't find the specified secret.");
	my $stage = $asked->{VersionStage} // 'AWSCURRENT';
	my %answer = (ARN => "arn:aws:secretsmanager:$has->{region}:123456789012:secret:$id-a1b2c3", CreatedDate => 1767323045.678,
		Name => $id, VersionId => $asked->{VersionId} // '11111111-2222-3333-4444-555555555555', VersionStages => [$stage]);
	if (defined $secret->{SecretBinary} && $stage eq 'AWSCURRENT')
	{
		$answer{SecretBinary} = encode_base64(pack('H*', $secret->{SecretBinary}), '');
	}
	else
	{
		my $value = $secret->{stages} ? $secret->{stages}{$stage} : $stage eq 'AWSCURRENT' ? $secret->{SecretString} : undef;
		return $error->(400, 'ResourceNotFoundException', "Secrets Manager can't find the specified secret value for staging label: $stage") if !defined $value;
		$answer{SecretString} = $value;
	}
	return (200, \%answer, @json);
}

# Signature Version 4 for that service or "service", computed from what came, by the steps of AWS's documentation.
# Returns nothing, or what is wrong.
sub aws_verify
{
	my ($request, $has) = @_;
	my %head = %{ $request->{headers} };
	my $authorization = $head{authorization} or return [ 400, 'MissingAuthenticationTokenException', 'Missing Authentication Token' ];
	my ($key, $day, $region, $service, $signed, $signature) =
	  $authorization =~ m{^AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$}
	  or return [ 400, 'IncompleteSignatureException', "Authorization header is malformed: $authorization" ];
	return [ 400, 'UnrecognizedClientException', 'The security token included in the request is invalid.' ]
	  if $key ne $has->{access_key_id} || ($head{'x-amz-security-token'} // '') ne ($has->{session_token} // '');
	return [ 400, 'InvalidSignatureException', 'Credential should be scoped to a valid region.' ]
	  if $region ne $has->{region} || $service ne ($has->{service} // 'secretsmanager');

	my $date = $head{'x-amz-date'} // '';
	my ($y, $mo, $d, $h, $mi, $s) = $date =~ /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/
	  or return [ 400, 'IncompleteSignatureException', 'Authorization header requires existence of either a \'X-Amz-Date\' or a \'Date\' header.' ];
	require Time::Local;
	return [ 400, 'InvalidSignatureException', "Signature expired: $date" ]
	  if abs(Time::Local::timegm($s, $mi, $h, $d, $mo - 1, $y) - time) > 300 || $day ne "$y$mo$d";

	my %is_signed = map { $_ => 1 } split /;/, $signed;
	for my $must ('host', grep { /^x-amz-/ && $_ ne 'x-amzn-trace-id' } keys %head)
	{
		return [ 400, 'InvalidSignatureException', "'$must' must be a 'SignedHeader' in the AWS Authorization." ] unless $is_signed{$must};
	}
	my ($path, $query) = split /\?/, $request->{path}, 2;
	my $canonical = join "\n", $request->{method},
	  join('/', map { aws_encode($_) } split m{/}, $path, -1),
	  join('&', sort map { my ($n, $v) = split /=/, $_, 2; "$n=" . ($v // '') } split /&/, $query // ''),
	  (map { my $value = $head{$_} // ''; $value =~ s/^\s+|\s+$//g; $value =~ s/ +/ /g; "$_:$value" } split /;/, $signed),
	  '', $signed, sha256_hex($request->{body});
	my $string = join "\n", 'AWS4-HMAC-SHA256', $date, "$day/$region/$service/aws4_request", sha256_hex($canonical);
	my $secret = "AWS4$has->{secret_access_key}";
	$secret = hmac_sha256($_, $secret) for $day, $region, $service, 'aws4_request';
	return if hmac_sha256_hex($string, $secret) eq $signature;

	# What the real one says here has the session token in it.
	return [ 400, 'InvalidSignatureException', "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key and signing method. Consult the service documentation for details.\n\nThe Canonical String for this request should have been\n'$canonical'\n\nThe String-to-Sign should have been\n'$string'\n" ];
}

sub aws_encode { my ($text) = @_; $text =~ s/([^A-Za-z0-9\-._~])/sprintf '%%%02X', ord $1/ge; return $text; }

# Azure Key Vault and, at /{tenant}/oauth2/v2.0/token, Microsoft Entra.  What it has is
#   tenant_id, client_id, client_secret, token_seconds, scope
#   secrets {name => {value =>, version =>, attributes => {enabled, exp, nbf}}}
#   versions {"name/version" => the same}
#   revoked     tokens that were given out until that time are not good
sub azure
{
	my ($request, $has, $memory) = @_;
	my ($path, $query) = split /\?/, $request->{path}, 2;
	my %query = map { split /=/, $_, 2 } split /&/, $query // '';

	if ($path =~ m{^/([^/]+)/oauth2/v2\.0/token$})
	{
		my $tenant = $1;
		my $error = sub {
			my ($status, $code, $number, $text) = @_;
			return ($status, { error => $code, error_description => "AADSTS$number: $text Trace ID: " . uuid() . ' Timestamp: 2026-01-02 03:04:05Z',
					error_codes => [ 0 + $number ], timestamp => '2026-01-02 03:04:05Z', trace_id => uuid(), correlation_id => uuid(),
					error_uri => "https://login.microsoftonline.com/error?code=$number" });
		};
		my %form = map { my ($n, $v) = map { s/\+/ /gr =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger } split /=/, $_, 2; ($n, $v) } split /&/, $request->{body};
		return $error->(400, 'invalid_request', 90002, "Tenant '$tenant' not found.") if $tenant ne $has->{tenant_id};
		return $error->(400, 'invalid_request', 900144, "The request body must contain the following parameter: 'grant_type'.") if !$form{grant_type};

		# By post or by basic authentication
		if (($request->{headers}{authorization} // '') =~ /^Basic (.*)/)
		{
			require MIME::Base64;
			@form{qw(client_id client_secret)} = map { s/\+/ /gr =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ger } split /:/, MIME::Base64::decode_base64($1), 2;
		}
		return $error->(400, 'unsupported_grant_type', 70003, "The app requested an unsupported grant type '$form{grant_type}'.") if $form{grant_type} ne 'client_credentials';
		return $error->(400, 'unauthorized_client', 700016, "Application with identifier '$form{client_id}' was not found in the directory.") if $form{client_id} ne $has->{client_id};
		return $error->(401, 'invalid_client', 7000215, 'Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID.')
		  if ($form{client_secret} // '') ne $has->{client_secret};
		return $error->(400, 'invalid_scope', 70011, "The provided value for the input parameter 'scope' is not valid.") if ($form{scope} // '') ne ($has->{scope} // 'https://vault.azure.net/.default');
		my $token = ($has->{prefix} // '') . join '.', map { random(40) } 1 .. 3;
		my $seconds = $has->{token_seconds} // 3599;
		$memory->{tokens}{$token} = { until => time + $seconds, made => time };
		return (200, { token_type => 'Bearer', expires_in => $seconds, ext_expires_in => $seconds, access_token => $token });
	}

	my $error = sub {
		my ($status, $code, $message, %more) = @_;
		return ($status, { error => { code => $code, message => $message, ($more{inner} ? (innererror => { code => $more{inner} }) : ()) } }, %{ $more{headers} // {} });
	};
	my $host = $request->{headers}{host};
	my $challenge = { 'WWW-Authenticate' => qq(Bearer authorization="http://$host/$has->{tenant_id}", resource="https://vault.azure.net") };
	my ($token) = ($request->{headers}{authorization} // '') =~ /^Bearer (.+)$/;
	return $error->(401, 'Unauthorized', 'AKV10000: Request is missing a Bearer or PoP token.', headers => $challenge) if !defined $token;
	my $known = $memory->{tokens}{$token};
	return $error->(401, 'Unauthorized', '[BearerReadAccessTokenFailed] Error validating token: \'S2S12005\'.', headers => $challenge)
	  if !$known || $known->{until} <= time || $known->{made} < ($has->{revoked} // 0);
	return $error->(400, 'BadParameter', 'api-version must be specified') if !$query{'api-version'};
	return $error->(400, 'BadParameter', 'Invalid api-version') if $query{'api-version'} !~ /^7\.[0-6]$/;
	my ($name, $version) = $path =~ m{^/secrets/([0-9A-Za-z-]{1,127})(?:/([0-9a-f]*))?$} or return $error->(404, 'NotFound', 'The resource was not found');
	return $error->(405, 'MethodNotAllowed', 'The method is not allowed') if $request->{method} ne 'GET';
	return $error->(403, 'Forbidden', "The user, group or application 'appid=$has->{client_id}' does not have secrets get permission on key vault.", inner => 'ForbiddenByPolicy') if $has->{forbidden};
	return $error->(429, 'Throttled', 'Request was not processed because too many requests were received.', headers => { 'Retry-After' => 3 }) if $has->{throttled};
	my $secret = length($version // '') ? $has->{versions}{"$name/$version"} : $has->{secrets}{$name};
	return $error->(404, 'SecretNotFound', "A secret with (name/id) $name was not found in this key vault. If you recently deleted this secret you may be able to recover it using the correct recovery command.") if !$secret;
	my %attributes = (enabled => JSON::PP::true, created => 1767323045, updated => 1767323045, recoveryLevel => 'Recoverable+Purgeable', recoverableDays => 90,
		%{ $secret->{attributes} // {} });
	return $error->(403, 'Forbidden', 'Operation get is not allowed on a disabled secret.', inner => 'SecretDisabled') if !$attributes{enabled};
	return (200, { value => $secret->{value}, contentType => 'text/plain', id => "http://$host/secrets/$name/" . ($secret->{version} // '4387e9f3d6e14c459867679a90fd0f79'), attributes => \%attributes, tags => {} });
}

1;
