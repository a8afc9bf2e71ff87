# From /etc/config/sipguard to a jail.local. To be sourced after /lib/functions.sh.
#
# A value is copied only if it consists of characters that mean nothing to a jail.local, so that whatever
# stands in UCI can neither end its line nor refer to another value. Whether it makes sense is for sipguard
# to say, which reads the file before the guard gets it: what it refuses is left out and complained of, and
# the guard runs with the rest.
#
# shellcheck shell=dash
# shellcheck disable=SC3043 # ash has local

# So often a file is looked at again after lines were taken out of it; sipguard reports ten mistakes at once.
SIPGUARD_LOOKS=32

# Says what is wrong in the system's log: procd loses what init scripts say.
sipguard_complain() {
	logger -t sipguard -p daemon.err "/etc/config/sipguard: $*"
}

# No sound value is longer; sipguard reads 256 KiB at most.
SIPGUARD_VALUE_BYTES=1000

# Whether a value of option $1, $2, has only these characters. `%` is written twice by the caller.
sipguard_is_harmless() {
	if [ ${#2} -gt "$SIPGUARD_VALUE_BYTES" ]; then
		sipguard_complain "$1: too long, so it is left out"
		return 1
	fi
	case $2 in
	'' | *[!A-Za-z0-9._:/,*?@+~=%[\]-]*)
		sipguard_complain "$1: a character that cannot be in it, so it is left out"
		return 1
		;;
	esac
}

# Writes `$3 = value` of option $2 of section $1. Blanks around commas are taken out.
sipguard_option() {
	local value
	config_get value "$1" "$2"
	[ -n "$value" ] || return 0
	value=$(printf '%s.' "$value" | sed -e 's/ *, */,/g')
	value=${value%.}
	sipguard_is_harmless "$1.$2" "$value" || return 0
	printf '%s = %s\n' "$3" "$(sipguard_doubled "$value")"
}

sipguard_doubled() {
	printf '%s' "$1" | sed 's/%/%%/g'
}

# One entry of a list, on a line of its own, so that one can be taken out without the others.
sipguard_entry() {
	sipguard_is_harmless "$2" "$1" || return 0
	printf '\t%s\n' "$(sipguard_doubled "$1")"
}

# Writes the list $2 of section $1, if there is one.
sipguard_list() {
	local value length word
	config_get value "$1" "$2"
	[ -n "$value" ] || return 0
	printf '%s =\n' "$2"
	config_get length "$1" "$2_LENGTH" 0
	if [ "$length" -gt 0 ]; then
		config_list_foreach "$1" "$2" sipguard_entry "$1.$2"
		return
	fi
	# Somebody wrote `option` and meant `list`.
	set -f
	for word in $value; do
		sipguard_entry "$word" "$1.$2"
	done
	set +f
}

# Section $1 of type jail.
sipguard_jail() {
	local enabled
	config_get_bool enabled "$1" enabled 1
	[ "$enabled" = 1 ] || return 0
	case $1 in
	DEFAULT | INCLUDES | Definition | Thread | Init)
		sipguard_complain "$1: a jail cannot have this name"
		return 0
		;;
	esac
	printf '\n[%s]\nenabled = true\n' "$1"
	for option in filter backend maxretry findtime bantime port; do
		sipguard_option "$1" $option $option
	done
	sipguard_evidence "$1"
	sipguard_protocol "$1"
	sipguard_list "$1" logpath
}

# What weighs evidence, of section $1. An option of UCI has no dot in its name.
sipguard_evidence() {
	for option in counting reach floodrate bannet; do
		sipguard_option "$1" $option $option
	done
	sipguard_option "$1" maxretry_phone maxretry.phone
	sipguard_option "$1" bantime_unproven bantime.unproven
}

# The protocols that are blocked, in the action itself: what is built in for the jail asterisk names its own.
sipguard_protocol() {
	local line
	line=$(sipguard_option "$1" protocol protocol)
	[ -z "$line" ] || printf 'action_ = %%(default/action_)s[protocol="%s"]\n' "${line#protocol = }"
}

# Where bans are kept, if they are: long ones on flash, which wears out, and all others in RAM.
# $1: the directory in RAM, $2: the one on flash.
sipguard_state() {
	local remember
	config_get_bool remember main remember 1
	if [ "$remember" = 1 ]; then
		printf 'dbfile = %s/bans\ndbshort = %s/bans\n' "$2" "$1"
	else
		printf 'dbfile = %s/bans\n' "$1"
	fi
	printf 'socket = %s/sipguard.sock\n' "$1"
}

# What is for all jails.
sipguard_default() {
	printf '# Made from /etc/config/sipguard at every start; changes here are lost.\n[DEFAULT]\n'
	sipguard_state "$1" "$2"
	for option in maxretry findtime bantime firewall onstop; do
		sipguard_option main $option $option
	done
	sipguard_evidence main
	sipguard_list main ignoreip
}

# Takes out of file $1 what sipguard refuses. 1: nothing sound is left.
sipguard_make_sound() {
	local said lines line looks=$SIPGUARD_LOOKS
	while [ "$looks" -gt 0 ]; do
		looks=$((looks - 1))
		said=$("${SIPGUARD:-/usr/sbin/sipguard}" check --config "$1" 2>&1 >/dev/null) && return 0
		lines=$(printf '%s\n' "$said" | sed -n "s|^\(sipguard: \)*$1:\([0-9][0-9]*\):.*|\2|p" | sort -un)
		if [ -z "$lines" ]; then
			sipguard_complain "$said"
			return 1
		fi
		for line in $lines; do
			sipguard_complain "left out: $(sed -n "${line}p" "$1") ($(printf '%s\n' "$said" |
				sed -n "s|^\(sipguard: \)*$1:$line:[0-9]*: ||p" | head -n 1))"
		done
		# shellcheck disable=SC2046,SC2086 # they are words
		sed -i $(printf -- ' -e %sd' $lines) "$1"
	done
	sipguard_complain "too many mistakes"
	return 1
}

# Makes jail.local in directory $1 from UCI, with state on flash in $2. It holds something sound afterwards.
sipguard_write() {
	local file=$1/jail.local
	{
		sipguard_default "$1" "$2"
		config_foreach sipguard_jail jail
	} >"$file.new"
	if ! sipguard_make_sound "$file.new"; then
		sipguard_complain "the built-in jail asterisk guards instead"
		{
			sipguard_default "$1" "$2"
			printf '\n[asterisk]\nenabled = true\n'
		} >"$file.new"
		sipguard_make_sound "$file.new" || printf '[asterisk]\nenabled = true\n' >"$file.new"
	fi
	mv "$file.new" "$file"
}
