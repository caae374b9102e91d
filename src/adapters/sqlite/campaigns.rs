//! Campaigns in SQLite. What becomes of a mail reaches its row of the plan by triggers of the
//! outbox (see the migration): no step of a mail can be forgotten here.

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

use super::account_rows::account_id;
use super::{Database, from_micros, hex, outbox, to_micros, unavailable, unreadable};
use crate::domain::account::AccountId;
use crate::domain::campaign::{
    Audience, Campaign, CampaignId, CampaignKind, CampaignState, Fate, Order, Progress,
};
use crate::domain::mail::MailId;
use crate::ports::{
    CampaignStore, NewCampaign, Ordered, PlanPart, PlannedMail, Started, Turn, Unavailable,
};

/// The tables of campaigns.
#[derive(Debug, Clone)]
pub struct SqliteCampaigns {
    database: Database,
}

/// Rows per statement.
const BATCH: usize = 2_000;

/// The columns that [`campaign`] reads.
macro_rules! campaign_columns {
    () => {
        "id, kind, audience, state, planned, planned_to, begun_at, ended_at"
    };
}

/// Mails of campaign ?1 in the outbox that nobody is handing over, and nobody asked for.
macro_rules! waiting_mails {
    () => {
        "id IN (SELECT mail FROM campaign_mails WHERE campaign = ?1 AND state = 'queued')
         AND state = 'queued' AND urgency = 1"
    };
}

/// Campaign ?1, if it came to its end.
macro_rules! over {
    () => {
        " FROM campaigns AS c
          WHERE id = ?1 AND state = 'running' AND planned = 1
            AND NOT EXISTS (SELECT 1 FROM campaign_mails AS m
                             WHERE m.campaign = c.id AND m.state IN ('planned', 'queued'))"
    };
}

impl SqliteCampaigns {
    /// The campaigns in `database`.
    pub fn new(database: Database) -> Self {
        Self { database }
    }
}

#[async_trait]
impl CampaignStore for SqliteCampaigns {
    async fn begin(
        &self,
        new: NewCampaign,
        plan: Option<Vec<PlannedMail>>,
    ) -> Result<Started, Unavailable> {
        // Reminders are begun every second for a day: nothing is written, and nobody held up, after
        // the first time.
        let mut reader = self.database.readers().acquire().await.map_err(unavailable)?;
        if let Some(same) = the_same(&mut reader, &new).await? {
            return Ok(Started::Same(same));
        }
        drop(reader);
        let mut transaction = self.database.write_durably().await?;
        if !insert(&mut transaction, &new, plan.as_deref()).await? {
            let same = the_same(&mut transaction, &new).await?;
            return same.map(Started::Same).ok_or_else(|| unreadable("a campaign"));
        }
        let begun = find(&mut transaction, new.id).await?;
        transaction.commit().await.map_err(unavailable)?;
        begun.map(Started::New).ok_or_else(|| unreadable("a campaign"))
    }

    async fn plan(&self, id: CampaignId, part: PlanPart) -> Result<bool, Unavailable> {
        let mut transaction = self.database.write_durably().await?;
        let moved_on = sqlx::query(
            "UPDATE campaigns SET planned = ?3, planned_to = ?4
              WHERE id = ?1 AND planned = 0 AND planned_to IS ?2 AND state IN ('running', 'paused')",
        )
        .bind(id.0.as_bytes().as_slice())
        .bind(&part.from)
        .bind(part.next.is_none())
        .bind(&part.next)
        .execute(&mut *transaction)
        .await
        .map_err(unavailable)?;
        if moved_on.rows_affected() == 0 {
            return Ok(false);
        }
        write_plan(&mut transaction, id, &part.mails).await?;
        transaction.commit().await.map_err(unavailable)?;
        Ok(true)
    }

