"""What the process says: a line for each request on stdout, warnings and the server's own words on stderr, as LOG_FORMAT wants them."""
