# The unit and the package on a Debian with systemd. Runs in `machine`; sipguard-1.deb and -2.deb are beside it.

fail() {
	echo "FAILED: $*"
	journalctl --no-pager | tail -n 50
	exit 1
}

soon() {
	for _ in $(seq 100); do
		! "$@" || return 0
		sleep 0.1
	done
	fail "not within ten seconds: $*"
}

# said PRIORITY WORDS: the journal has them, as grave as that.
said() {
	journalctl --no-pager -u sipguard -p "$1..$1" -o cat | grep -q "$2"
}

mkdir -p /var/log/asterisk
: >/var/log/asterisk/messages

echo "== installed: enabled and on guard"
dpkg -i sipguard-1.deb
soon systemctl is-active --quiet sipguard
[ "$(systemctl is-enabled sipguard)" = enabled ] || fail "not enabled"
soon said info '^sipguard .* guards with nftables'
! said warning . || fail "it lacks something: $(journalctl --no-pager -u sipguard -p warning -o cat)"
pid=$(systemctl show -P MainPID sipguard)

echo "== the unit is sound"
unit=/lib/systemd/system/sipguard.service
systemd-analyze verify "$unit" >said 2>&1 || fail "$(cat said)"
[ ! -s said ] || fail "$(cat said)"

# Without what its children need, which mail and run commands, it would be 2.6.
echo "== and confined: an exposure of at most 3.0"
systemd-analyze security --no-pager --threshold=30 sipguard || fail "it is more exposed"

echo "== an attacker is banned"
sed -i 's/^maxretry = .*/maxretry = 2/; s/^bantime = .*/bantime = -1/' /etc/sipguard/jail.local
systemctl reload sipguard
soon said info 'configuration read again'
for _ in 1 2; do
	echo "[$(date '+%Y-%m-%d %H:%M:%S')] NOTICE[42] chan_sip.c: Registration from '<sip:100@192.0.2.10>'" \
		"failed for '192.0.2.66:5060' - Wrong password" >>/var/log/asterisk/messages
	# Lines of the same second are one attempt.
	sleep 1.1
done
soon said info 'banned 192.0.2.66'
nft list table inet sipguard | grep -q 192.0.2.66 || fail "not in the kernel"
[ "$(systemctl show -P MainPID sipguard)" = "$pid" ] || fail "reload starts another process"

echo "== Asterisk in the journal, without a log file; and a command of one's own"
mkdir -p /etc/sipguard/action.d
cat >/etc/sipguard/action.d/mine.conf <<-EOF
	[Definition]
	actionban = iptables -I INPUT -s <ip> -j DROP
	actionunban = iptables -D INPUT -s <ip> -j DROP
EOF
cp /etc/sipguard/jail.local before
cat >/etc/sipguard/jail.local <<EOF
[asterisk]
enabled = true
backend = systemd
maxretry = 2
bantime = -1
action = %(action_)s
         mine
EOF
sipguard check >said
grep -q 'journal: read by journalctl -f in a child, as nobody' said || fail "$(cat said)"
systemctl restart sipguard
soon said info '^reading journal: _SYSTEMD_UNIT=asterisk.service'
# attack ADDRESS: what the unit asterisk.service says as Asterisk's syslog channel does.
attack() {
	cat >attack <<-EOF
		for number in 1 2; do
			echo "NOTICE[42]: chan_sip.c:28468 in handle_request_register: Registration from" \\
				"'<sip:\$number@192.0.2.10>' failed for '$1:5060' - Wrong password"
			sleep 1.1
		done
		sleep 100
	EOF
	printf '[Service]\nSyslogIdentifier=asterisk\nExecStart=sh %s\n' "$PWD/attack" >/run/systemd/system/asterisk.service
	systemctl daemon-reload
	systemctl restart asterisk
}
attack 192.0.2.77
soon said info 'banned 192.0.2.77'
soon sh -c 'iptables -S INPUT | grep -q 192.0.2.77'
[ "$(ps -o user= -C journalctl)" = nobody ] || fail "who reads the journal? $(ps -o user= -C journalctl)"
pkill -KILL -x journalctl
soon said warning '^journalctl ended (Signal(9))'
attack 192.0.2.78
soon said info 'banned 192.0.2.78'
systemctl stop sipguard
attack 192.0.2.79
sleep 3
systemctl start sipguard
soon said info 'banned 192.0.2.79'
! said err . || fail "$(journalctl --no-pager -u sipguard -p err -o cat)"
systemctl stop asterisk
cp before /etc/sipguard/jail.local
rm -r /etc/sipguard/action.d
systemctl restart sipguard
soon systemctl is-active --quiet sipguard
pid=$(systemctl show -P MainPID sipguard)

echo "== killed: back by itself"
kill -9 "$pid"
soon sh -c "[ \"\$(systemctl show -P MainPID sipguard)\" -gt 1 ] && ! kill -0 $pid 2>/dev/null"
soon systemctl is-active --quiet sipguard

echo "== a mistake in the configuration is said once"
echo 'no key and no value' >>/etc/sipguard/jail.local
systemctl restart sipguard || true
soon systemctl is-failed --quiet sipguard
soon said err 'no key and no value'
sed -i '$d' /etc/sipguard/jail.local
systemctl restart sipguard

echo "== upgraded: another process of the new program"
pid=$(systemctl show -P MainPID sipguard)
dpkg -i sipguard-2.deb
soon systemctl is-active --quiet sipguard
[ "$(systemctl show -P MainPID sipguard)" != "$pid" ] || fail "the old program goes on"

echo "== until the purge"
dpkg -P sipguard
! nft list ruleset | grep sipguard || fail "something is left in the kernel"
! systemctl cat sipguard || fail "the unit is left"
left=$(find / -xdev -path /root -prune -o -path /var/log -prune -o -path /var/cache -prune -o -name '*sipguard*' -print
	find /run /tmp /var/tmp -path /run/systemd/units -prune -o -name '*sipguard*' -print)
[ -z "$left" ] || fail "left behind: $left"
echo "== done"
