-- One-time codes of links in mails, by their SHA-256.
CREATE TABLE codes (
    hash        BLOB PRIMARY KEY NOT NULL CHECK (length(hash) = 32),
    purpose     TEXT NOT NULL CHECK (purpose IN ('reset', 'welcome', 'confirm_email')),
    account     BLOB NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    -- The account's epoch and address when the code was made: it fits as long as they do.
    epoch       INTEGER NOT NULL,
    on_file     TEXT,
    sent_to     TEXT NOT NULL,
    issued_at   INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX codes_by_account ON codes (account);
CREATE INDEX codes_by_expiry ON codes (expires_at);

-- Mails on their way. What they say is made when they leave: there is no link in here.
CREATE TABLE outbox (
    id               BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    kind             TEXT NOT NULL,
    account          BLOB NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    epoch            INTEGER,
    recipient        TEXT NOT NULL,
    asked_at         INTEGER NOT NULL,
    state            TEXT NOT NULL CHECK (state IN ('queued', 'sending', 'sent', 'dead', 'dropped')),
    attempts         INTEGER NOT NULL DEFAULT 0,
    last_error       TEXT,
    next_attempt_at  INTEGER NOT NULL,
    -- Since when it is being handed over: a process that died leaves it behind.
    sending_since    INTEGER,
    ended_at         INTEGER
) STRICT;

CREATE INDEX outbox_due ON outbox (state, next_attempt_at);
CREATE INDEX outbox_by_account ON outbox (account, asked_at);
CREATE INDEX outbox_latest ON outbox (asked_at, id);
CREATE INDEX outbox_ended ON outbox (ended_at) WHERE ended_at IS NOT NULL;

-- PIN write-backs that are not at their end (R-B4): at most one for an account.
CREATE TABLE pin_journal (
    account          BLOB PRIMARY KEY NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    stage            TEXT NOT NULL CHECK (stage IN ('writing', 'pending')),
    -- The hash of the new password, until it is valid.
    phc              TEXT,
    epoch            INTEGER NOT NULL,
    -- Sealed like the PINs of accounts.
    old_pin          BLOB,
    new_pin          BLOB NOT NULL,
    holder           BLOB NOT NULL CHECK (length(holder) = 16),
    began_at         INTEGER NOT NULL,
    attempts         INTEGER NOT NULL DEFAULT 0,
    next_attempt_at  INTEGER NOT NULL,
    CHECK ((stage = 'writing') = (phc IS NOT NULL))
) STRICT, WITHOUT ROWID;