    async fn running(&self) -> Result<Vec<Campaign>, Unavailable> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            campaign_columns!(),
            " FROM campaigns WHERE state = 'running' ORDER BY begun_at, id"
        ))
        .fetch_all(self.database.readers())
        .await
        .map_err(unavailable)?;
        rows.iter().map(campaign).collect()
    }

    async fn next(
        &self,
        id: CampaignId,
        most: usize,
    ) -> Result<Vec<(AccountId, MailId)>, Unavailable> {
        let rows = sqlx::query(
            "SELECT account, mail FROM campaign_mails
              WHERE campaign = ?1 AND state = 'planned' ORDER BY place LIMIT ?2",
        )
        .bind(id.0.as_bytes().as_slice())
        .bind(i64::try_from(most).unwrap_or(i64::MAX))
        .fetch_all(self.database.readers())
        .await
        .map_err(unavailable)?;
        rows.iter()
            .map(|row| {
                let account = account_id(row.try_get("account").map_err(unavailable)?)?;
                let mail: &[u8] = row.try_get("mail").map_err(unavailable)?;
                let mail = Uuid::from_slice(mail).map_err(|_| unreadable("a planned mail"))?;
                Ok((account, MailId(mail)))
            })
            .collect()
    }

    async fn queue(&self, id: CampaignId, turns: Vec<Turn>) -> Result<(), Unavailable> {
        let mut transaction = self.database.write_durably().await?;
        let runs = find(&mut transaction, id).await?;
        if runs.is_none_or(|campaign| campaign.state != CampaignState::Running) {
            return Ok(());
        }
        for Turn { account, mail } in turns {
            // Its account may have been deleted a moment ago.
            let taken = sqlx::query_scalar::<_, bool>(
                "UPDATE campaign_mails
                    SET state = CASE WHEN ?3 AND EXISTS (SELECT 1 FROM accounts WHERE id = ?2)
                                     THEN 'queued' ELSE 'dropped' END
                  WHERE campaign = ?1 AND account = ?2 AND state = 'planned'
                 RETURNING state = 'queued'",
            )
            .bind(id.0.as_bytes().as_slice())
            .bind(account.0.as_bytes().as_slice())
            .bind(mail.is_some())
            .fetch_optional(&mut *transaction)
            .await
            .map_err(unavailable)?;
            if let (Some(true), Some(mail)) = (taken, mail) {
                outbox::insert(&mut transaction, &mail).await?;
            }
        }
        transaction.commit().await.map_err(unavailable)
    }

    async fn finish(&self, id: CampaignId, now: Timestamp) -> Result<bool, Unavailable> {
        // Asked every second for each campaign that runs, mostly in vain: the write lock is taken
        // only at the end.
        let over = sqlx::query_scalar::<_, i64>(concat!("SELECT EXISTS (SELECT 1", over!(), ")"))
            .bind(id.0.as_bytes().as_slice())
            .fetch_one(self.database.readers())
            .await
            .map_err(unavailable)?;
        if over == 0 {
            return Ok(false);
        }
        let mut transaction = self.database.write_durably().await?;
        let finished = sqlx::query(concat!(
            "UPDATE campaigns SET state = 'finished', ended_at = ?2
              WHERE id IN (SELECT id",
            over!(),
            ")"
        ))
        .bind(id.0.as_bytes().as_slice())
        .bind(to_micros(now))
        .execute(&mut *transaction)
        .await
        .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)?;
        Ok(finished.rows_affected() > 0)
    }

    async fn order(
        &self,
        id: CampaignId,
        order: Order,
        now: Timestamp,
    ) -> Result<Option<Ordered>, Unavailable> {
        let mut transaction = self.database.write_durably().await?;
        let Some(before) = find(&mut transaction, id).await? else { return Ok(None) };
        let Some(state) = before.state.after(order) else {
            return Ok(Some(Ordered::TooLate(before)));
        };
        if state == before.state {
            return Ok(Some(Ordered::Done(before)));
        }
        match order {
            Order::Pause => take_back(&mut transaction, id).await?,
            Order::Resume => {}
            Order::Cancel => drop_all(&mut transaction, id, now).await?,
        }
        let ended_at = (order == Order::Cancel).then(|| to_micros(now));
        sqlx::query("UPDATE campaigns SET state = ?2, ended_at = ?3 WHERE id = ?1")
            .bind(id.0.as_bytes().as_slice())
            .bind(state.name())
            .bind(ended_at)
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        let after = find(&mut transaction, id).await?;
        transaction.commit().await.map_err(unavailable)?;
        Ok(after.map(Ordered::Done))
    }

    async fn by_id(&self, id: CampaignId) -> Result<Option<Campaign>, Unavailable> {
        let mut reader = self.database.readers().acquire().await.map_err(unavailable)?;
        find(&mut reader, id).await
    }

    async fn progress(&self, id: CampaignId) -> Result<Progress, Unavailable> {
        let rows = sqlx::query(
            "SELECT state, count(*) AS mails FROM campaign_mails WHERE campaign = ? GROUP BY state",
        )
        .bind(id.0.as_bytes().as_slice())
        .fetch_all(self.database.readers())
        .await
        .map_err(unavailable)?;
        let mut progress = Progress::default();
        for row in &rows {
            let place = match row.try_get("state").map_err(unavailable)? {
                "planned" => &mut progress.planned,
                "queued" => &mut progress.queued,
                "sent" => &mut progress.sent,
                "dead" => &mut progress.failed,
                "dropped" => &mut progress.dropped,
                "without_email" => &mut progress.without_email,
                _ => return Err(unreadable("a planned mail")),
            };
            let mails: i64 = row.try_get("mails").map_err(unavailable)?;
            *place = u64::try_from(mails).unwrap_or_default();
        }
        Ok(progress)
    }

    async fn list(
        &self,
        state: Option<CampaignState>,
        cursor: Option<CampaignId>,
        limit: usize,
    ) -> Result<Vec<Campaign>, Unavailable> {
        let rows = sqlx::query(concat!(
            "SELECT ",
            campaign_columns!(),
            " FROM campaigns
              WHERE (?1 IS NULL OR state = ?1)
                AND (?2 IS NULL
                     OR (begun_at, id) < (SELECT begun_at, id FROM campaigns WHERE id = ?2))
              ORDER BY begun_at DESC, id DESC
              LIMIT ?3"
        ))
        .bind(state.map(CampaignState::name))
        .bind(cursor.map(|id| id.0.as_bytes().to_vec()))
        .bind(i64::try_from(limit).unwrap_or(i64::MAX))
        .fetch_all(self.database.readers())
        .await
        .map_err(unavailable)?;
        rows.iter().map(campaign).collect()
    }

    async fn purge(&self, ended_before: Timestamp) -> Result<(), Unavailable> {
        let mut transaction = self.database.write().await?;
        sqlx::query("DELETE FROM campaigns WHERE ended_at < ?")
            .bind(to_micros(ended_before))
            .execute(&mut *transaction)
            .await
            .map_err(unavailable)?;
        transaction.commit().await.map_err(unavailable)
    }
}

