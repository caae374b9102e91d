"""A real mail server for the tests (aiosmtpd), on a port of its own.

usage: smtp_server.py starttls|implicit|none USER PASSWORD [CERTIFICATE KEY]

Standard output has one JSON object a line: first {"port": N}, then {"mail": {...}} for each mail
that it took, {"auth": "tls"|"plain"} for each login that was tried, and {"set": N} when the N-th
line of standard input holds.

Each line of standard input is a JSON object that replaces all faults:
  {"mail": "451 4.3.0 busy"}      the answer to MAIL FROM; likewise "rcpt", "data" (to the message)
  {"auth": "454 4.7.0 not now"}   the answer to AUTH
  {"hang": "mail"}                no answer to it, until the next line; likewise "rcpt", "data"
  {"hang_for": "a@b.example"}     no answer to this recipient, until the next line
  {"slow": 0.1}                   takes so many seconds for each answer to these
  {"lose_answer": true}           takes the mail, then closes without an answer
  {"no_starttls": true}           does not offer STARTTLS
  {"inject": "250 ..."}           says this after the answer to STARTTLS, outside of TLS
  {"refuse": true}                nobody listens
"sync" changes nothing: what happened before it was said before its {"set": N}.
The end of standard input ends the server.
"""

import asyncio
import email
import email.policy
import json
import logging
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult

# The library warns of what the tests want: logins without TLS, connections that break.
warnings.simplefilter("ignore")
logging.disable(logging.CRITICAL)

mode, user, password, *certificate = sys.argv[1:]
faults = {}
changed = asyncio.Event()


def say(**what):
    print(json.dumps(what), flush=True)


async def hang(step, recipient=None):
    await asyncio.sleep(faults.get("slow", 0))
    while faults.get("hang") == step or recipient and faults.get("hang_for") == recipient:
        changed.clear()
        await changed.wait()


class Handler:
    async def handle_MAIL(self, server, session, envelope, address, options):
        await hang("mail")
        if "mail" in faults:
            return faults["mail"]
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        await hang("rcpt", address)
        if "rcpt" in faults:
            return faults["rcpt"]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        await hang("data")
        if "data" in faults:
            return faults["data"]
        say(mail=opened(envelope))
        if faults.get("lose_answer"):
            server.transport.abort()
        return "250 OK"


class Server(SMTP):
    """With what the library has no hook for."""

    async def smtp_AUTH(self, arg):
        protected = self.transport.get_extra_info("ssl_object") is not None
        say(auth="tls" if protected else "plain")
        await super().smtp_AUTH(arg)

    async def smtp_STARTTLS(self, arg):
        if "inject" in faults:
            # In one piece with the answer, as somebody on the way would do it.
            self.transport.write(b"220 Ready\r\n" + faults["inject"].encode() + b"\r\n")
            return
        await super().smtp_STARTTLS(arg)


def log_in(server, session, envelope, mechanism, data):
    if "auth" in faults:
        return AuthResult(success=False, handled=False, message=faults["auth"])
    right = (data.login.decode(), data.password.decode()) == (user, password)
    return AuthResult(success=right, handled=False)


def opened(envelope):
    """A mail as its reader sees it, and as it came."""
    raw = envelope.original_content
    message = email.message_from_bytes(raw, policy=email.policy.default)
    part = lambda kind: message.get_body((kind,)).get_content().replace("\r\n", "\n")
    return {
        "sender": envelope.mail_from,
        "recipients": envelope.rcpt_tos,
        "headers": {name.lower(): str(value) for name, value in message.items()},
        "text": part("plain"),
        "html": part("html"),
        "raw": raw.decode("utf-8", "replace"),
    }


def tls():
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return context


async def listen(port):
    starttls = tls() if mode == "starttls" else None

    def connection():
        return Server(
            Handler(),
            hostname="mail.example",
            enable_SMTPUTF8=True,
            tls_context=None if faults.get("no_starttls") else starttls,
            require_starttls=bool(starttls),
            auth_required=True,
            auth_require_tls=mode == "starttls",
            authenticator=log_in,
        )

    loop = asyncio.get_running_loop()
    return await loop.create_server(
        connection, "127.0.0.1", port, ssl=tls() if mode == "implicit" else None
    )


async def main():
    server = await listen(0)
    port = server.sockets[0].getsockname()[1]
    say(port=port)
    loop = asyncio.get_running_loop()
    lines = 0
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        told = json.loads(line)
        if told != "sync":
            faults.clear()
            faults.update(told)
            changed.set()
        if faults.get("refuse"):
            server.close()
        elif not server.is_serving():
            server = await listen(port)
        lines += 1
        say(set=lines)


asyncio.run(main())
