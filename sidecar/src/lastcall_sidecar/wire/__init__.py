"""What goes over the wire, as pure code: bytes in, bytes and decisions out. No I/O, no event loop, no clock."""
