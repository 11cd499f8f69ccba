"""HTTP/1.1 to vendors: from the bytes of a connection to an answer that can be relied on."""
