-- Forms that were sent after their session had ended, sealed for their account, for an hour.
CREATE TABLE kept_forms (
    id       BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 32),
    account  BLOB NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
    sealed   BLOB NOT NULL,
    kept_at  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX kept_forms_by_account ON kept_forms (account, kept_at);
CREATE INDEX kept_forms_by_age ON kept_forms (kept_at);
