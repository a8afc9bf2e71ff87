# What a removal does besides what opkg and apk do: nobody would be left to lift the bans, so they end here.
# Sourced by prerm.
#
# shellcheck shell=dash

/etc/init.d/sipguard stop
# procd stops it behind our back; as long as it lives, the kernel lets nobody else touch its table.
for _ in 1 2 3 4 5 6 7 8 9 10; do
	/usr/sbin/sipguard teardown 2>/dev/null && break
	sleep 1
done
rm -rf /etc/sipguard/state /var/run/sipguard
[ ! -L /etc/sipguard/jail.local ] || rm -f /etc/sipguard/jail.local
rmdir /etc/sipguard 2>/dev/null
:
