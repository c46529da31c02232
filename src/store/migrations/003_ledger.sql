-- What the ledger makes from the journal; all of it can be made again.
-- How far each node's journal is in here: in the same transaction as the rows themselves.
CREATE TABLE ledger_position (
    node TEXT PRIMARY KEY,
    seq INTEGER NOT NULL
);
-- Calls whose outcome is not on the journal yet, at that position.
CREATE TABLE ledger_open (
    node TEXT NOT NULL,
    request_id TEXT NOT NULL,
    payload TEXT NOT NULL,
    PRIMARY KEY (node, request_id)
);
-- What each node's calls spent, by counter (keys/windows.h): nano-dollars.
CREATE TABLE ledger_spend (
    name TEXT NOT NULL,
    node TEXT NOT NULL,
    used INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (name, node)
);
CREATE INDEX ledger_spend_node ON ledger_spend (node);
-- One row a call. ts is the wall clock in nanoseconds when it began; the id is a UUID of version 7
-- whose time is the same, so that one index serves both. cost NULL: unknown.
CREATE TABLE logs (
    ts INTEGER NOT NULL,
    request_id TEXT NOT NULL,
    node TEXT NOT NULL,
    seq INTEGER NOT NULL,
    org_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    customer TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    model_asked TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    status INTEGER NOT NULL,
    outcome TEXT NOT NULL,
    error TEXT NOT NULL,
    streamed INTEGER NOT NULL,
    attempts INTEGER NOT NULL,
    tokens_in INTEGER,
    tokens_out INTEGER,
    cache_read INTEGER NOT NULL,
    cache_write INTEGER NOT NULL,
    reasoning INTEGER NOT NULL,
    cost INTEGER,
    charged INTEGER NOT NULL,
    latency_us INTEGER NOT NULL,
    ttfb_us INTEGER NOT NULL,
    upstream_us INTEGER NOT NULL,
    tags TEXT NOT NULL,
    trace TEXT NOT NULL,
    req_ref INTEGER NOT NULL,
    resp_ref INTEGER NOT NULL,
    PRIMARY KEY (ts, request_id)
);
-- Sums by hour and by everything that analytics asks for. l0 … l15: calls by latency, below
-- 1 ms × 2^n. A rare value's log rows are found by the hours in which it occurs here.
CREATE TABLE usage_hourly (
    hour INTEGER NOT NULL,
    org_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    customer TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    tags TEXT NOT NULL,
    status INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    streamed INTEGER NOT NULL,
    tokens_in INTEGER NOT NULL,
    tokens_out INTEGER NOT NULL,
    cache_read INTEGER NOT NULL,
    cost INTEGER NOT NULL,
    unpriced INTEGER NOT NULL,
    latency_us INTEGER NOT NULL,
    l0 INTEGER NOT NULL, l1 INTEGER NOT NULL, l2 INTEGER NOT NULL, l3 INTEGER NOT NULL,
    l4 INTEGER NOT NULL, l5 INTEGER NOT NULL, l6 INTEGER NOT NULL, l7 INTEGER NOT NULL,
    l8 INTEGER NOT NULL, l9 INTEGER NOT NULL, l10 INTEGER NOT NULL, l11 INTEGER NOT NULL,
    l12 INTEGER NOT NULL, l13 INTEGER NOT NULL, l14 INTEGER NOT NULL, l15 INTEGER NOT NULL,
    PRIMARY KEY (hour, org_id, team_id, user_id, key_id, customer, provider, model, endpoint, tags,
        status)
);
-- Prompts and replies, where several nodes show each other's (PostgreSQL).
CREATE TABLE log_bodies (
    request_id TEXT PRIMARY KEY,
    ts INTEGER NOT NULL,
    request BLOB,
    reply BLOB
);
