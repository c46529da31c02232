-- The same totals by week (at: its Monday), so that of a long span few rows are read; and a part
-- more, a: all calls of an organisation (without a value), for series over time.
CREATE TABLE totals_weekly (
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
INSERT INTO totals_weekly SELECT part, at - (at + 259200000000000) % 604800000000000, org_id, value,
    model, status,
    SUM(calls), SUM(errors), SUM(streamed), SUM(cache_hits), SUM(tokens_in), SUM(tokens_out),
    SUM(cache_read), SUM(cost), SUM(unpriced), SUM(latency_us), SUM(l0), SUM(l1), SUM(l2),
    SUM(l3), SUM(l4), SUM(l5), SUM(l6), SUM(l7), SUM(l8), SUM(l9), SUM(l10), SUM(l11), SUM(l12),
    SUM(l13), SUM(l14), SUM(l15)
    FROM totals_daily
    GROUP BY part, at - (at + 259200000000000) % 604800000000000, org_id, value, model, status;
INSERT INTO totals_hourly SELECT 'a', at, org_id, '', '', 0,
    SUM(calls), SUM(errors), SUM(streamed), SUM(cache_hits), SUM(tokens_in), SUM(tokens_out),
    SUM(cache_read), SUM(cost), SUM(unpriced), SUM(latency_us), SUM(l0), SUM(l1), SUM(l2),
    SUM(l3), SUM(l4), SUM(l5), SUM(l6), SUM(l7), SUM(l8), SUM(l9), SUM(l10), SUM(l11), SUM(l12),
    SUM(l13), SUM(l14), SUM(l15)
    FROM totals_hourly WHERE part = 'p' GROUP BY at, org_id;
INSERT INTO totals_daily SELECT 'a', at, org_id, '', '', 0,
    SUM(calls), SUM(errors), SUM(streamed), SUM(cache_hits), SUM(tokens_in), SUM(tokens_out),
    SUM(cache_read), SUM(cost), SUM(unpriced), SUM(latency_us), SUM(l0), SUM(l1), SUM(l2),
    SUM(l3), SUM(l4), SUM(l5), SUM(l6), SUM(l7), SUM(l8), SUM(l9), SUM(l10), SUM(l11), SUM(l12),
    SUM(l13), SUM(l14), SUM(l15)
    FROM totals_daily WHERE part = 'p' GROUP BY at, org_id;
INSERT INTO totals_weekly SELECT 'a', at, org_id, '', '', 0,
    SUM(calls), SUM(errors), SUM(streamed), SUM(cache_hits), SUM(tokens_in), SUM(tokens_out),
    SUM(cache_read), SUM(cost), SUM(unpriced), SUM(latency_us), SUM(l0), SUM(l1), SUM(l2),
    SUM(l3), SUM(l4), SUM(l5), SUM(l6), SUM(l7), SUM(l8), SUM(l9), SUM(l10), SUM(l11), SUM(l12),
    SUM(l13), SUM(l14), SUM(l15)
    FROM totals_weekly WHERE part = 'p' GROUP BY at, org_id;
-- Which entries that change a counter by hand (ledger/adjust.c) ledger_spend holds, by their time: of
-- use where a journal lost its end (ledger/rewind.c).
CREATE TABLE ledger_adjustments (
    node TEXT NOT NULL,
    at INTEGER NOT NULL,
    counter TEXT NOT NULL,
    PRIMARY KEY (node, at, counter)
);
