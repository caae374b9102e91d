-- What a mail about a locked login name tells.
ALTER TABLE outbox ADD COLUMN locked_until INTEGER;
ALTER TABLE outbox ADD COLUMN client TEXT;

-- The limit of an address counts over the accounts that share it.
CREATE INDEX outbox_by_recipient ON outbox (lower(recipient), asked_at);

-- Since when the address on file takes no mail, and why: nothing is sent there until another one
-- is on file.
ALTER TABLE accounts ADD COLUMN bounced_at INTEGER;
ALTER TABLE accounts ADD COLUMN bounce_reason TEXT;
