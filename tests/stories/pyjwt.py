"""What a service written in Python does with PyJWT.

make ALG ISSUER SUBJECT   prints a new key as a JWK and a token that it has signed
short ISSUER SUBJECT      the same with a key of ES256, of whose x a zero in front is left out
verify TOKEN JWKS         prints the claims of a token that a key of the set has signed
server TOKEN PEM AUDIENCE prints the header and the claims of a token for a server
flowkit CLAIMS            prints the roles in FlowKit's claim user_claims: base64 of gzip of JSON
weak                      prints an RSA private key of 1024 bits in PEM
"""

import base64
import gzip
import json
import secrets
import sys
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

KEYS = {
    "HS256": lambda: secrets.token_bytes(32),
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def make(alg, issuer, subject, key=None):
    key = key or KEYS[alg]()
    public = key.public_key() if hasattr(key, "public_key") else key
    jwk = json.loads(jwt.get_algorithm_by_name(alg).to_jwk(public)) | {"kid": "made by PyJWT"}
    now = int(time.time())
    claims = {"iss": issuer, "sub": subject, "aud": "rolecall", "iat": now, "exp": now + 600}
    return {"jwk": jwk, "token": jwt.encode(claims, key, alg, headers={"kid": jwk["kid"]})}


def short(issuer, subject):
    key = KEYS["ES256"]()
    while key.public_key().public_numbers().x.bit_length() > 248:
        key = KEYS["ES256"]()
    made = make("ES256", issuer, subject, key)
    x = key.public_key().public_numbers().x.to_bytes(31, "big")
    made["jwk"]["x"] = base64.urlsafe_b64encode(x).rstrip(b"=").decode()
    return made


def verify(token, jwks):
    header = jwt.get_unverified_header(token)
    key = jwt.PyJWKSet.from_json(jwks)[header["kid"]]
    return jwt.decode(token, key.key, [header["alg"]], options={"require": ["sub", "iat", "exp", "jti"]})


def server(token, pem, audience):
    claims = jwt.decode(token, pem, ["RS256"], audience=audience, options={"require": ["sub", "iat", "nbf", "exp", "jti"]})
    return {"header": jwt.get_unverified_header(token), "claims": claims}


def flowkit(claims):
    return json.loads(gzip.decompress(base64.b64decode(claims, validate=True)))


def weak():
    return rsa.generate_private_key(65537, 1024).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()


print(json.dumps({"make": make, "short": short, "verify": verify, "server": server, "flowkit": flowkit, "weak": weak}[sys.argv[1]](*sys.argv[2:])))
