"""Prints a token for trying the API out: ``create_jwt.py [SECRET] [--sub NAME] [--role ROLE] [--hours N]``.

The secret is that of JWT_SECRET. Without one it is the development secret of the AI separator document, which a service
takes with ``ENVIRONMENT=local`` on loopback alone.
"""

from __future__ import annotations

import argparse
import time
import warnings

import jwt


def main() -> None:
    """Print the token, signed with HS256."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "secret", nargs="?", default="supersecret123", help="JWT_SECRET of the service (default: %(default)s)"
    )
    parser.add_argument("--sub", default="dev-user", help="who the token is of (default: %(default)s)")
    parser.add_argument("--role", action="append", default=[], help="a role, for example admin; once for each")
    parser.add_argument("--hours", type=float, default=1.0, help="how long it holds (default: %(default)g)")
    given = parser.parse_args()
    now = int(time.time())
    claims = {"sub": given.sub, "iat": now, "exp": now + round(given.hours * 3600)}
    if given.role:
        claims["roles"] = given.role
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the document's secret is short, and the service knows where it may be
        print(jwt.encode(claims, given.secret, algorithm="HS256"))


if __name__ == "__main__":
    main()
