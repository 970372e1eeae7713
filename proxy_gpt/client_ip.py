"""The caller's address: the direct peer, or what trusted proxies in front say in X-Forwarded-For."""
import functools
import ipaddress
import logging
import re

MOST_HOPS = 32  # entries of X-Forwarded-For that are read, from the right
LONGEST = 2048  # characters of it that are read: room for these hops, and what bounds the cache
ZONE = re.compile("%[^/]*")
FORWARDED = "HTTP_X_FORWARDED"  # how all names of this kind begin in the WSGI environment
FORWARDING = frozenset(("HTTP_FORWARDED", "HTTP_X_REAL_IP", "HTTP_VIA"))
LOCAL_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]*)?", re.IGNORECASE)
logger = logging.getLogger(__name__)


class Trusted(tuple):
    """Addresses and networks of proxies in front, as texts; `*` stands for the direct peer. Raises ValueError."""

    def __new__(cls, texts):
        """Parse them once."""
        networks = {text: _network(text) for text in texts if text != "*"}
        self = super().__new__(cls, (_spelled(networks[text]) if text in networks else text for text in texts))
        self.networks = tuple(networks.values())
        self.warned = False
        return self

    def has(self, address):
        """Whether an address in its canonical spelling is one of the listed proxies."""
        ip = ipaddress.ip_address(address)
        return any(ip in network for network in self.networks)

    def warn(self, front):
        """Say once that a front writes entries that cannot be read."""
        if not self.warned:
            self.warned = True
            logger.warning("X-Forwarded-For of the proxy at %s has entries that are not addresses: callers behind it may share one address.", front)


def client_ip(environ, trusted):
    """Return the caller's IP address in its canonical spelling. `trusted` is a Trusted."""
    peer = canonical(environ.get("REMOTE_ADDR", ""))
    forwarded = environ.get("HTTP_X_FORWARDED_FOR")
    return _forwarded(trusted, peer, forwarded[-LONGEST:]) if forwarded and is_trusted(peer, trusted) else peer


@functools.lru_cache(4096)
def is_trusted(peer, trusted):
    """Whether a direct peer may say who the caller is."""
    return "*" in trusted or bool(peer) and trusted.has(peer)


@functools.lru_cache(1024)
def _forwarded(trusted, peer, forwarded):
    # Each proxy adds its own peer at the right: walk left until an address is not a listed proxy.
    # An odd entry is skipped. That lets nobody hide: a front that writes readable entries ends the walk at its own entry,
    # and what its caller sent is to the left of that. Only behind a front that writes odd entries can a caller choose its address.
    found = peer
    if len(forwarded) == LONGEST:  # it was cut, and its first entry perhaps in the middle
        forwarded = forwarded.partition(",")[2]
    for entry in reversed(forwarded.rsplit(",", MOST_HOPS)[-MOST_HOPS:]):
        hop = _address(entry)
        if hop:
            found = hop
            if not trusted.has(hop):
                break
        elif entry.strip():
            trusted.warn(found)
    return found


def _address(text):
    """The address in a text in its canonical spelling, without quotes, brackets, port and zone; "" if it has none."""
    text = text.strip(" \t\"'")
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        ip = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return ""
    return str(getattr(ip, "ipv4_mapped", None) or ip)


canonical = functools.lru_cache(4096)(_address)  # for what comes again and again, and is short: addresses of peers


@functools.lru_cache(4096)
def network(address):
    """Return the address; of IPv6 the network of 64 bits, since whoever has one address there has them all."""
    ip = ipaddress.ip_address(address) if address else None
    return str(ipaddress.ip_network((ip, 64), strict=False)) if ip and ip.version == 6 else address


def is_loopback(host):
    """Return whether only programs of this machine can reach a host."""
    found = canonical(host)
    return ipaddress.ip_address(found).is_loopback if found else host == "localhost"


def why_not_local(environ):
    """Return why a request does not come from a program of this machine itself, "" if it does."""
    if not is_loopback(environ.get("REMOTE_ADDR", "")):  # the peer itself: a header can claim any address
        return "you connect from another machine"
    if any(name.startswith(FORWARDED) or name in FORWARDING for name in environ):
        return "a forwarding header is present"
    if environ.get("SERVER_PROTOCOL") != "HTTP/1.1":  # nginx speaks HTTP/1.0 where nobody configured its headers
        return "the request is not HTTP/1.1"
    if not LOCAL_HOST.fullmatch(environ.get("HTTP_HOST", "")):
        return "the Host is not localhost"
    return ""


def _network(text):
    found = ipaddress.ip_network(ZONE.sub("", text))
    mapped = getattr(found.network_address, "ipv4_mapped", None)
    return ipaddress.ip_network((mapped, found.prefixlen - 96)) if mapped and found.prefixlen >= 96 else found


def _spelled(found):
    return str(found.network_address if found.num_addresses == 1 else found)
