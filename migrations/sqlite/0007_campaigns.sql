-- Who waits for a mail. 0: somebody; 1: nobody, it is one of many, and leaves after all others.
ALTER TABLE outbox ADD COLUMN urgency INTEGER NOT NULL DEFAULT 0 CHECK (urgency IN (0, 1));

CREATE INDEX outbox_in_turn ON outbox (urgency, asked_at, id) WHERE state IN ('queued', 'sending');

-- The same mail for many accounts (R-E1, R-A8).
CREATE TABLE campaigns (
    id          BLOB PRIMARY KEY NOT NULL CHECK (length(id) = 16),
    kind        TEXT NOT NULL,
    -- For whom; the same words for the same people.
    audience    TEXT NOT NULL,
    -- 1: there is never a second one for this audience.
    once        INTEGER NOT NULL CHECK (once IN (0, 1)),
    state       TEXT NOT NULL CHECK (state IN ('running', 'paused', 'cancelled', 'finished')),
    -- The plan is written in parts: whether it is complete, and where the next part begins.
    planned     INTEGER NOT NULL CHECK (planned IN (0, 1)),
    planned_to  TEXT,
    begun_at    INTEGER NOT NULL,
    ended_at    INTEGER
) STRICT;

CREATE UNIQUE INDEX campaigns_at_work ON campaigns (kind, audience)
    WHERE state IN ('running', 'paused');
CREATE UNIQUE INDEX campaigns_once ON campaigns (kind, audience) WHERE once = 1;
CREATE INDEX campaigns_latest ON campaigns (begun_at, id);

-- The plan: one mail for each account of a campaign, in the order in which they leave.
CREATE TABLE campaign_mails (
    place     INTEGER PRIMARY KEY NOT NULL,
    campaign  BLOB NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE,
    -- No reference: an account that was deleted is still counted.
    account   BLOB NOT NULL CHECK (length(account) = 16),
    -- The mail's identity from the beginning, so that it keeps it whatever happens on its way.
    mail      BLOB NOT NULL CHECK (length(mail) = 16),
    state     TEXT NOT NULL CHECK
              (state IN ('planned', 'queued', 'sent', 'dead', 'dropped', 'without_email'))
) STRICT;

CREATE UNIQUE INDEX campaign_mails_by_account ON campaign_mails (campaign, account);
CREATE UNIQUE INDEX campaign_mails_by_mail ON campaign_mails (mail);
CREATE INDEX campaign_mails_by_state ON campaign_mails (campaign, state);

-- What becomes of a mail in the outbox is counted in the same step, whoever brings it about.
CREATE TRIGGER campaign_mail_went_on AFTER UPDATE OF state ON outbox
BEGIN
    UPDATE campaign_mails
       SET state = CASE WHEN NEW.state = 'sending' THEN 'queued'
                        WHEN NEW.state IN ('queued', 'sent', 'dropped') THEN NEW.state
                        ELSE 'dead' END
     WHERE mail = NEW.id;
END;

-- Its account was deleted. (A mail that is forgotten after its end keeps what it came to.)
CREATE TRIGGER campaign_mail_went_away AFTER DELETE ON outbox
WHEN OLD.state IN ('queued', 'sending')
BEGIN
    UPDATE campaign_mails SET state = 'dropped' WHERE mail = OLD.id;
END;
