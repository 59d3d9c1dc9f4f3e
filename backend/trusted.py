"""Whose certificates the line's HTTP clients trust."""

import ssl
from functools import cache

import httpx


@cache
def trusted() -> ssl.SSLContext:
    """The authorities that httpx trusts by default, read once a process: each client would read them anew, which takes
    40 ms of a core."""
    return httpx.create_ssl_context()
