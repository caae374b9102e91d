-- Families of tokens are sessions of applications (R-F3). `grant_sealed` holds what the PBX knows
-- the application by and the application's own id and secret, sealed for this session.
ALTER TABLE sessions ADD COLUMN grant_kind TEXT CHECK (grant_kind IN ('jwt', 'pass', 'basic'));
ALTER TABLE sessions ADD COLUMN grant_sealed BLOB;
ALTER TABLE sessions ADD COLUMN expires_at INTEGER;

CREATE INDEX sessions_by_expires_at ON sessions (expires_at) WHERE expires_at IS NOT NULL;

-- The limits of portal sessions do not hold for families: looking for what is idle passes them by.
DROP INDEX sessions_by_last_seen;
DROP INDEX sessions_by_created_at;
CREATE INDEX sessions_by_last_seen ON sessions (last_seen) WHERE expires_at IS NULL;
CREATE INDEX sessions_by_created_at ON sessions (created_at) WHERE expires_at IS NULL;

-- The PBX's tokens that went through our hands, by SHA-256. They outlive their family: what was
-- ended here is never taken for one that the PBX issued before us.
CREATE TABLE noted_tokens (
    hash        BLOB PRIMARY KEY NOT NULL CHECK (length(hash) = 32),
    usage       TEXT NOT NULL CHECK (usage IN ('access', 'refresh', 'spent')),
    family      BLOB NOT NULL CHECK (length(family) = 32),
    expires_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX noted_tokens_by_expires_at ON noted_tokens (expires_at);

-- Refresh tokens of ours: each family has one chain, and of it only the newest place counts.
CREATE TABLE refresh_chains (
    family      BLOB PRIMARY KEY NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    place       INTEGER NOT NULL,
    hash        BLOB NOT NULL CHECK (length(hash) = 32),
    -- The hash before, when it gave way, and the answer of then, sealed, while it may be repeated.
    hash_before BLOB,
    turned_at   INTEGER,
    answer      BLOB
) STRICT, WITHOUT ROWID;

CREATE INDEX refresh_chains_by_turned_at ON refresh_chains (turned_at) WHERE answer IS NOT NULL;
