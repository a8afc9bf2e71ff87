# Stands in for OpenWrt's /lib/functions.sh and procd.sh: the same functions, as far as our scripts use them.
# What is asked of procd is written to $ASKED, a line a call, and what is logged to $LOGGED. Sourced.
#
# shellcheck shell=dash
# shellcheck disable=SC3043 # ash has local

SECTIONS=
SECTION=

# /etc/config files are commands: `config TYPE NAME`, `option NAME VALUE`, `list NAME VALUE`.
config() {
	SECTION=${2:-cfg$(echo "$SECTIONS" | wc -w)}
	SECTIONS="$SECTIONS $SECTION"
	eval "TYPE_$SECTION=\$1"
}

option() {
	eval "CONFIG_${SECTION}_$1=\$2"
}

list() {
	local length
	eval "length=\$((\${CONFIG_${SECTION}_$1_LENGTH:-0} + 1))"
	eval "CONFIG_${SECTION}_$1_LENGTH=\$length"
	eval "CONFIG_${SECTION}_$1_ITEM$length=\$2"
	eval "CONFIG_${SECTION}_$1=\"\${CONFIG_${SECTION}_$1:+\$CONFIG_${SECTION}_$1 }\$2\""
}

# The test has called config, option and list itself.
config_load() {
	[ "$1" = sipguard ]
}

config_get() {
	eval "$1=\${CONFIG_$2_$3:-\$4}"
}

config_get_bool() {
	config_get "$@"
	eval "case \$$1 in
		1 | on | true | yes | enabled) $1=1 ;;
		0 | off | false | no | disabled) $1=0 ;;
		*) $1=\$4 ;;
	esac"
}

config_foreach() {
	local section type call=$1 wanted=$2
	shift 2
	for section in $SECTIONS; do
		eval "type=\$TYPE_$section"
		[ "$type" != "$wanted" ] || "$call" "$section" "$@"
	done
}

config_list_foreach() {
	local length item number=1 section=$1 list=$2 call=$3
	shift 3
	config_get length "$section" "${list}_LENGTH" 0
	while [ "$number" -le "$length" ]; do
		config_get item "$section" "${list}_ITEM$number"
		"$call" "$item" "$@"
		number=$((number + 1))
	done
}

logger() {
	printf '%s\n' "$*" >>"$LOGGED"
}

asked() {
	printf '%s' "$1" >>"$ASKED"
	shift
	for word; do
		printf ' <%s>' "$word" >>"$ASKED"
	done
	echo >>"$ASKED"
}

procd_open_instance() { asked open "$@"; }
procd_close_instance() { asked close "$@"; }
procd_set_param() { asked "$@"; }
procd_add_jail() { asked jail "$@"; }
procd_add_jail_mount() { asked mount "$@"; }
procd_add_jail_mount_rw() { asked mount_rw "$@"; }
procd_add_reload_trigger() { asked reload_trigger "$@"; }
procd_add_validation() {
	asked validation "$@"
	"$@"
}
uci_load_validate() { asked validate "$1" "$2"; }
