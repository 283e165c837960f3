#!/bin/sh
# What a hub's kernel needs beside strongSwan; run before each start of charon (systemd: ExecStartPre=). Needs root.
# When `swanctl --load-all` has succeeded after that, let the pods in (systemd: ExecStartPost=):
#   nft delete table inet podvpn_hub_loading
set -e

# Pod to pod goes through the hub.
sysctl -q -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1

# There is no shorter way that the hub could tell a pod of. The default is for ipsec0, which comes later.
sysctl -q -w net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0

# An address of the hub's own in each virtual subnet: kernel-libipsec up to 5.9.11 refuses connections without.
ip address replace 10.173.255.254/32 dev lo
ip address replace fd00:173::ffff/128 dev lo

# A packet to a pod that is not there stays here; without these it would leave by the default route, unencrypted.
ip route replace unreachable 10.173.0.0/16 metric 4000
ip route replace unreachable fd00:173::/64 metric 4000

# A packet that claims to be from a pod but came in plain is not passed on to a pod as if it were genuine.
# With ESP in the kernel, ipsec0 does not exist and these XFRM policies do it instead:
#   for dir in in fwd; do ip xfrm policy add src 10.173.0.0/16 dst 0.0.0.0/0 dir $dir priority 4000000000 action block; done
#   for dir in in fwd; do ip xfrm policy add src fd00:173::/64 dst ::/0 dir $dir priority 4000000000 action block; done
# and the following table is to be left out.
nft -f - <<'RULES'
table inet podvpn_hub
delete table inet podvpn_hub
table inet podvpn_hub {
  chain plain {
    type filter hook prerouting priority raw; policy accept;
    iifname != { "ipsec0", "lo" } ip saddr 10.173.0.0/16 counter drop
    iifname != { "ipsec0", "lo" } ip6 saddr fd00:173::/64 counter drop
  }
}
RULES

# Until swanctl has loaded the connections, charon refuses everybody, and a pod that was refused does not ask again.
# So it hears nobody before; pods that are not answered do ask again.
nft -f - <<'RULES'
table inet podvpn_hub_loading
delete table inet podvpn_hub_loading
table inet podvpn_hub_loading {
  chain loading {
    type filter hook input priority filter; policy accept;
    udp dport { 500, 4500 } counter drop
  }
}
RULES
