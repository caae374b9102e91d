"""Verifies an access token with PyJWT, from the gateway's JWKS, and forges others like it.

usage: pyjwt.py BASE AUTHORITY.PEM ISSUER KEYRING.JSON, the token on standard input

Standard output has one JSON object: "header" and "claims" as PyJWT read and verified them; "good",
the same claims signed here with the gateway's key; "forged", tokens by what is wrong with them.
"""

import base64
import hashlib
import hmac
import json
import ssl
import sys
import time
import urllib.request

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

PURPOSE = b"passgate: Ed25519 seed for access tokens, 1"


def raw(text):
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def public(key):
    encoding, form = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    return key.public_key().public_bytes(encoding, form)


def gateways_own(path):
    """The newest signing key, made from the ring as docs/adr/0031 says."""
    with open(path, encoding="utf-8") as file:
        newest = max(json.load(file)["keys"], key=lambda key: key["id"])
    seed = hmac.new(base64.b64decode(newest["key"]), PURPOSE, hashlib.sha256).digest()
    return Ed25519PrivateKey.from_private_bytes(seed)


def by_hand(header, claims, sign):
    parts = [raw(json.dumps(part).encode()) for part in (header, claims)]
    signed = ".".join(parts)
    return signed + "." + raw(sign(signed.encode()))


def main():
    base, authority, issuer, ring = sys.argv[1:]
    token = sys.stdin.read().strip()
    context = ssl.create_default_context(cafile=authority)
    with urllib.request.urlopen(base + "/.well-known/jwks.json", context=context) as answer:
        document = json.load(answer)
    header = jwt.get_unverified_header(token)
    key = next(key for key in jwt.PyJWKSet.from_dict(document).keys if key.key_id == header["kid"])
    claims = jwt.decode(
        token,
        key.key,
        algorithms=["EdDSA"],
        audience=issuer,
        issuer=issuer,
        options={"require": ["iss", "aud", "sub", "client_id", "iat", "nbf", "exp", "jti"]},
    )

    own, strange = gateways_own(ring), Ed25519PrivateKey.generate()
    verifying = public(own)
    own_jwk = {"kty": "OKP", "crv": "Ed25519", "x": raw(public(strange))}
    typ, kid = {"typ": "at+jwt"}, {"kid": header["kid"]}
    now = int(time.time())

    def signed(key=own, head=None, **changed):
        body = {name: value for name, value in {**claims, **changed}.items() if value is not None}
        return jwt.encode(body, key, algorithm="EdDSA", headers={**typ, **kid, **(head or {})})

    def unsigned(alg, sign):
        return by_hand({"alg": alg, **typ, **kid}, claims, sign)

    def hs256(secret):
        return lambda text: hmac.new(secret, text, hashlib.sha256).digest()

    forged = {
        "none": unsigned("none", lambda _: b""),
        "none with a signature": unsigned("none", own.sign),
        "HS256 with the public key": unsigned("HS256", hs256(verifying)),
        "HS256 with the key as the JWKS has it": unsigned("HS256", hs256(raw(verifying).encode())),
        "a foreign key under our kid": signed(key=strange),
        "a foreign kid": signed(key=strange, head={"kid": "0123456789abcdef"}),
        "our key under a foreign kid": signed(head={"kid": "0123456789abcdef"}),
        "its own key in the header": signed(key=strange, head={"jwk": own_jwk}),
        "a key in the header of a good one": signed(head={"jwk": own_jwk}),
        "a jku": signed(key=strange, head={"jku": "https://evil.example/jwks.json"}),
        "crit": signed(head={"crit": ["exp"]}),
        "typ JWT": signed(head={"typ": "JWT"}),
        "another aud": signed(aud="https://other.example"),
        "several aud": signed(aud=[issuer, "https://other.example"]),
        "another iss": signed(iss="https://other.example"),
        "expired": signed(exp=now - 1),
        "not yet": signed(nbf=now + 3600),
        "no end": signed(exp=None),
        "another family": signed(sid=raw(b"\7" * 32)),
        "another algorithm's name": by_hand({"alg": "ES256", **typ, **kid}, claims, own.sign),
        "something behind it": token + ".x",
        "padding": token + "==",
    }
    print(json.dumps({"header": header, "claims": claims, "good": signed(), "forged": forged}))


main()
