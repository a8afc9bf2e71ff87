# What the init script asks of procd, and what becomes of UCI's values. SIPGUARD is the program; $1 the
# directory with OpenWrt's files. Run by dash and by busybox, in a network of its own.
#
# shellcheck shell=dash
# shellcheck disable=SC2034 # the init script reads them
# shellcheck disable=SC1003,SC2016 # hostile values look like that
# shellcheck disable=SC1091 # they are checked by themselves

FILES=$1
HERE=$(dirname "$0")
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
RUN=$WORK/run
ETC=$WORK/etc
SHARE=$FILES/usr/share/sipguard
UJAIL=$WORK/ujail
CAPABILITIES=$FILES/etc/capabilities/sipguard.json
ASKED=$WORK/asked
LOGGED=$WORK/logged
CHECKS=0
NEWLINE='
'

fail() {
	echo "FAILED: $*"
	exit 1
}

# same WHAT GOT WANTED
same() {
	CHECKS=$((CHECKS + 1))
	[ "$2" = "$3" ] || fail "$1:$NEWLINE--- got$NEWLINE$2$NEWLINE--- wanted$NEWLINE$3"
}

# A router of its own: start COMMAND runs the command, which calls config, option and list, and then the
# init script's start_service.
start() {
	rm -rf "$RUN" "$ETC"
	: >"$ASKED"
	: >"$LOGGED"
	(
		. "$HERE/openwrt.sh"
		. "$FILES/etc/init.d/sipguard"
		"$@"
		start_service
	) || fail "start_service says $?"
}

default_config() {
	. "$FILES/etc/config/sipguard"
}

# What sipguard makes of the file.
in_force() {
	"$SIPGUARD" check --config "$RUN/jail.local" 2>&1 | grep -E "^  $1 " | sed -e 's/^ *[a-z0-9.]* *//' -e 's/ *built in$//' -e 's/ *[^ ]*:[0-9]*$//'
}

echo "== as it is installed"
start default_config
same "what procd is asked" "$(cat "$ASKED")" "open
command <$SIPGUARD> <run> <--syslog> <--config> <$RUN/jail.local>
file <$RUN/jail.local>
respawn <3600> <5> <0>
stderr <1>
term_timeout <15>
limits <core=0>
no_new_privs <1>
reload_signal <HUP>
close"
same "the log" "$(cat "$LOGGED")" ""
same "jail.local" "$(cat "$RUN/jail.local")" "# Made from /etc/config/sipguard at every start; changes here are lost.
[DEFAULT]
dbfile = $ETC/state/bans
dbshort = $RUN/bans
$(grep '^socket' "$RUN/jail.local" || echo "# no socket")
maxretry = 5
findtime = 10m
bantime = 1h
firewall = auto
onstop = keep

