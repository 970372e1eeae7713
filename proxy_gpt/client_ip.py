"""The caller's address, behind proxies that we trust to name it and no others."""
import ipaddress


def client_ip(environ, trusted):
    """The caller's IP address: the direct peer, or what trusted peers say in X-Forwarded-For.

    `trusted` holds addresses and networks; `*` trusts the direct peer alone, whoever it is (a Heroku-style router).
    """
    peer = _plain(environ.get("REMOTE_ADDR", ""))
    forwarded = environ.get("HTTP_X_FORWARDED_FOR")
    if not forwarded or not ("*" in trusted or is_trusted(peer, trusted)):
        return peer
    # Each proxy adds its own peer at the right: walk left until somebody is not one of ours.
    for hop in reversed(forwarded.split(",")):
        hop = hop.strip()
        if not _is_address(hop):
            return peer
        peer = _plain(hop)
        if not is_trusted(hop, trusted):
            break
    return peer


def is_trusted(address, trusted):
    """Whether an address is one of the trusted proxies."""
    if not _is_address(address):
        return False
    ip = ipaddress.ip_address(address)
    return any(network != "*" and ip in ipaddress.ip_network(network) for network in trusted)


def _is_address(text):
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text  # a zone, which can be any text of any length


def _plain(address):
    """An IPv4 address without the dress of IPv6 that a socket for both puts on it."""
    return address[7:] if address.startswith("::ffff:") and "." in address else address