/// Begins a campaign, with the whole plan if it is known; `false` if the same one is there.
pub(super) async fn insert(
    connection: &mut SqliteConnection,
    new: &NewCampaign,
    plan: Option<&[PlannedMail]>,
) -> Result<bool, Unavailable> {
    let begun = sqlx::query(
        "INSERT INTO campaigns (id, kind, audience, once, state, planned, begun_at)
         VALUES (?, ?, ?, ?, 'running', ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(new.id.0.as_bytes().as_slice())
    .bind(new.kind.name())
    .bind(new.audience.text())
    .bind(new.audience.once())
    .bind(plan.is_some())
    .bind(to_micros(new.begun_at))
    .execute(&mut *connection)
    .await
    .map_err(unavailable)?;
    if begun.rows_affected() == 0 {
        return Ok(false);
    }
    write_plan(connection, new.id, plan.unwrap_or_default()).await?;
    Ok(true)
}

async fn write_plan(
    connection: &mut SqliteConnection,
    id: CampaignId,
    mails: &[PlannedMail],
) -> Result<(), Unavailable> {
    let in_json = |planned: &PlannedMail| -> Value {
        let state = match planned.fate {
            Fate::Mail => "planned",
            Fate::NotNeeded => "dropped",
            Fate::WithoutEmail => "without_email",
        };
        json!([hex(planned.account.0.as_bytes()), hex(planned.mail.0.as_bytes()), state])
    };
    for batch in mails.chunks(BATCH) {
        let rows: Vec<Value> = batch.iter().map(in_json).collect();
        // Without a condition, "ON CONFLICT" would be read as that of a join.
        sqlx::query(
            "INSERT INTO campaign_mails (campaign, account, mail, state)
             SELECT ?1, unhex(value ->> 0), unhex(value ->> 1), value ->> 2
               FROM json_each(?2) WHERE true ORDER BY key
             ON CONFLICT (campaign, account) DO NOTHING",
        )
        .bind(id.0.as_bytes().as_slice())
        .bind(json!(rows).to_string())
        .execute(&mut *connection)
        .await
        .map_err(unavailable)?;
    }
    Ok(())
}

/// Mails that wait in the outbox go back into the plan. They keep their identity.
async fn take_back(connection: &mut SqliteConnection, id: CampaignId) -> Result<(), Unavailable> {
    let taken: Vec<Vec<u8>> =
        sqlx::query_scalar(concat!("DELETE FROM outbox WHERE ", waiting_mails!(), " RETURNING id"))
            .bind(id.0.as_bytes().as_slice())
            .fetch_all(&mut *connection)
            .await
            .map_err(unavailable)?;
    let mails: Vec<String> = taken.iter().map(|mail| hex(mail)).collect();
    sqlx::query(
        "UPDATE campaign_mails SET state = 'planned'
          WHERE mail IN (SELECT unhex(value) FROM json_each(?))",
    )
    .bind(json!(mails).to_string())
    .execute(connection)
    .await
    .map_err(unavailable)?;
    Ok(())
}

async fn drop_all(
    connection: &mut SqliteConnection,
    id: CampaignId,
    now: Timestamp,
) -> Result<(), Unavailable> {
    sqlx::query(concat!(
        "UPDATE outbox SET state = 'dropped', ended_at = ?2 WHERE ",
        waiting_mails!()
    ))
    .bind(id.0.as_bytes().as_slice())
    .bind(to_micros(now))
    .execute(&mut *connection)
    .await
    .map_err(unavailable)?;
    sqlx::query(
        "UPDATE campaign_mails SET state = 'dropped' WHERE campaign = ? AND state = 'planned'",
    )
    .bind(id.0.as_bytes().as_slice())
    .execute(connection)
    .await
    .map_err(unavailable)?;
    Ok(())
}

async fn find(
    connection: &mut SqliteConnection,
    id: CampaignId,
) -> Result<Option<Campaign>, Unavailable> {
    let row = sqlx::query(concat!("SELECT ", campaign_columns!(), " FROM campaigns WHERE id = ?"))
        .bind(id.0.as_bytes().as_slice())
        .fetch_optional(connection)
        .await
        .map_err(unavailable)?;
    row.as_ref().map(campaign).transpose()
}

async fn the_same(
    connection: &mut SqliteConnection,
    new: &NewCampaign,
) -> Result<Option<Campaign>, Unavailable> {
    let row = sqlx::query(concat!(
        "SELECT ",
        campaign_columns!(),
        " FROM campaigns
          WHERE kind = ?1 AND audience = ?2 AND (once = 1 OR state IN ('running', 'paused'))"
    ))
    .bind(new.kind.name())
    .bind(new.audience.text())
    .fetch_optional(connection)
    .await
    .map_err(unavailable)?;
    row.as_ref().map(campaign).transpose()
}

fn campaign(row: &SqliteRow) -> Result<Campaign, Unavailable> {
    let wrong = || unreadable("a campaign");
    let id: &[u8] = row.try_get("id").map_err(unavailable)?;
    let name = |column: &str| row.try_get::<&str, _>(column).map_err(unavailable);
    let ended_at: Option<i64> = row.try_get("ended_at").map_err(unavailable)?;
    Ok(Campaign {
        id: Uuid::from_slice(id).map(CampaignId).map_err(|_| wrong())?,
        kind: CampaignKind::named(name("kind")?).ok_or_else(wrong)?,
        audience: Audience::of_text(name("audience")?).ok_or_else(wrong)?,
        state: CampaignState::named(name("state")?).ok_or_else(wrong)?,
        planned: row.try_get("planned").map_err(unavailable)?,
        planned_to: row.try_get("planned_to").map_err(unavailable)?,
        begun_at: from_micros(row.try_get("begun_at").map_err(unavailable)?)?,
        ended_at: ended_at.map(from_micros).transpose()?,
    })
}
