-- One-time initial passwords (R-E1): the hash, and when it stops working.
ALTER TABLE accounts ADD COLUMN initial_phc TEXT;
ALTER TABLE accounts ADD COLUMN initial_expires_at INTEGER;

-- Sessions may begin with one; SQLite changes a CHECK only by making the table anew.
CREATE TABLE sessions_anew (
    id              BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 32),
    account         BLOB NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    login           TEXT NOT NULL,
    obtained_with   TEXT NOT NULL CHECK (obtained_with IN ('pin', 'password', 'initial')),
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

INSERT INTO sessions_anew
SELECT id, account, login, obtained_with, progress, epoch, created_at, last_seen, jar,
       jar_generation, server, user_agent, client
  FROM sessions;
DROP TABLE sessions;
ALTER TABLE sessions_anew RENAME TO sessions;

CREATE INDEX sessions_by_account ON sessions (account);
CREATE INDEX sessions_by_last_seen ON sessions (last_seen);
CREATE INDEX sessions_by_created_at ON sessions (created_at);
