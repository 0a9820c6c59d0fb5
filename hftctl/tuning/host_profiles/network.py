"""Choices on sockets and queues that several profiles share."""

from __future__ import annotations

from hftctl.tuning.host_profiles.model import Choice

BUFFERS = Choice(
    "sysctl",
    {"net.core.rmem_max": 134217728, "net.core.wmem_max": 134217728},
    "how much a program may ask for with SO_RCVBUF and SO_SNDBUF: bursts of market data are kept, not dropped",
)
WINDOWS = Choice(
    "sysctl",
    {"net.ipv4.tcp_rmem": "4096 131072 134217728", "net.ipv4.tcp_wmem": "4096 65536 134217728"},
    "TCP windows grow with what is in flight, up to those limits",
)
QUEUES = Choice(
    "sysctl",
    {"net.core.netdev_max_backlog": 250000, "net.core.somaxconn": 65535, "net.ipv4.tcp_max_syn_backlog": 65535},
    "packets and connections of a burst wait instead of being dropped",
)
FIRST_PACKETS = Choice(
    "sysctl",
    {"net.ipv4.tcp_slow_start_after_idle": 0, "net.ipv4.tcp_autocorking": 0, "net.ipv4.tcp_notsent_lowat": 131072},
    "an order after a quiet minute leaves at once, and alone",
)
BUSY_POLL = Choice(
    "sysctl",
    {"net.core.busy_poll": 50, "net.core.busy_read": 50},
    "a waiting socket asks the card itself for 50 us before it sleeps",
)
