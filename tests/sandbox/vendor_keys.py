"""The credentials that the sandbox of these tests wants."""

KEY = "vendor-key"
SECRET = "vendor-secret-of-thirty-two-bytes-or-more"
