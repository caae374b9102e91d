-- For people who know their address, but not their login name.
CREATE INDEX accounts_by_email ON accounts (lower(email));