[asterisk]
enabled = true
filter = asterisk
port = 5060,5061
action_ = %(default/action_)s[protocol=\"tcp,udp\"]"
same "the command line's configuration" "$(readlink "$ETC/jail.local")" "$RUN/jail.local"
same "the mode of its directories" "$(stat -c %a "$RUN" "$ETC/state" | tr '\n' ' ')" "750 750 "

echo "== without an instance"
disabled() {
	default_config
	SECTION=main
	option enabled 0
}
start disabled
same "what procd is asked" "$(cat "$ASKED")" ""
no_jail() {
	default_config
	SECTION=asterisk
	option enabled off
}
start no_jail
same "what procd is asked" "$(cat "$ASKED")" ""

echo "== in a jail of procd's"
printf '#!/bin/sh\n' >"$UJAIL"
chmod 755 "$UJAIL"
mkdir -p "$WORK/log/a"
confined() {
	default_config
	SECTION=main
	option ujail 1
	SECTION=asterisk
	list logpath "$WORK/log/a/messages"
	list logpath "$WORK/log/b/*/security"
	list logpath "not a path"
}
start confined
asterisk=/var/log/asterisk
[ -d "$asterisk" ] || asterisk=/var/log
same "what procd is asked" "$(grep -E '^(jail|capab|mount|reload)' "$ASKED")" "jail <sipguard> <log> <procfs> <sysfs> <ronly>
capabilities <$CAPABILITIES>
mount <$WORK/log/a> <$WORK/log> <$asterisk> </etc/passwd> </etc/group> </etc/TZ> </etc/resolv.conf> </tmp/resolv.conf.d>
mount_rw <$RUN> <$ETC/state>"
at_root() {
	confined
	list logpath /messages
}
start at_root
same "a log in the root directory" "$(grep -E '^(jail|reload)' "$ASKED")" "reload_signal <HUP>"
grep -q 'a log in the root directory' "$LOGGED" || fail "says nothing of it"
with_logread() {
	confined
	option backend logread
}
start with_logread
same "a jail that reads logd" "$(grep -E '^(jail|reload)' "$ASKED")" "reload_signal <HUP>"
grep -q 'logread cannot be run in a jail' "$LOGGED" || fail "says nothing of it"
not_enabled() {
	confined
	SECTION=dropbear
	option backend logread
}
start not_enabled
same "one that is not enabled" "$(grep -cE '^jail' "$ASKED")" 1
rm "$UJAIL"
start confined
same "a router without ujail" "$(grep -E '^(jail|reload)' "$ASKED")" "reload_signal <HUP>"

echo "== a jail.local of one's own"
own() {
	mkdir -p "$ETC"
	echo "mine" >"$ETC/jail.local"
	confined
}
printf '#!/bin/sh\n' >"$UJAIL"
chmod 755 "$UJAIL"
start own
same "the file" "$(cat "$ETC/jail.local")" mine
same "what procd is asked" "$(grep -E '^(command|file|jail|reload)' "$ASKED")" \
	"command <$SIPGUARD> <run> <--syslog> <--config> <$ETC/jail.local>
file <$ETC/jail.local>
reload_signal <HUP>"
[ ! -e "$RUN/jail.local" ] || fail "another is made beside it"

echo "== reloaded when UCI changes"
: >"$ASKED"
(
	. "$HERE/openwrt.sh"
	. "$FILES/etc/init.d/sipguard"
	service_triggers
	same "START and STOP" "$START $STOP $USE_PROCD" "99 10 1"
) || exit 1
same "the triggers" "$(cat "$ASKED")" "reload_trigger <sipguard>
validation <validate_main>
validate <sipguard> <sipguard>
validation <validate_jail>
validate <sipguard> <jail>"

# set SECTION OPTION VALUE: as installed, but for this.
set_one() {
	default_config
	SECTION=$1
	case $2 in ignoreip | logpath) list "$2" "$3" ;; *) option "$2" "$3" ;; esac
}

echo "== every option arrives"
# arrives SECTION OPTION VALUE KEY WANTED
arrives() {
	start set_one "$1" "$2" "$3"
	same "$1.$2 = $3" "$(in_force "$4")" "$5"
	same "the log of $1.$2 = $3" "$(cat "$LOGGED")" ""
}
arrives main maxretry 7 maxretry "7 failures"
arrives main findtime 1d findtime "within 1d"
arrives main bantime -1 bantime "for ever"
arrives main bantime 600 bantime 10m
arrives main firewall nftables firewall nftables
arrives main onstop remove onstop "remove: all bans are lifted"
arrives main remember 0 dbfile "$RUN/bans"
arrives main ignoreip 198.51.100.0/24 ignoreip 198.51.100.0/24
arrives main ignoreip 2001:db8::1 ignoreip 2001:db8::1/128
arrives main counting plain counting "plain: as fail2ban does"
arrives main reach all reach "all: of forged sources, too"
arrives main floodrate 50 floodrate "50 unproven bans a minute"
arrives main bannet on bannet "/24, /56, /48 banned with 8 members"
arrives main maxretry_phone 50 'maxretry[.]phone' "50 failures of a phone's"
arrives main bantime_unproven 20m 'bantime[.]unproven' "20m at most, if unproven"
arrives asterisk counting plain counting "plain: as fail2ban does"
arrives asterisk reach all reach "all: of forged sources, too"
arrives asterisk floodrate 50 floodrate "50 unproven bans a minute"
arrives asterisk bannet on bannet "/24, /56, /48 banned with 8 members"
arrives asterisk maxretry_phone 50 'maxretry[.]phone' "50 failures of a phone's"
arrives asterisk bantime_unproven 20m 'bantime[.]unproven' "20m at most, if unproven"
arrives asterisk maxretry 3 maxretry "3 failures"
arrives asterisk findtime 2h findtime "within 2h"
arrives asterisk bantime 2d bantime 2d
arrives asterisk port "5060 , 5080:5090" action "drops tcp and udp to port 5060,5080-5090"
arrives asterisk protocol udp action "drops udp to port 5060-5061"
arrives asterisk filter sshd filter sshd
arrives asterisk logpath '/mnt/a%b/*.[0-9]' logpath '/mnt/a%b/*.[0-9]'
arrives asterisk backend logread backend "logread: logd, by logread -f"
arrives asterisk backend auto logpath "/var/log/asterisk/messages$NEWLINE/var/log/asterisk/messages.log$NEWLINE/var/log/asterisk/security$NEWLINE/var/log/asterisk/security.log"
arrives dropbear enabled 1 filter "asterisk${NEWLINE}dropbear"
arrives dropbear enabled 1 backend "logread: logd, by logread -f"
several() {
	default_config
	SECTION=main
	list ignoreip 198.51.100.1
	list ignoreip 198.51.100.999
	list ignoreip 'x y'
	list ignoreip 198.51.100.2
}
start several
same "the sound ones of a list" "$(in_force ignoreip)" "198.51.100.1/32${NEWLINE}198.51.100.2/32"
same "the log of a list" "$(wc -l <"$LOGGED")" 2
as_option() {
	default_config
	SECTION=main
	option ignoreip '198.51.100.1 198.51.100.2'
}
start as_option
same "an option that is a list" "$(in_force ignoreip)" "198.51.100.1/32${NEWLINE}198.51.100.2/32"

