-- What the API changed of routing. kind: chain (name: the chain's), tiers, force (name: empty).
-- value: the rule's JSON text.
CREATE TABLE routing (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    updated_at INTEGER NOT NULL,
    updated_by TEXT NOT NULL,
    PRIMARY KEY (kind, name)
);
