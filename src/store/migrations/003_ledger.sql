-- What the ledger makes from the journal; all of it can be made again.
-- How far each node's journal is in here: seq for rows, sums_seq for sums and spend, which are put
-- less often. In the same transaction as what they speak of. rewound_*: ledger/rewind.c.
CREATE TABLE ledger_position (
    node TEXT PRIMARY KEY,
    seq INTEGER NOT NULL,
    sums_seq INTEGER NOT NULL,
    rewound_to INTEGER NOT NULL DEFAULT 0,
    rewound_sums INTEGER NOT NULL DEFAULT 0
);
-- Calls whose outcome is not on the journal yet, at that position. seq: of their first entry.
CREATE TABLE ledger_open (
    node TEXT NOT NULL,
    request_id TEXT NOT NULL,
    seq INTEGER NOT NULL,
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
    open_seq INTEGER NOT NULL,
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
-- Which values occur in which slice of time: a facet is a column's value, hashed, or a class of
-- latency or cost; a slice is its end in seconds times 8, plus a width (ledger/facets.h), some
-- thousand rows of logs. So rows with a rare value are found without an index for each column.
CREATE TABLE log_slices (
    facet INTEGER NOT NULL,
    slice INTEGER NOT NULL,
    PRIMARY KEY (facet, slice)
);
-- Sums by hour (at: its begin) and by everything at once that analytics asks for, for whoever is
-- confined to a key or user. l0 … l15: calls by latency, below 1 ms × 2^n.
CREATE TABLE usage_hourly (
    at INTEGER NOT NULL,
    org_id TEXT NOT NULL,
    team_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    key_id TEXT NOT NULL,
    provider TEXT NOT NULL,
    model TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    tags TEXT NOT NULL,
    status INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    streamed INTEGER NOT NULL,
    cache_hits INTEGER NOT NULL,
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
    PRIMARY KEY (key_id, at, model, provider, endpoint, status, org_id, team_id, user_id, tags)
);
CREATE INDEX usage_hourly_user ON usage_hourly (user_id, at);
-- The same calls once in each part, by hour and by day, so that each question reads few rows. part:
-- p (value: provider; with model and status), k key, u user, g team, c end customer, t tag, n
-- endpoint. A call with two tags is in part t twice, one without a value in none of that part.
CREATE TABLE totals_hourly (
    part TEXT NOT NULL,
    at INTEGER NOT NULL,
    org_id TEXT NOT NULL,
    value TEXT NOT NULL,
    model TEXT NOT NULL,
    status INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    streamed INTEGER NOT NULL,
    cache_hits INTEGER NOT NULL,
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
    PRIMARY KEY (part, at, org_id, value, model, status)
);
CREATE TABLE totals_daily (
    part TEXT NOT NULL,
    at INTEGER NOT NULL,
    org_id TEXT NOT NULL,
    value TEXT NOT NULL,
    model TEXT NOT NULL,
    status INTEGER NOT NULL,
    calls INTEGER NOT NULL,
    errors INTEGER NOT NULL,
    streamed INTEGER NOT NULL,
    cache_hits INTEGER NOT NULL,
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
    PRIMARY KEY (part, at, org_id, value, model, status)
);
-- Prompts and replies, where several nodes show each other's (PostgreSQL).
CREATE TABLE log_bodies (
    request_id TEXT PRIMARY KEY,
    ts INTEGER NOT NULL,
    request BLOB,
    reply BLOB
);
