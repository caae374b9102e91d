-- The language of the page where a mail was asked for. NULL: what the account's brand speaks.
ALTER TABLE outbox ADD COLUMN language TEXT;
