-- Times are microseconds since 1970 (UTC). Ids are the 16 or 32 bytes themselves.

CREATE TABLE accounts (
    id               BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    tenant           TEXT NOT NULL,
    extension        TEXT NOT NULL,
    -- Sorts numeric extensions by number, before all others; as unique as the extension.
    extension_order  TEXT NOT NULL,
    email            TEXT,
    name             TEXT NOT NULL,
    role             TEXT NOT NULL CHECK (role IN ('user', 'manager')),
    -- Login name, name and e-mail folded for searching: SQLite itself folds ASCII only.
    search           TEXT NOT NULL,
    disabled         INTEGER NOT NULL DEFAULT 0 CHECK (disabled IN (0, 1)),
    password_phc     TEXT,
    password_set_at  INTEGER,
    previous_phc     TEXT,
    previous_set_at  INTEGER,
    pin              BLOB,
    pin_refused      INTEGER NOT NULL DEFAULT 0 CHECK (pin_refused IN (0, 1)),
    epoch            INTEGER NOT NULL DEFAULT 0,
    last_login_at    INTEGER,
    created_at       INTEGER NOT NULL,
    CHECK ((password_phc IS NULL) = (password_set_at IS NULL)),
    CHECK ((previous_phc IS NULL) = (previous_set_at IS NULL))
) STRICT;

CREATE UNIQUE INDEX accounts_by_login ON accounts (tenant, extension);
CREATE UNIQUE INDEX accounts_in_order ON accounts (tenant, extension_order);

CREATE TABLE sessions (
    id              BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 32),
    account         BLOB NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    login           TEXT NOT NULL,
    obtained_with   TEXT NOT NULL CHECK (obtained_with IN ('pin', 'password')),
    progress        TEXT NOT NULL CHECK (progress IN ('complete', 'challenge', 'pin_needed')),
    epoch           INTEGER NOT NULL,
    created_at      INTEGER NOT NULL,
    last_seen       INTEGER NOT NULL,
    -- The PBX's cookies, sealed for this session.
    jar             BLOB NOT NULL,
    jar_generation  INTEGER NOT NULL,
    server          INTEGER NOT NULL,
    user_agent      TEXT NOT NULL,
    client          TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_by_account ON sessions (account);
CREATE INDEX sessions_by_last_seen ON sessions (last_seen);
CREATE INDEX sessions_by_created_at ON sessions (created_at);

-- Failed logins: one counter per login name, device and client address.
CREATE TABLE attempt_counters (
    key       TEXT PRIMARY KEY NOT NULL,
    -- The login name of a name's or device's counter; NULL for an address.
    name      TEXT,
    counter   TEXT NOT NULL,
    -- The end of the lock that was last reported, so that each lock is reported once.
    reported  INTEGER,
    touched   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX attempt_counters_by_name ON attempt_counters (name);
CREATE INDEX attempt_counters_by_touched ON attempt_counters (touched);

-- One value sealed by the key ring that belongs to this database.
CREATE TABLE ring_check (
    only    INTEGER PRIMARY KEY CHECK (only = 1),
    sealed  BLOB NOT NULL
) STRICT;