echo "== hostile values change nothing else"
OPTIONS="main.maxretry main.findtime main.bantime main.firewall main.onstop main.ignoreip
	asterisk.maxretry asterisk.findtime asterisk.bantime asterisk.port asterisk.protocol asterisk.logpath
	asterisk.backend main.counting main.reach main.floodrate main.bannet main.maxretry_phone main.bantime_unproven
	asterisk.counting asterisk.reach asterisk.floodrate asterisk.bannet asterisk.maxretry_phone
	asterisk.bantime_unproven"
# set_all VALUE: as installed, but for every option in OPTIONS.
set_all() {
	default_config
	for option in $OPTIONS; do
		SECTION=${option%.*} option=${option#*.}
		case $option in ignoreip | logpath) list "$option" "$1" ;; *) option "$option" "$1" ;; esac
	done
}
# What no option of OPTIONS has written.
others() {
	grep -vE '^(maxretry|findtime|bantime|firewall|onstop|ignoreip|port|action_|logpath|backend|counting|reach|floodrate|bannet|maxretry.phone|bantime.unproven) |^	|^$' "$RUN/jail.local"
}
# Whatever an option holds, sipguard takes the file, nothing else in it is different, and no command is run.
harmless() {
	start "$@"
	"$SIPGUARD" check --config "$RUN/jail.local" >"$WORK/in-force" 2>&1 || fail "$*: $(cat "$WORK/in-force")"
	[ ! -e "$WORK/pwned" ] || fail "$*: a command was run"
}
BYTES=$(printf '\377\200')
LONG=$(printf '%100000s' "" | tr ' ' 1)
start default_config
others >"$WORK/others"
for value in "'" '"' "a'b\"c" "5${NEWLINE}bantime = -1" "5${NEWLINE}[DEFAULT]" "${NEWLINE}enabled = false" \
	'%(action_)s' '%' '%%' '%(x' '$(touch '"$WORK/pwned)" '`touch '"$WORK/pwned"'`' '${IFS}' "; touch $WORK/pwned" \
	'5 ; x' '5 # x' '5;' '5#' '\' '5\' '[sshd]' '[' ']' '!x' '*' '?' '-' '--config' '= 5' ': 5' '5 =' 'a b' "5	6" \
	"5$(printf '\r')" "$BYTES" 'ä' '十' '<script>' '&' '|' '~' '-999' '0' '99999999999999999999' '1e3' '0x10' '.' '..' \
	'/../../etc/passwd' 'file:/etc/passwd' "$LONG"; do
	harmless set_all "$value"
	same "other lines when all is $value" "$(others)" "$(cat "$WORK/others")"
	harmless set_one asterisk filter "$value"
	same "the filter when it shall be $value" "$(in_force filter)" asterisk
	[ -s "$LOGGED" ] || fail "$value: says nothing"
done
for value in "'" "1'" "\$(touch $WORK/pwned)" "2${NEWLINE}x = y" "%(x)s"; do
	for option in main.enabled main.remember main.ujail asterisk.enabled; do
		start set_one "${option%.*}" "${option#*.}" "$value"
		"$SIPGUARD" check --config "$RUN/jail.local" >/dev/null 2>&1 || fail "$option = $value"
		[ ! -e "$WORK/pwned" ] || fail "$option = $value: a command was run"
	done
done

echo "== names of jails"
named() {
	default_config
	config jail "$1"
	option enabled 1
	option filter asterisk
	list logpath /var/log/asterisk/messages
}
for name in DEFAULT Definition INCLUDES "$(printf '%s' "$LONG" | cut -c 1-70)"; do
	start named "$name"
	same "a jail named $name" "$(in_force filter)" "asterisk"
	[ -s "$LOGGED" ] || fail "$name: says nothing"
done
start named sip_2
same "a jail named sip_2" "$(in_force filter)" "asterisk${NEWLINE}asterisk"

echo "== done: $CHECKS checks"
