-- What providers made for callers and keep: where it lies, and whose it is. kind is that of
-- route/owned.h. A batch is_open until its cost is booked; claimed_by is the node that books it, in
-- entries of the journal with the time booked_at.
CREATE TABLE owned_objects (
    id TEXT PRIMARY KEY,
    kind INTEGER NOT NULL,
    provider TEXT NOT NULL,
    upstream_key TEXT NOT NULL,
    org_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    customer TEXT NOT NULL,
    batch TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    is_open INTEGER NOT NULL,
    checked_at INTEGER NOT NULL,
    claimed_by TEXT NOT NULL,
    booked_at INTEGER NOT NULL
);
CREATE INDEX owned_objects_open ON owned_objects (checked_at) WHERE is_open = 1;
CREATE INDEX owned_objects_responses ON owned_objects (created_at) WHERE kind = 1;
