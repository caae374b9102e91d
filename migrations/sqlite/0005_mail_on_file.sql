-- The address on file when a mail was asked for: a link that confirms another one is for that
-- moment, and replaces no address that came since.
ALTER TABLE outbox ADD COLUMN on_file TEXT;
