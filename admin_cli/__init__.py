"""The command `proxy-admin`: what the operator may do at the database itself. It loads neither the server nor Flask."""
