-- Alerts, and what became of them. status: pending, sent, partial, failed, or recorded where there
-- was nowhere to send it. deliveries: a JSON object, one member a destination.
CREATE TABLE alerts (
    id TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    node TEXT NOT NULL,
    kind TEXT NOT NULL,
    severity TEXT NOT NULL,
    subject TEXT NOT NULL,
    title TEXT NOT NULL,
    message TEXT NOT NULL,
    details TEXT NOT NULL,
    repeats INTEGER NOT NULL,
    status TEXT NOT NULL,
    deliveries TEXT NOT NULL,
    updated_at INTEGER NOT NULL
);
CREATE INDEX alerts_at ON alerts (at, id);
CREATE INDEX alerts_kind ON alerts (kind, at, id);
