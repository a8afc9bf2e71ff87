# A Raspberry Pi with sysvinit, from the installation of the package to its purge. Runs in `machine`.
# sipguard-1.deb and sipguard-2.deb are beside this script.

fail() {
	echo "FAILED: $*"
	echo "--- syslog"
	cat /var/log/syslog || true
	exit 1
}

# check CODE COMMAND...: the command ends with this code.
check() {
	want=$1
	shift
	echo "+ $*"
	code=0
	"$@" || code=$?
	[ "$code" = "$want" ] || fail "$*: code $code, not $want"
}

# soon COMMAND...: it succeeds before long.
soon() {
	for _ in $(seq 100); do
		! "$@" || return 0
		sleep 0.1
	done
	fail "not within ten seconds: $*"
}

pid() {
	cat /run/sipguard.pid
}

# attack ADDRESS COUNT
attack() {
	for _ in $(seq "$2"); do
		echo "[$(date '+%Y-%m-%d %H:%M:%S')] NOTICE[42] chan_sip.c: Registration from '<sip:100@192.0.2.10>'" \
			"failed for '$1:5060' - Wrong password" >>/var/log/asterisk/messages
		# Lines of the same second are one attempt.
		sleep 1.1
	done
}

banned() {
	nft list table inet sipguard 2>/dev/null | grep -q "$1"
}

said() {
	grep -q "$1" /var/log/syslog
}

busybox syslogd -O /var/log/syslog
mkdir -p /var/log/asterisk
: >/var/log/asterisk/messages
chmod 0640 /var/log/asterisk/messages
[ "$(runlevel)" = "N 2" ] || fail "sysvinit is not in runlevel 2: $(runlevel)"

echo "== installed: enabled and on guard"
check 0 dpkg -i sipguard-1.deb
check 0 service sipguard status
for level in 2 3 4 5; do
	test -L "$(echo /etc/rc$level.d/S??sipguard)" || fail "no start in runlevel $level"
done
for level in 0 1 6; do
	test -L "$(echo /etc/rc$level.d/K??sipguard)" || fail "no stop in runlevel $level"
done
check 0 update-rc.d sipguard defaults
getent passwd sipguard || fail "no user"
[ "$(stat -c '%U %a' /var/lib/sipguard)" = "sipguard 750" ] || fail "whose is /var/lib/sipguard?"
soon said 'daemon.info sipguard\[[0-9]*\]: sipguard .* guards with nftables'
! said 'daemon.warn sipguard' || fail "it lacks something"

echo "== started twice: one process"
first=$(pid)
check 0 service sipguard start
[ "$(pid)" = "$first" ] || fail "another process"
check 3 service sipguard nonsense

echo "== an attacker is banned"
sed -i 's/^maxretry = .*/maxretry = 2/; s/^bantime = .*/bantime = -1/' /etc/sipguard/jail.local
check 0 service sipguard reload
[ "$(pid)" = "$first" ] || fail "reload starts another process"
soon said 'configuration read again'
attack 192.0.2.66 2
soon banned 192.0.2.66
soon said 'banned 192.0.2.66'
! grep -E 'sipguard.*(INFO|WARN|ERROR) ' /var/log/syslog || fail "the level is said twice"

echo "== a mistake changes nothing"
cp /etc/sipguard/jail.local sound
echo 'no key and no value' >>/etc/sipguard/jail.local
check 6 service sipguard reload
check 6 service sipguard restart
[ "$(pid)" = "$first" ] || fail "a restart that cannot work ended the guard"
banned 192.0.2.66 || fail "the ban is gone"
cp sound /etc/sipguard/jail.local

echo "== upgraded: another process of the new program"
check 0 dpkg -i sipguard-2.deb
check 0 service sipguard status
[ "$(pid)" != "$first" ] || fail "the old program goes on"
! kill -0 "$first" 2>/dev/null || fail "the old program lives"
cmp sound /etc/sipguard/jail.local || fail "the upgrade changed the configuration"
# The new guard knows the old one's bans by the state file.
[ -e /var/lib/sipguard/bans ] || fail "there is no state file"
soon banned 192.0.2.66
sipguard status asterisk | grep -q 192.0.2.66 || fail "the new guard does not know the old one's ban"
attack 192.0.2.67 2
soon banned 192.0.2.67

check 0 service sipguard stop
banned 192.0.2.67 || fail "the ban went with the guard"
check 0 service sipguard start

echo "== crashed: says so, and starts again"
kill -9 "$(pid)"
sleep 0.5
check 1 service sipguard status
check 0 service sipguard start
check 0 service sipguard status
check 0 service sipguard force-reload
check 0 service sipguard restart
check 0 service sipguard try-restart

echo "== shut down and booted"
# These would end this script as well.
rm -f /etc/rc1.d/*killprocs /etc/rc1.d/*single
telinit 1
soon sh -c 'runlevel | grep -q "2 1"'
sleep 1
check 3 service sipguard status
telinit 2
soon service sipguard status

echo "== stopped"
check 0 service sipguard stop
check 3 service sipguard status
check 0 service sipguard stop
check 7 service sipguard reload
check 0 service sipguard try-restart
check 3 service sipguard status
# A pid of somebody else's.
echo 1 >/run/sipguard.pid
check 1 service sipguard status
check 0 service sipguard start
check 0 service sipguard status
chmod 644 /usr/sbin/sipguard
check 5 service sipguard start
chmod 755 /usr/sbin/sipguard

echo "== removed: off guard, and nothing in the kernel"
check 0 dpkg -r sipguard
! pidof sipguard || fail "it lives"
! nft list ruleset | grep sipguard || fail "something is left in the kernel"
check 3 service sipguard status
check 0 service sipguard start
[ -e /etc/sipguard/jail.local ] || fail "the configuration went before the purge"

echo "== installed again, and purged"
check 0 dpkg -i sipguard-2.deb
check 0 service sipguard status
check 0 dpkg -P sipguard
! nft list ruleset | grep sipguard || fail "something is left in the kernel"
! getent passwd sipguard || fail "the user is left"
left=$(find / -xdev -path /root -prune -o -path /var/log -prune -o -name '*sipguard*' -print
	find /run /tmp /var/tmp -name '*sipguard*')
[ -z "$left" ] || fail "left behind: $left"
# The tools that change passwd(5) keep the file before their last change.
! grep -r --exclude='*-' sipguard /etc || fail "left in /etc"
echo "== copied by hand, as the README says"
dpkg-deb -x sipguard-2.deb copied
install -m 755 copied/usr/sbin/sipguard /usr/local/sbin/
install -m 755 copied/etc/init.d/sipguard /etc/init.d/
check 0 update-rc.d sipguard defaults
check 0 service sipguard start
check 0 service sipguard status
check 0 service sipguard stop
echo "== done"
