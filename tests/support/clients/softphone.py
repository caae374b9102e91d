"""An application as its developers wrote it, with requests-oauthlib and the PBX's documentation:
a token by login name and password, a call, a refreshed token, a call.

usage: softphone.py BASE CLIENT_ID CLIENT_SECRET LOGIN SECRET CALL
Prints one line of JSON.
"""
import json
import sys

from oauthlib.oauth2 import LegacyApplicationClient, OAuth2Error
from requests_oauthlib import OAuth2Session

base, client_id, client_secret, login, secret, call = sys.argv[1:]
token_url = f"{base}/ns-api/oauth2/token"
client = {"client_id": client_id, "client_secret": client_secret}

session = OAuth2Session(client=LegacyApplicationClient(client_id=client_id))
try:
    first = session.fetch_token(
        token_url, username=login, password=secret, client_secret=client_secret,
        include_client_id=True,
    )
    called = session.get(base + call)
    second = session.refresh_token(token_url, **client)
    called_again = session.get(base + call)
except OAuth2Error as error:
    print(json.dumps({"error": error.error, "description": error.description}))
    sys.exit()

print(json.dumps({
    "user": first.get("user"),
    "type": first["token_type"],
    "calls": [called.status_code, called_again.status_code],
    "answers": [called.json(), called_again.json()],
    "refreshed": first["refresh_token"] != second["refresh_token"],
    "access": [first["access_token"], second["access_token"]],
}))
